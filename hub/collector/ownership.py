"""Which partitions of events.v1 this process owns, where it starts in them, how far it has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from hub.collector import metrics
from hub.collector.patient import patient
from hub.errors import HubError, Refused, Unavailable
from hub.log.admin import LogAdmin
from hub.log.reader import LogReader
from hub.model import Progress
from hub.pipeline.records import Decoded, LogRecord
from hub.store.port import Writing
from schemas.topics import EVENTS

log: Final = structlog.get_logger()
TIMEOUT_S: Final = 10.0
FORGOTTEN_S: Final = 20.0
"""After losing everything the group tells its share, be it empty, within a rebalance: seconds."""

STARVED_S: Final = 10.0
"""Between two looks at whether records lie there that do not come."""


class Ownership:
    """
    Partition ownership with the KIP-848 protocol.

    A partition is read from the lower of what the store has and what Kafka has committed: the store alone says what is
    applied, and between the two lie records that were applied but perhaps not told.
    """

    def __init__(
        self,
        consumer: Consumer,
        admin: LogAdmin,
        reader: LogReader,
        store: Writing,
        namespace: str,
        *,
        accept_gap: bool = False,
    ) -> None:
        """Args: accept_gap: go on behind records that Kafka has deleted before they were stored."""
        self._consumer = consumer
        self._admin = admin
        self._reader = reader
        self._store = store
        self._topic = EVENTS.name(namespace)
        self._accept_gap = accept_gap
        self._owned: set[int] = set()
        self._next: dict[int, int] = {}
        self._before_losing: Callable[[], None] = lambda: None
        self._when_gained: Callable[[int, Sequence[int]], None] = lambda _epoch, _partitions: None
        self._failure: HubError | None = None
        self._lost_at: float | None = None  # time.monotonic: everything was taken, and no assignment has come since
        self._looked_at = time.monotonic()
        self._behind: dict[int, int] = {}
        """Next offset of those partitions that had more on the log at the last look."""
        self.epoch = 0
        self.progress: dict[int, int] = {}
        """Next offset to count, by partition: where the store will be once the batch in hand is written."""
        self.assigned = False
        """Whether the group has told us our share, be it empty."""

    def ask_by(self, patiently: Callable[[Callable[[], Any]], Any]) -> None:
        """The store is asked by `patiently`: that it is away just when partitions come is nothing to end at."""
        self._store = patient(self._store, patiently)

    def before_losing(self, act: Callable[[], None]) -> None:
        """Call `act` before partitions are given up, on the thread that polls."""
        self._before_losing = act

    def when_gained(self, act: Callable[[int, Sequence[int]], None]) -> None:
        """Call `act(epoch, partitions)` when partitions come, before any of them is read, on the polling thread."""
        self._when_gained = act

    def subscribe(self) -> None:
        """Join the group. Partitions come while polling."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def raise_if_failed(self) -> None:
        """
        An exception raised in a callback would be lost in librdkafka, so it is raised here.

        Raises: Unavailable: everything was taken from us and the group says nothing since. librdkafka 2.16 stays like
        that when the coordinator forgets a member that has just joined again; a new member gets its share at once.
        """
        if self._failure is not None:
            raise self._failure
        if self._lost_at is not None and time.monotonic() - self._lost_at > FORGOTTEN_S:
            raise Unavailable(
                "kafka", f"no word from the consumer group for {FORGOTTEN_S:.0f} s after it took everything"
            )

    def passed(self) -> dict[int, Progress]:
        """
        For when nothing has come: partitions that end with offsets that have no records, and the step to their end.

        Blocks for a moment each ten seconds, for ten at most while Kafka is away.

        Raises: Unavailable: records lie on the log, and none has come in the time between two looks. librdkafka 2.16
        stays like that when a broker comes back while connections to it hang; a new process reads at once.
        """
        now = time.monotonic()
        if not self._owned or now - self._looked_at < STARVED_S:
            return {}
        try:
            ends = self._admin.end_offsets(EVENTS)
        except Unavailable:
            ends = {}  # nothing can come
        behind = {number: self._next[number] for number in self._owned if ends.get(number, 0) > self._next[number]}
        starved = sorted(number for number, next in behind.items() if self._behind.get(number) == next)
        self._behind, self._looked_at = behind, time.monotonic()
        steps = {}
        for number in starved:
            first = self._reader.first(number, self._next[number])
            if first < ends[number]:
                raise Unavailable("kafka", f"records of partitions {starved} do not come, though the broker has them")
            log.info("collector.no_records", partition=number, first=self._next[number], last=first - 1)
            self._next[number] = first
            if first > self.progress[number]:
                steps[number] = Progress(self.progress[number], first)
        return steps

    def fresh(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Those of partitions that are still ours, each once. Raises Refused at a gap in the offsets."""
        kept = []
        sought: set[int] = set()
        for record in records:
            expected = self._next.get(record.partition)
            if expected is None or record.offset < expected or record.partition in sought:
                continue
            if record.offset > expected:
                if self._admin.begin_offsets(EVENTS).get(record.partition, 0) > expected:
                    self._gap(record.partition, expected, record.offset)
                elif self._reader.first(record.partition, expected) < record.offset:
                    self._seek(record.partition, expected, record.offset)
                    sought.add(record.partition)
                    continue
                else:
                    last = record.offset - 1
                    log.info("collector.no_records", partition=record.partition, first=expected, last=last)
            self._next[record.partition] = record.offset + 1
            kept.append(record)
        return kept

    def advance(self, progress: Mapping[int, Progress], decoded: Sequence[Decoded] = ()) -> dict[int, int]:
        """Count a batch as on its way to the store. Returns the offsets to commit once it is there."""
        self.progress = {**self.progress, **{number: step.after for number, step in progress.items()}}
        offsets = {} if decoded else {number: step.after for number, step in progress.items()}
        for one in decoded:
            offsets[one.record.partition] = one.record.offset + 1
        return offsets

    def commit(self, offsets: Mapping[int, int]) -> None:
        """
        Send next offsets to Kafka, without waiting for its answer. Only on the polling thread.

        Another thread would wait in librdkafka's lock while the polling thread gives partitions up and waits for that
        thread. Nothing depends on the answer: the store knows what is applied, and what is told again is told under
        the same ids.
        """
        wanted = [TopicPartition(self._topic, number, offset) for number, offset in offsets.items()]
        try:
            self._consumer.commit(offsets=wanted, asynchronous=True)
        except KafkaException as exc:
            log.warning("collector.commit_failed", error=exc.args[0].str())
        for place in wanted:
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            metrics.LAG.labels(str(place.partition)).set(max(0, end - place.offset))

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._assign([partition.partition for partition in partitions])
        except HubError as exc:
            self._failure = exc
        except KafkaException as exc:
            self._failure = Unavailable("kafka", f"could not take partitions over: {exc.args[0].str()}")

    def _assign(self, numbers: list[int]) -> None:
        self.epoch = self._store.epoch(self._admin.topic_id(EVENTS))
        stored = self._store.progress(self.epoch)
        begins = self._admin.begin_offsets(EVENTS)
        committed = self._consumer.committed(
            [TopicPartition(self._topic, number) for number in numbers], timeout=TIMEOUT_S
        )
        starts, fresh = [], []
        for place in committed:
            number = place.partition
            start = applied = stored.get(number, 0)
            if place.offset < 0:
                fresh.append(TopicPartition(self._topic, number, max(applied, begins.get(number, 0))))
            if 0 <= place.offset < applied:
                start = max(place.offset, begins.get(number, 0))
            if start < begins.get(number, 0):
                self._gap(number, start, begins[number])
                start = begins[number]
            self._next[number] = start
            self.progress[number] = applied
            starts.append(TopicPartition(self._topic, number, start))
        self._begin(fresh)
        self._lost_at = None
        self._when_gained(self.epoch, numbers)
        self._owned.update(numbers)
        self._consumer.incremental_assign(starts)
        self.assigned = True
        log.info("partitions.assigned", partitions=sorted(self._owned), epoch=self.epoch)

    def _begin(self, places: list[TopicPartition]) -> None:
        """
        Of partitions that nobody has committed yet: so that whoever is killed before its first commit is there leaves a
        place from which all is told that it has stored.
        """
        if not places:
            return
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as exc:
            log.warning("collector.commit_failed", error=exc.args[0].str())

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [partition.partition for partition in partitions]
        try:
            self._before_losing()
        except HubError as exc:
            self._failure = exc
        for number in numbers:
            self._owned.discard(number)
            self._next.pop(number, None)
            self.progress.pop(number, None)
            metrics.LAG.labels(str(number)).set(0)
        if numbers and not self._owned:
            self._lost_at = time.monotonic()
            self.assigned = False
        self._consumer.incremental_unassign(partitions)
        log.info("partitions.revoked", partitions=sorted(numbers), left=sorted(self._owned))

    def _seek(self, number: int, expected: int, found: int) -> None:
        """
        Read on at `expected`, which Kafka still has: librdkafka has left records out.

        Seen when the group had expelled us and taken us back within milliseconds: what was fetched before came behind
        the new assignment. Raises Unavailable: it cannot be sought, start again.
        """
        log.warning("collector.left_out", partition=number, first=expected, last=found - 1)
        try:
            self._consumer.seek(TopicPartition(self._topic, number, expected))
        except KafkaException as exc:
            raise Unavailable("kafka", f"cannot read on at partition {number} offset {expected}: {exc}") from exc

    def _gap(self, number: int, expected: int, found: int) -> None:
        detail = (
            f"{self._topic} partition {number} has no records {expected} to {found - 1}: Kafka deleted them before "
            "they were stored, or the data folder is of another time"
        )
        if not self._accept_gap:
            raise Refused("kafka", f"{detail}. `hub collector --accept-gap` goes on behind the gap")
        log.error("collector.gap_accepted", partition=number, first=expected, last=found - 1)
