"""Somebody comes from another site of ours, with a link that says who it was there: is that so?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from hub.edge.paths import found_at
from hub.ids import derived
from hub.model import Session
from hub.pipeline.modes import is_static, keeps_profile, keeps_session
from hub.pipeline.records import Decoded
from schemas.records import TRACK, Inbound, Track

_PLACE: Final = ("tracardi", "pass")
_KEY: Final = b'"pass"'


class Referral(NamedTuple):
    """Who it was, and in which session there: the proof, as only that profile's own pages know both."""

    profile: str
    session: str


def referral(track: Track) -> Referral | None:
    """What a payload's context says of that, under the names of the predecessor's clients."""
    context = track["context"]
    if _KEY not in context:
        return None
    said = found_at(msgspec.json.decode(context), _PLACE)
    if not isinstance(said, dict):
        return None
    profile, session = said.get("profile"), said.get("session")
    return Referral(profile, session) if isinstance(profile, str) and isinstance(session, str) and session else None


def referred(records: Iterable[Decoded], sessions: Mapping[str, Session]) -> Iterator[tuple[Inbound, str, Referral]]:
    """
    The records that come with a session which nobody holds yet, those sessions, and what they say of whose it is.

    Args: sessions: those of the records that are known.
    """
    for decoded in records:
        inbound = decoded.inbound
        if inbound is None or inbound["body"][0] != TRACK or not inbound["profile_id"]:
            continue
        track = inbound["body"][1]
        session_id = track["session_id"]
        if not session_id or _KEY not in track["context"]:
            continue
        held = sessions.get(session_id)
        if (held is not None and held.profile_id) or not (keeps_session(track) and keeps_profile(track)):
            continue
        said = referral(track)
        if said is not None and not is_static(track):
            yield inbound, session_id, said


def newcomer(inbound: Inbound, track: Track, profile: Mapping[str, Any]) -> str | None:
    """
    The id that the edge has given to somebody who is the profile, as they named none: it is to lead there from now on.

    Whoever has an id of their own keeps it: a link may be sent on.

    Args: profile: document of the one that holds the record's session.
    """
    sent_as, session_id = inbound.get("sent_as"), track["session_id"]
    if not sent_as or not session_id or inbound.get("forwarded_for") != "session" or referral(track) is None:
        return None
    is_given = sent_as == derived("session", session_id)
    is_apart = sent_as in profile["metadata"].get("apart", ()) or sent_as in profile["ids"]
    return sent_as if is_given and not is_apart else None
