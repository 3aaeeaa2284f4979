"""What a batch counts, and the dead letters that it makes."""

from __future__ import annotations

from typing import Final

from hub.model import CounterKey, Counts, DeadLetter, Position, Progress
from hub.pipeline import letters
from hub.pipeline.records import Decoded, LogRecord

MINUTE_MS: Final = 60_000
REFUSED_BY_SCHEMA: Final = "schema_violation"


class Tally:
    """
    Counters by source and minute, the progress of partitions, letters; each as `Batch` and `Outcome` have them.

    What was counted before (a record below the progress) changes none of them, but for `told`: letters are told again.
    """

    def __init__(self, epoch: int, progress: dict[int, int]) -> None:
        """Args: progress: next offset to count, by partition."""
        self._epoch = epoch
        self._before = progress
        self._reached: dict[int, int] = {}
        self._again: set[Position] = set()
        self.counters: dict[CounterKey, Counts] = {}
        self.dead: list[DeadLetter] = []
        self.told: list[DeadLetter] = []
        self.failed_again: list[DeadLetter] = []
        self.resolved: dict[str, int] = {}
        self.own_dead = 0
        self.conflicts: dict[str, int] = {}
        self.filtered: dict[str, int] = {}
        self.voided: dict[str, int] = {}

    def advance(self, decoded: Decoded) -> bool:
        """Move the progress past the record. Returns whether it is the first time: else it was counted before."""
        partition, offset = decoded.record.partition, decoded.record.offset
        reached = self._reached.get(partition)
        if reached is None:
            reached = self._reached[partition] = self._before.get(partition, 0)
        if offset < reached:
            return False
        self._reached[partition] = offset + 1
        return True

    def progress(self) -> dict[int, Progress]:
        """How far the batch goes, by partition."""
        return {number: Progress(self._before.get(number, 0), after) for number, after in self._reached.items()}

    def counts_of(self, decoded: Decoded) -> Counts:
        """Where to count the record, as received: under the minute in which the edge took it."""
        record, inbound = decoded.record, decoded.inbound
        source = letters.UNKNOWN_SOURCE if inbound is None else inbound["source"] or letters.UNKNOWN_SOURCE
        at_ms = record.at_ms if inbound is None else inbound["received_at_ms"]
        counts = self.counts_at(record.partition, source, at_ms)
        counts.received += decoded.weight
        return counts

    def counts_at(self, partition: int, source: str, at_ms: int) -> Counts:
        """Where to count what a source sent. Args: at_ms: when the edge took it."""
        key = self._epoch, partition, source, at_ms // MINUTE_MS
        counts: Counts | None = self.counters.get(key)  # type: ignore[call-overload]  # an equal tuple, and cheaper
        if counts is None:
            counts = self.counters[CounterKey(*key)] = Counts()
        return counts

    def bury(self, record: LogRecord, letter: DeadLetter, counts: Counts) -> None:
        """
        An event is a dead letter; if it came by a letter's replay, that has one attempt more.

        Args: counts: of its record.
        """
        counts.dead += 1
        if record.replay is None:
            self.dead.append(letter)
            self.told.append(letter)
            # what a validator refuses was asked for, and stops nobody
            if letter.stage == "collector" and letter.reason != REFUSED_BY_SCHEMA and counts.received:
                self.own_dead += 1
            return
        # several events of one record may fail again: that is one attempt of one letter
        letter = letters.again(letter, record, record.replay)
        at = letter.position._replace(place=0)
        if at in self._again:
            return
        self._again.add(at)
        self.told.append(letter)
        if counts.received:
            self.failed_again.append(letter)

    def resolve(self, decoded: Decoded) -> None:
        """All of a letter's replay is well. Its time is the record's: the same bytes again say when they came first."""
        if decoded.record.replay is not None:
            self.resolved[decoded.record.replay.letter_id] = decoded.record.at_ms

    def void(self, why: str, events: int) -> None:
        """Events came from somebody who wants none kept, or are too old. Args: why: a word of `privacy.WHY`."""
        self.voided[why] = self.voided.get(why, 0) + events

    def filter(self, filter_id: str) -> None:
        """A filter dropped an event."""
        self.filtered[filter_id] = self.filtered.get(filter_id, 0) + 1

    def conflict(self, source: str) -> None:
        """A duplicate says something else than the first."""
        self.conflicts[source] = self.conflicts.get(source, 0) + 1
