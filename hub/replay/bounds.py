"""From when to when? The bounds of a replay as people write them, and which records of the log they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from hub.edge.times import END_MS, FIRST_MS, time_ms
from hub.errors import InvalidPayload
from hub.model import Position

SLACK_MS: Final = 60_000
"""The log is read from so much before a time: the clock of a broker may be behind that of the edge."""

_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,18}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-", re.ASCII)
_PAIRS: Final = re.compile(r"\d{1,9}:\d{1,18}(,\d{1,9}:\d{1,18})*", re.ASCII)


class At(NamedTuple):
    """A time at which the edge received, milliseconds since 1970."""

    ms: int


class Offset(NamedTuple):
    """An offset, the same on every partition."""

    number: int


class Offsets(NamedTuple):
    """An offset for each partition named; the others are left out."""

    by_partition: Mapping[int, int]


Bound: TypeAlias = At | Offset | Offsets
BEGINNING: Final = At(FIRST_MS)


class BoundError(ValueError):
    """The text is no bound; the message says what would be one."""


def parse_bound(text: str, now_ms: int) -> Bound:
    """
    A bound from its text: `beginning`, an RFC 3339 time, `2h` (so long ago: s, m, h, d), an offset, or `0:120,1:95`.

    Digits alone are an offset. Raises: BoundError.
    """
    text = text.strip()
    if text == "beginning":
        return BEGINNING
    if _NUMBER.fullmatch(text):
        return Offset(int(text))
    if _PAIRS.fullmatch(text):
        pairs = [tuple(map(int, pair.split(":"))) for pair in text.split(",")]
        by_partition = {number: offset for number, offset in pairs}  # noqa: C416 - mypy knows no length of a tuple(map)
        if len(by_partition) < len(pairs):
            raise BoundError(f"{text!r} names a partition twice")
        return Offsets(by_partition)
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return At(max(FIRST_MS, now_ms - int(ago[1]) * _UNITS_MS[ago[2]]))
    try:
        # a number of seconds is a time, too, but here it would be taken for an offset
        return At(time_ms(text if _DATE.match(text) else "", ""))
    except InvalidPayload as exc:
        raise BoundError(
            f"{text!r} is neither a time (2026-11-24T15:21:00Z, 2h, beginning) nor an offset (120, or 0:120,1:95 by "
            f"partition): {exc.detail}"
        ) from exc


@dataclass(frozen=True)
class Part:
    """
    One partition of the log: offsets `first` up to, not including, `last` are wanted.

    `begin`: of the oldest record that Kafka still has; what is wanted and older lies in the store.
    """

    first: int
    last: int
    begin: int

    @property
    def log_first(self) -> int:
        """First offset to read from Kafka."""
        return min(max(self.first, self.begin), self.last)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """
    Which records are wanted.

    `epoch`: the store's number of this log; None: it has nothing of it. `older_logs`: also what lay on logs before
    this one. `since_ms`, `until_ms`: receive times, the second not included.
    """

    epoch: int | None
    parts: Mapping[int, Part]
    since_ms: int
    until_ms: int
    older_logs: bool

    @property
    def needs_store(self) -> bool:
        """Whether there can be anything that Kafka no longer has."""
        return self.older_logs or any(part.first < min(part.begin, part.last) for part in self.parts.values())

    @property
    def is_whole(self) -> bool:
        """Whether it holds all that was ever taken, up to now."""
        return self.since_ms == FIRST_MS and self.until_ms == END_MS and all(p.first == 0 for p in self.parts.values())

    def has_time(self, received_at_ms: int) -> bool:
        """Whether a receive time is within the bounds."""
        return self.since_ms <= received_at_ms < self.until_ms

    def leaves_to_log(self, epoch: int, partition: int, offset: int) -> bool:
        """Whether a record need not be made up for: Kafka still has it, or its partition was not asked for."""
        part = self.parts.get(partition)
        return part is None or (epoch == self.epoch and offset >= part.begin)

    def wants_stored(self, position: Position, received_at_ms: int) -> bool:
        """Whether a stored event is wanted, and its record no longer on the log."""
        if not self.has_time(received_at_ms):
            return False
        if position.epoch != self.epoch:
            return self.older_logs
        part = self.parts.get(position.partition)
        return part is not None and part.first <= position.offset < min(part.begin, part.last)


def select(
    since: Bound,
    until: Bound | None,
    *,
    ends: Mapping[int, tuple[int, int]],
    by_time: Mapping[int, int],
    epoch: int | None,
    newest_epoch: int,
) -> Selection:
    """
    The records between two bounds, as the log is at this moment.

    Args:
        ends: By partition, the oldest offset that Kafka has, and the next one it will give.
        by_time: By partition, the first offset that is SLACK_MS before `since`, if that is a time.
        epoch: The store's number of this log, None if it has none; newest_epoch: its newest of any log, 0 if none.

    Raises: BoundError: a partition that is not there; an offset that is not there yet; nothing between the bounds.
    """
    for bound in (since, until):
        unknown = set(bound.by_partition) - set(ends) if isinstance(bound, Offsets) else set()
        if unknown:
            raise BoundError(f"there is no partition {min(unknown)}: events.v1 has {len(ends)}, from 0")
    parts: dict[int, Part] = {}
    older_logs = False
    for number, (begin, end) in ends.items():
        first = _first(since, number, begin, end, by_time)
        last = _last(until, number, end)
        if first is None or last is None:
            continue
        # the log has a record from before a time: then it has all from that time on
        older_logs = older_logs or (isinstance(since, At) and first < max(begin, 1))
        parts[number] = Part(first, max(first, last), begin)
    since_ms = since.ms if isinstance(since, At) else FIRST_MS
    until_ms = until.ms if isinstance(until, At) else END_MS
    if since_ms >= until_ms or (not isinstance(since, At) and all(p.first == p.last for p in parts.values())):
        raise BoundError("there is nothing between the two bounds")
    others = newest_epoch > (1 if epoch is not None else 0)
    return Selection(epoch=epoch, parts=parts, since_ms=since_ms, until_ms=until_ms, older_logs=older_logs and others)


def _first(since: Bound, number: int, begin: int, end: int, by_time: Mapping[int, int]) -> int | None:
    if isinstance(since, Offset):
        return min(since.number, end)
    if isinstance(since, Offsets):
        offset = since.by_partition.get(number)
        if offset is not None and offset > end:
            raise BoundError(f"partition {number} ends at offset {end}: there is no {offset} yet")
        return offset
    return 0 if by_time[number] <= begin else by_time[number]


def _last(until: Bound | None, number: int, end: int) -> int | None:
    if isinstance(until, Offset):
        return min(until.number, end)
    if isinstance(until, Offsets):
        offset = until.by_partition.get(number)
        return None if offset is None else min(offset, end)
    return end
