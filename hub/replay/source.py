"""The records to send again: from the store what Kafka no longer has, then from Kafka, each once and as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Final, NamedTuple, Protocol

import msgspec

from hub.log.keys import Opener
from hub.pipeline.privacy import is_order
from hub.pipeline.records import Decoded, LogRecord, decode
from hub.replay.bounds import Part, Selection
from hub.replay.logged import Logged, logged_records
from hub.replay.matching import Filter, with_events
from hub.replay.stored import StoredRecords
from hub.settings import Kafka
from hub.store.port import DataKeys, Reading, Walking
from schemas.records import REFUSED, TRACK, Event, Inbound

SKIPPED: Final = {
    "out_of_time": "received outside the bounds",
    "not_matching": "no event matches --q",
    "copies": "sent by an earlier replay: the original counts",
    "refused": "a bridge's refused messages: see `hub dead-letters replay`",
    "undecodable": "no record of the hub, or events that cannot be read",
    "shredded": "its key was thrown away, as somebody was erased",
    "forwarded": "forwarded by the collector: the original counts",
    "other": "a kind of record that is made from others",
}
"""Why a record of the log is not sent again."""


class Original(NamedTuple):
    """A record to send: where it lay, its key, and what it says."""

    partition: int
    offset: int
    key: bytes
    inbound: Inbound

    @property
    def events(self) -> int:
        """How many it holds."""
        return len(self.inbound["body"][1]["events"]) if self.inbound["body"][0] == TRACK else 0


class Step(NamedTuple):
    """How far the reading is. `total` is known once the store has been looked through; before that it is 0."""

    what: str
    done: int
    total: int


class ReplayStore(Reading, Walking, DataKeys, Protocol):
    """What a replay asks of live's store."""

    def progress(self, epoch: int) -> dict[int, int]:
        """See `hub.store.port.Writing`."""
        ...


class Originals:
    """Iterate once. `read` and `skipped` count records as it goes: by where they were, and why they are not sent."""

    def __init__(
        self,
        *,
        kafka: Kafka,
        namespace: str,
        store: ReplayStore,
        selection: Selection,
        keep: Filter,
        on_step: Callable[[Step], None],
        opener: Opener | None = None,
    ) -> None:
        """Reads nothing yet. Args: opener: as of `logged_records`."""
        self._opener = opener
        self.orders_from: int | None = None
        """Running number of the first request for privacy that is sent, too; None: none is, they are in force there."""
        self._kafka = kafka
        self._namespace = namespace
        self._store = store
        self._selection = selection
        self._keep = keep
        self._on_step = on_step
        self.read: Counter[str] = Counter(store=0, log=0)
        self.skipped: Counter[str] = Counter(dict.fromkeys(SKIPPED, 0))

    def __iter__(self) -> Iterator[Original]:
        """The store's, then the log's, each partition in its order. Raises Unavailable."""
        if self._selection.needs_store:
            yield from self._from_store()
        yield from self.of_log(self._selection.parts)

    def _from_store(self) -> Iterator[Original]:
        def look(looked: int) -> None:
            self._on_step(Step("looking through the store", looked, 0))

        with closing(StoredRecords(self._store, self._selection, look)) as rebuilt:
            done = 0
            for partition, offset, inbound in rebuilt:
                self.read["store"] += 1
                done += len(_events(inbound))
                self._on_step(Step("events from the store", done, rebuilt.events))
                kept = self._keep(inbound)
                if kept is None:
                    self.skipped["not_matching"] += 1
                else:
                    yield Original(partition, offset, _key(kept), kept)

    def of_log(self, parts: Mapping[int, Part]) -> Iterator[Original]:
        """Only the log's, between these offsets, each partition in its order. Raises Unavailable."""
        total = sum(part.last - part.log_first for part in parts.values())
        for done, logged in enumerate(logged_records(self._kafka, self._namespace, parts, self._opener), 1):
            self.read["log"] += 1
            self._on_step(Step("records from the log", done, total))
            why, inbound = self.judge(logged)
            if inbound is None:
                self.skipped[why] += 1
            else:
                yield Original(logged.partition, logged.offset, _key(inbound), inbound)

    def judge(self, logged: Logged) -> tuple[str, Inbound | None]:
        """What to send of it; or why nothing, and None."""
        if logged.is_shredded:
            return "shredded", None
        decoded = next(decode([LogRecord(logged.partition, logged.offset, 0, logged.key, logged.value)]))
        if decoded.inbound is None:
            return "undecodable", None
        if is_order(decoded.inbound) and self._is_new_order(decoded.inbound):
            return "", decoded.inbound
        why = self._why_not(logged, decoded, decoded.inbound)
        return (why, None) if why else self._what(decoded.inbound)

    def _is_new_order(self, inbound: Inbound) -> bool:
        if self.orders_from is None:
            return False
        row = self._store.order(inbound["id"])
        return row is None or row.seq >= self.orders_from

    def _why_not(self, logged: Logged, decoded: Decoded, inbound: Inbound) -> str:
        """Why the record as a whole is not sent; empty when it is."""
        if not self._selection.has_time(inbound["received_at_ms"]):
            return "out_of_time"
        if inbound["body"][0] != TRACK:
            return "refused" if inbound["body"][0] == REFUSED else "other"
        if logged.copy and self._is_elsewhere(decoded):
            return "copies"
        first_at = inbound.get("first_at")
        if first_at is not None and self._selection.leaves_to_log(*map(int, first_at.split("/"))):
            return "forwarded"
        return ""

    def _what(self, inbound: Inbound) -> tuple[str, Inbound | None]:
        """What is left of a record."""
        if inbound.get("first_at") is not None:
            inbound = _original(inbound)
        # what the collector could not read became a dead letter, and would become another one
        events = [event for event in _events(inbound) if _is_readable(event)]
        if not events:
            return "undecodable", None
        return "not_matching", self._keep(with_events(inbound, events))

    def _is_elsewhere(self, decoded: Decoded) -> bool:
        """Whether the store has one of its events from another place on the log."""
        for event in decoded.events:
            document = self._store.get("events", event["id"])
            if document is not None:
                place = document["metadata"]["position"]
                here = self._selection.epoch, decoded.record.partition, decoded.record.offset
                return (place["epoch"], place["partition"], place["offset"]) != here
        return False


def _key(inbound: Inbound) -> bytes:
    """As the edge keys it."""
    return (inbound["profile_id"] or inbound["id"]).encode()


def _original(inbound: Inbound) -> Inbound:
    """What the record was before the collector forwarded it to another profile."""
    sent_as = inbound.get("sent_as") or inbound["profile_id"]
    return {**inbound, "profile_id": sent_as, "sent_as": None, "first_at": None, "forwarded_for": None}


def _events(inbound: Inbound) -> list[Event]:
    return inbound["body"][1]["events"] if inbound["body"][0] == TRACK else []


def _is_readable(event: Event) -> bool:
    try:
        for text in (event["properties"], event["context"], event["options"]):
            _object(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


_object: Final = msgspec.json.Decoder(dict[str, object]).decode
