"""A payload in hand: whose it is, and what follows from its place among others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from hub.model import OUTLIERS, partition_of
from hub.pipeline.documents import NOTHING
from hub.pipeline.identity import LATE
from hub.pipeline.past import is_done
from hub.pipeline.records import LogRecord
from hub.pipeline.sessions import Seen
from hub.pipeline.touched import Open, claimed_by
from schemas.records import Event, Inbound, Track

NO_PROFILE: Final = "profile_not_saved"
NO_SESSION: Final = "session_not_saved"


class Payload(msgspec.Struct, frozen=True):
    """
    A Track in hand: whose it is, and whether the profile and session still lack this record.

    Attributes:
        is_kept: Whether its events are kept, but for those that say otherwise themselves.
        seen: What the profile learns of, in order.
        is_made: Whether the session is the hub's own.
        ends: The session of the profile that is over with it.
        flags: Of each of its events.
    """

    record: LogRecord
    inbound: Inbound
    track: Track
    version: int
    received_at: str
    profile: Open | None
    profile_lacks: bool
    session: Open | None
    is_kept: bool
    seen: list[Seen]
    is_made: bool = False
    ends: Open | None = None
    flags: Sequence[str] = ()

    @property
    def sender(self) -> str:
        """The profile id that the client sent."""
        return self.inbound.get("sent_as") or self.inbound["profile_id"]

    @property
    def is_late(self) -> bool:
        """Whether others of the same sender, or a copy of itself, may come by another way and pass it."""
        if self.inbound.get("forwarded_for") in LATE:
            return True
        return self.session is not None and claimed_by(self.session.draft.doc) != self.sender

    @property
    def starts_visit(self) -> bool:
        """Whether its session begins with it."""
        session = self.session
        return (
            session is not None
            and session.holder == self.inbound["profile_id"]
            and session.version < self.version
            and session.created
            and not session.dirty
            and not is_done(self.inbound["origin"])
        )

    def counts_at(self, event: Event, at: str) -> str:
        """The time that an event counts at, beside others: its own (`at`), unless that is out of range."""
        return self.received_at if _is_outlier(event["time_ms"], self.inbound["received_at_ms"]) else at

    def counts_ms(self, event: Event) -> int:
        """The same in milliseconds since 1970."""
        time_ms, received_at_ms = event["time_ms"], self.inbound["received_at_ms"]
        return received_at_ms if time_ms is None or _is_outlier(time_ms, received_at_ms) else time_ms

    @property
    def visits(self) -> int:
        """Of the profile, one that begins with this payload included."""
        if self.profile is None:
            return 0
        visits = self.profile.draft.doc.get("stats", NOTHING).get("visits", 0)
        return int(visits) + self.starts_visit

    @property
    def begins_profile(self) -> bool:
        """Whether its profile begins with it."""
        return self.profile is not None and self.profile.created and not self.profile.dirty


def _is_outlier(time_ms: int | None, received_at_ms: int) -> bool:
    return time_ms is not None and partition_of(time_ms, received_at_ms) == OUTLIERS
