"""Whose is a session? It is claimed like an identifier: by who comes with it first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hub.model import Session
from hub.pipeline.identity import Why
from hub.pipeline.modes import is_static, keeps_profile, keeps_session
from schemas.records import TRACK, Inbound

NOBODY: Final = ""


class Holders:
    """
    Who holds the sessions of one batch: whom the store names, else the first of the batch's records.

    The first one counts even if nothing comes of its record. So this is known before the batch is processed, and the
    same for all that ask for it in the order of the records.
    """

    def __init__(self, stored: Mapping[str, Session]) -> None:
        """Args: stored: by id; never changed."""
        self._stored = stored
        self.first: dict[str, Inbound] = {}
        """By session that nobody held, the record that came with it first."""

    def of(self, inbound: Inbound) -> str:
        """
        The profile that holds the record's session, under the id that it had as it was stored; without a session, or
        when the record says that it is not to follow it, the record's own. Of one that was handed on for its session
        NOBODY, if that is nobody's any more: it was begun by what has gone back.

        Ask for every record that does not go back, in their order.
        """
        profile_id = inbound["profile_id"]
        if not profile_id or inbound["body"][0] != TRACK:
            return profile_id
        track = inbound["body"][1]
        session_id = track["session_id"]
        if not session_id:
            return profile_id
        stored = self._stored.get(session_id)
        if stored is not None and stored.profile_id:
            holder = stored.profile_id
        elif not (keeps_session(track) and keeps_profile(track)):
            return profile_id  # its session is not kept, so nobody holds it
        elif inbound.get("forwarded_for") == "session" and session_id not in self.first:
            return NOBODY
        else:
            holder = self.first.setdefault(session_id, inbound)["profile_id"]
        return profile_id if is_static(track) else holder


def claims_as(inbound: Inbound) -> str:
    """The id that a session is claimed with, if the record begins it: the sender's, if that is part of its profile."""
    sent_as = None if inbound.get("forwarded_for") == "session" else inbound.get("sent_as")
    return sent_as or inbound["profile_id"]


def onward(inbound: Inbound, holder: str) -> tuple[str, Why] | None:
    """
    Where a record goes whose session another profile holds, and why; None: it stays.

    It goes to the holder, but only once: if that one does not hold the session any more by then, the record goes back
    to the profile that it was sent to, and stays there. So it runs in no circle.
    """
    why = inbound.get("forwarded_for")
    if why == "session" or holder == NOBODY:
        return inbound.get("sent_as") or inbound["profile_id"], "return"
    return None if why == "return" or holder == inbound["profile_id"] else (holder, "session")
