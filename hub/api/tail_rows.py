"""What the live tail shows of a stored event, and of how many; pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec
import structlog
from fastapi.sse import format_sse_event

from hub.edge.times import time_ms
from hub.edge.token_bucket import TokenBucket
from hub.errors import InvalidPayload
from hub.pipeline.documents import iso
from schemas.codec import CodecError, decode_stored
from schemas.records import Stored

log: Final = structlog.get_logger()
PROPERTIES_BYTES: Final = 2_048
"""Of an event's properties, as JSON, that are in a row: small enough for hundreds a second."""
_encode: Final = msgspec.json.Encoder().encode


class Row(msgspec.Struct, frozen=True):
    """
    An event as the tail shows it.

    `properties`: the first of them, up to PROPERTIES_BYTES; `properties_left_out`: how many are not there.
    """

    id: str
    type: str
    source: str
    profile_id: str | None
    session_id: str | None
    profile_version: int
    time: str
    received_at: str | None
    segments_entered: list[str]
    segments_left: list[str]
    properties: dict[str, Any]
    properties_left_out: int


class Summary(msgspec.Struct):
    """
    Events since the summary before.

    `looked_at`: of the stored ones, those that were tried on the filter: of more than some thousand a second not all
    are. `lost`: those that this listener was too slow for. `withheld`: nobody could say that they may still be shown.
    """

    seconds: float = 0.0
    stored: int = 0
    looked_at: int = 0
    matched: int = 0
    shown: int = 0
    lost: int = 0
    withheld: int = 0
    rate: int = 0

    def add(self, other: Summary) -> None:
        """The time behind it as well; `rate` stays."""
        self.seconds = round(self.seconds + other.seconds, 3)
        self.stored += other.stored
        self.looked_at += other.looked_at
        self.matched += other.matched
        self.shown += other.shown
        self.lost += other.lost
        self.withheld += other.withheld


class Seen:
    """A record of stored.v1; what is in it is read when somebody asks, and once for all who do."""

    def __init__(self, value: bytes) -> None:
        """Args: value: as it lies on the topic."""
        self._value = value

    @cached_property
    def is_readable(self) -> bool:
        """Whether it is one that the hub has written: others may write to the topic as well."""
        try:
            return isinstance(self.document, dict)
        except (CodecError, msgspec.DecodeError) as exc:
            log.warning("tail.unreadable", error=str(exc))
            return False

    @cached_property
    def stored(self) -> Stored:
        """Only of what is readable, as all that follows."""
        return decode_stored(self._value)

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The event as the store has it."""
        found: dict[str, Any] = msgspec.json.decode(self.stored["event"])
        return found

    @property
    def received_ms(self) -> int | None:
        """When the edge took it, milliseconds since 1970; None: the record does not say."""
        try:
            return time_ms(self.document["metadata"]["time"]["insert"], "insert")
        except (KeyError, InvalidPayload):
            return None

    @property
    def session_id(self) -> str | None:
        """Of the session, if it has one."""
        session = self.document.get("session")
        return None if session is None else session["id"]

    @cached_property
    def message(self) -> bytes:
        """As a server-sent event."""
        stored, properties = self.stored, self.document.get("properties", {})
        kept = first_of(properties)
        received_ms = self.received_ms
        row = Row(
            stored["id"],
            stored["type"],
            stored["source"],
            stored["profile_id"] or None,
            self.session_id,
            stored["profile_version"],
            iso(stored["time_ms"]),
            None if received_ms is None else iso(received_ms),
            stored["segments_entered"],
            stored["segments_left"],
            kept,
            len(properties) - len(kept),
        )
        return format_sse_event(data_str=_encode(row).decode(), id=stored["id"])


def first_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """As many as fit into PROPERTIES_BYTES, in their order; a large one does not keep small ones out."""
    room = PROPERTIES_BYTES
    kept = {}
    for name, value in properties.items():
        size = len(_encode({name: value}))
        if size <= room:
            kept[name] = value
            room -= size
    return kept


class Sampler:
    """
    Which events are shown: spread over the second, and never more than `rate` between two summaries.

    A quiet stream is shown whole: what comes in a burst may use what was left over, up to a second's worth.
    """

    def __init__(self, rate: int, now_s: float) -> None:
        """Args: rate: events a second, at least 1. now_s: of a clock that does not go back."""
        self._rate = rate
        self._bucket = TokenBucket(rate, now_s)
        self._left = rate

    def room(self, now_s: float) -> int:
        """How many may be shown now."""
        return min(self._bucket.room(now_s), self._left)

    def spend(self, events: int) -> None:
        """So many were."""
        self._bucket.spend(events)
        self._left -= events

    def begin(self) -> None:
        """The next second begins."""
        self._left = self._rate


def summary_message(summary: Summary) -> bytes:
    """As a server-sent event."""
    return format_sse_event(event="summary", data_str=_encode(summary).decode())


def state_message(state: str, detail: str) -> bytes:
    """As a server-sent event. Args: state: `live`, `waiting` or `ended`."""
    return format_sse_event(event="state", data_str=_encode({"state": state, "detail": detail}).decode())
