"""Records of events.v1 as the collector sees them, before it knows anything of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from hub.edge.identifiers import Points, identifiers
from hub.model import DAY_MS, OUTLIERS, Claim, EventKey, Wanted, month_of, partition_of, previous_month
from hub.pipeline.documents import iso
from hub.pipeline.modes import keeps_profile
from hub.pipeline.patches import COPY, SOURCES, copies_of
from hub.pipeline.rules.around import around_of
from hub.pipeline.rules.hand import Hand
from hub.pipeline.rules.steps import NO_STEPS, Steps
from schemas.codec import CodecError, decode_inbound
from schemas.records import MERGE, PATCH, TRACK, Event, Inbound
from schemas.replays import Replay

FIRST_MS: Final = -62_135_596_800_000
"""The year 1 begins, in milliseconds from 1970."""
LAST_MS: Final = 253_370_764_799_999
"""The year 9998 ends."""

WAVERING_MS: Final = 15 * 60 * 1000
"""How far the corrected times of one event may lie apart that was sent again and again."""

PRIVACY: Final = "@privacy"
"""Event source of the records by which people ask for their privacy; they are no events and count for nothing."""

EMPTY: Final = b"{}"
_object: Final = msgspec.json.Decoder(dict[str, Any]).decode


class LogRecord(NamedTuple):
    """
    A record as Kafka has it, opened if it was sealed. `at_ms` is the broker's or producer's time stamp; `replay`: of
    which dead letter, and `received_ms`, when that was received first, if it says so; milliseconds since 1970.
    `is_shredded`: its key was thrown away, and `value` is what is left (`hub.pipeline.sealed.stub`).
    """

    partition: int
    offset: int
    at_ms: int
    key: bytes
    value: bytes
    replay: Replay | None = None
    received_ms: int | None = None
    is_shredded: bool = False


class Decoded(msgspec.Struct, frozen=True):
    """A record with its Inbound, or with why it has none."""

    record: LogRecord
    inbound: Inbound | None
    error: str = ""

    @property
    def events(self) -> Sequence[Event]:
        """The events of a Track; of anything else none."""
        if self.inbound is not None and self.inbound["body"][0] == TRACK:
            return self.inbound["body"][1]["events"]
        return ()

    @property
    def stands_alone(self) -> bool:
        """Whether it has to be in a batch of its own."""
        if self.inbound is None:
            return False
        if self.inbound["body"][0] == PATCH:
            return self.inbound["source"] == PRIVACY
        return self.inbound["body"][0] == MERGE and self.inbound["body"][1]["step"] in ("undo", "restore")

    @property
    def weight(self) -> int:
        """How many events it counts for, at least 1."""
        return max(1, len(self.events))


def decode(records: Iterable[LogRecord]) -> Iterator[Decoded]:
    """Decode each as it is asked for; one that is broken keeps its place, with the reason."""
    for record in records:
        try:
            inbound = decode_inbound(record.value)
            _check(inbound)
        except CodecError as exc:
            yield Decoded(record, None, str(exc))
        else:
            yield Decoded(record, inbound)


def _check(inbound: Inbound) -> None:
    """The edge lets only these through; someone else may write to our topic."""
    if not 0 <= inbound["received_at_ms"] <= LAST_MS:
        raise CodecError(f"received_at_ms {inbound['received_at_ms']} is no time of ours")
    if inbound["body"][0] == TRACK:
        track = inbound["body"][1]
        for text in (track["context"], track["properties"], track["request"]):
            if text != EMPTY:
                try:
                    _object(text)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
                    raise CodecError(f"holds JSON that cannot be read: {exc}") from exc
        for event in inbound["body"][1]["events"]:
            if event["time_ms"] is not None and not FIRST_MS <= event["time_ms"] <= LAST_MS:
                raise CodecError(f"event time {event['time_ms']} is outside the years 1 to 9998")


def batches(decoded: Iterable[Decoded], most_events: int) -> Iterator[list[Decoded]]:
    """
    Cut into runs of about `most_events` events, sent or to be copied, so that large payloads do not make huge batches.

    A merge undone, a profile that lives again, and somebody's privacy, is a batch of its own: it needs what is stored
    of all before it, and what comes after it needs what it has changed.
    """
    batch: list[Decoded] = []
    weight = 0
    for record in decoded:
        if record.stands_alone:
            if batch:
                yield batch
                batch, weight = [], 0
            yield [record]
            continue
        batch.append(record)
        weight += record.weight
        if record.inbound is not None and record.inbound["source"] == COPY:
            weight += copies_of(record.inbound) - 1
        if weight >= most_events:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def wanted(decoded: Iterable[Decoded]) -> Wanted:
    """What has to be read from the store before these can be processed; each id once. Identifiers: see `claims`."""
    profiles: dict[str, None] = {}
    sessions: dict[str, None] = {}
    events: dict[str, EventKey] = {}
    forwarded: list[str] = []
    merges: list[str] = []
    for record in decoded:
        inbound = record.inbound
        if inbound is None:
            continue
        first_at = inbound.get("first_at")
        if first_at is not None:
            forwarded.append(first_at)
        if inbound["body"][0] in (MERGE, PATCH):
            profiles[inbound["profile_id"]] = None
            if inbound["source"] not in SOURCES:
                merges.append(inbound["id"])
        if inbound["body"][0] != TRACK:
            continue
        track = inbound["body"][1]
        if inbound["profile_id"]:
            profiles[inbound["profile_id"]] = None
            if track["session_id"]:
                sessions[track["session_id"]] = None
        for event in track["events"]:
            places = lookup_partitions(event["time_ms"], inbound["received_at_ms"])
            known = events.get(event["id"])
            if known is not None:
                places = tuple(dict.fromkeys(known.partitions + places))
            events[event["id"]] = EventKey(event["id"], places)
    return Wanted(list(profiles), list(sessions), list(events.values()), forwarded, merges)


def claims(
    decoded: Iterable[Decoded],
    points: Points,
    key: bytes,
    whose: Callable[[Inbound], str],
    rules: Steps = NO_STEPS,
) -> Iterator[tuple[Claim, Inbound]]:
    """
    Who comes with which identifier, and in which record, in the order of the records.

    Args:
        key: As `identifiers` takes it.
        whose: The profile that a record is for, empty for none; asked for each record that has one.
        rules: An event that goes no further, or into no profile, claims nothing; nor does one that is to leave its
            profile as it is.
    """
    for record in decoded:
        inbound = record.inbound
        if inbound is None or not inbound["profile_id"]:
            continue
        profile_id = whose(inbound)
        if not profile_id or (inbound["body"][0] == TRACK and not keeps_profile(inbound["body"][1])):
            continue
        for event in record.events:
            lines = points.of(event["type"])
            if not lines:
                continue
            try:
                view = {"properties": _object(event["properties"]), "context": _object(event["context"])}
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # it will be a dead letter, and who sent it claims nothing
            chain = rules.of(event["type"])
            if chain is not None and not chain.identifies(_hand(inbound, event, view)):
                continue
            for found in identifiers(lines, inbound["source"], view, key)[0]:
                yield Claim(*found, profile_id, event["id"], inbound["received_at_ms"]), inbound


def _hand(inbound: Inbound, event: Event, view: dict[str, Any]) -> Hand:
    """The event as `process` will have it in hand. Args: inbound: with a Track."""
    time_ms = inbound["received_at_ms"] if event["time_ms"] is None else event["time_ms"]
    request = context = EMPTY
    if inbound["body"][0] == TRACK:
        request, context = inbound["body"][1]["request"], inbound["body"][1]["context"]
    around = around_of(context)
    return Hand(event["id"], event["type"], iso(time_ms), inbound["source"], **view, request=request, around=around)


def lookup_partitions(time_ms: int | None, received_at_ms: int) -> tuple[str, ...]:
    """
    The time partitions in which an earlier copy of an event may lie.

    An event without its own time was filed by when it was received, which may have been last month; or next month, if
    that clock was set back since, by a day at most. One with its own time may have been an outlier when its first copy
    came and no longer be one now. And near the end of a month it may have had another time: that of a client whose
    clock is wrong is corrected by when it sends (`hub.edge.clocks`).
    """
    if time_ms is None:
        return _months_around(received_at_ms // DAY_MS)
    place = partition_of(time_ms, received_at_ms)
    if place == OUTLIERS:
        return (place,)
    if WAVERING_MS <= time_ms % DAY_MS < DAY_MS - WAVERING_MS:
        return (place, OUTLIERS)
    near = (month_of(time_ms - WAVERING_MS), month_of(time_ms + WAVERING_MS))
    return tuple(dict.fromkeys((place, OUTLIERS, *near)))


@lru_cache(maxsize=1_024)
def _months_around(day: int) -> tuple[str, ...]:
    """That of a day since 1970, the one before it, and that of the next day."""
    month = month_of(day * DAY_MS)
    return tuple(dict.fromkeys((month, previous_month(month), month_of((day + 1) * DAY_MS))))
