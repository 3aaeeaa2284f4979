"""The collector's loop: poll, process, write, tell, commit."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

import stamina
import structlog
from confluent_kafka import Consumer, KafkaError, Message
from msgspec.structs import replace

from hub.collector.crash import At, nowhere
from hub.collector.garbage import Garbage
from hub.collector.output import Output
from hub.collector.ownership import Ownership
from hub.collector.patient import patient
from hub.collector.report import Report
from hub.collector.state import Memory
from hub.collector.unsent import Unsent
from hub.ending import at_most
from hub.errors import HubError, Refused, Unavailable
from hub.log.keys import KeepingOpener
from hub.model import Batch, Outgoing, Progress
from hub.pipeline.definitions import Definitions
from hub.pipeline.process import Outcome, process
from hub.pipeline.records import LAST_MS, Decoded, LogRecord, batches, decode
from hub.pipeline.stop_rule import StopRule
from hub.settings import Collector as CollectorSettings
from hub.store.port import Writing
from schemas.replays import read_received, read_replay

if TYPE_CHECKING:  # what is off is not imported
    from hub.telemetry.collecting import BatchTrace, Collecting

log: Final = structlog.get_logger()
MOST_EVENTS: Final = 1_500
"""Events in one write: enough to make the transaction cheap, few enough to bound memory with 1,000 events a payload."""
ENOUGH_RECORDS: Final = 25
"""For which nobody waits for more: a backlog fills a batch all the same; a window of bulk events is stored sooner."""
IDLE_POLL_S: Final = 0.2
WRITING_POLL_S: Final = 0.005
"""While a batch is written: its commit shall not wait for the next records, as bulk producers wait for it."""
RETRY_MAX_S: Final = 5.0
SLOW_S: Final = 5.0
"""An answer that takes longer is one that is waited for. Kafka's are given up sooner."""
CLOSE_S: Final = 15.0
"""For leaving the group, which takes milliseconds. All that matters is stored or on the log by then."""
T = TypeVar("T")


def now_ms() -> int:
    """The clock: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class _Written(NamedTuple):
    """A batch that is stored and told: offsets to commit, sessions that are of another profile, what `Unsent` keeps."""

    offsets: dict[int, int]
    lost: list[str]
    held: list[Outgoing]


class CurrentDefinitions(Protocol):
    """Gives the definitions in force once they are as new as a record needs."""

    def at_least(self, offset: int) -> Definitions:
        """Raises Unavailable when they do not get there in time."""
        ...


class Loop:
    """
    One collector process. The next batch is read and processed while the last is written.

    `reading` and `writing` are two connections to the same store, for the two threads.
    """

    def __init__(
        self,
        *,
        consumer: Consumer,
        ownership: Ownership,
        output: Output,
        reading: Writing,
        writing: Writing,
        definitions: CurrentDefinitions,
        settings: CollectorSettings,
        garbage: Garbage,
        opener: KeepingOpener | None = None,
        traces: Collecting | None = None,
        stop: threading.Event,
        at: At = nowhere,
        now_ms: Callable[[], int] = now_ms,
    ) -> None:
        """
        Args: opener: of sealed records; None: there are none. traces: None: nobody wants any. stop: set by any thread
        or signal handler, it lets `run` return after the batch in hand. at: called at each crash point. now_ms: the
        clock, for when a batch was written and nothing else.
        """
        self._consumer = consumer
        self._ownership = ownership
        self._output = output
        self._reading = patient(reading, self._patiently)
        self._writing = writing
        self._definitions = definitions
        self._settings = settings
        self._garbage = garbage
        self._opener = opener
        if opener is not None:
            opener.before = self._finish  # only one of two connections can write at a time
        self._traces = traces
        self._at = at
        self._now_ms = now_ms
        self._memory = Memory(settings)
        self._writer = ThreadPoolExecutor(1, "writer")
        self._pending: Future[_Written] | None = None
        self._unsent = Unsent()
        self._report = Report()
        self._stop_rule = StopRule(settings.stop_share, settings.stop_window)
        self._last_fault = ""
        self._stop = stop
        self._waits: dict[int, str] = {}
        """By thread, what it is waiting for; empty while all is well."""
        self._asked: dict[int, tuple[float, str]] = {}
        """By thread that waits for an answer, since when (time.monotonic), and whose."""
        ownership.ask_by(self._patiently)
        ownership.before_losing(self._let_go)
        ownership.when_gained(self._send_again)

    @property
    def ready(self) -> bool:
        """Whether partitions are owned and their records are being processed."""
        return self._ownership.assigned and not self.waiting_for and not self._stop.is_set()

    @property
    def waiting_for(self) -> str:
        """What is waited for, in words; empty while all is well. Somebody slow is named, and left time to answer."""
        failed = next((words for words in tuple(self._waits.values()) if words), "")
        if failed:
            return failed
        since, who = min(tuple(self._asked.values()), default=(math.inf, ""))
        slow_s = time.monotonic() - since
        return f"{who}: has not answered for {slow_s:.0f} s" if slow_s > SLOW_S else ""

    @property
    def partitions(self) -> set[int]:
        """The partitions that are owned."""
        return set(self._ownership.progress)

    def run(self) -> None:
        """
        Until `stop` is set. Whatever does not answer then is not waited for: what is in hand is done by the next one.

        Raises:
            Refused: A gap in the log, too much that cannot be taken (the stop rule), or the store is not usable: a
                person has to act.
            Fenced: Another process writes our partitions.
            Unavailable: Kafka or the store did not come back in time; start again.
        """
        self._ownership.subscribe()
        try:
            while not self._stop.is_set():
                self._round()
            self._finish()
        except Unavailable as exc:
            if not self._stop.is_set():
                raise
            log.warning("collector.stops_unfinished", why=str(exc))  # nothing of it is committed
        finally:
            self._writer.shutdown(wait=True)
            with at_most(CLOSE_S):  # librdkafka has been seen to wait for ever for a broker that had come back
                self._consumer.close()

    def _round(self) -> None:
        started = time.perf_counter()
        messages = self._consumer.consume(1, IDLE_POLL_S if self._pending is None else WRITING_POLL_S)
        if messages:
            messages += self._company()
            if self._traces is not None:
                self._traces.polled(messages)
        self._ownership.raise_if_failed()
        records = self._ownership.fresh(_records(messages))
        if not records:
            if self._pending is None:
                self._garbage.idle()
                self._forward(self._unsent.take())
            self._reap()
            self._pass(self._ownership.passed(), started)
            return
        self._at("polled")
        if self._opener is not None:
            records = self._patiently(partial(self._opener.open, records), "kafka")
        for decoded in batches(decode(records), MOST_EVENTS):
            self._batch(decoded, started)

    def _company(self) -> list[Message]:
        """For a first record: waits until there are enough for a batch, then takes what else is there already."""
        room = self._settings.batch_records - 1
        enough = min(room, ENOUGH_RECORDS - 1)
        if not enough:
            return []
        messages = self._consumer.consume(enough, self._settings.batch_ms / 1000)
        if len(messages) == enough < room:
            messages += self._consumer.consume(room - enough, 0)
        return messages

    def _batch(self, decoded: Sequence[Decoded], started: float) -> None:
        trace = None if self._traces is None else self._traces.batch(decoded)
        needed = max((d.inbound["definitions_offset"] for d in decoded if d.inbound is not None), default=-1)
        definitions = self._definitions.at_least(needed)
        try:
            state = self._memory.load(
                decoded,
                self._ownership.epoch,
                self._ownership.progress,
                self._reading,
                definitions=definitions,
                finish=self._finish,
            )
        except (HubError, MemoryError):
            raise
        except Exception as exc:
            if all(one.inbound is None for one in decoded):
                raise
            self._one_by_one(decoded, exc, started)
            return
        self._at("loaded")
        outcome = process(decoded, state, definitions)
        self._at("processed")
        self._judge_own(outcome)
        self._finish()
        batch = self._unsent.with_batch(outcome.batch)
        if batch is not outcome.batch:
            outcome = replace(outcome, batch=batch)
        self._memory.trim(outcome.batch.events)
        self._memory.keep(outcome)
        offsets = self._ownership.advance(outcome.batch.progress, decoded)
        self._garbage.after_batch()
        received_ms = [one.inbound["received_at_ms"] for one in decoded if one.inbound is not None]
        self._pending = self._writer.submit(self._write, outcome, offsets, started, received_ms, trace)

    def _pass(self, steps: dict[int, Progress], started: float) -> None:
        """Over offsets that have no records: nothing is in flight there."""
        if not steps:
            return
        self._finish()
        nothing = Batch(
            epoch=self._ownership.epoch,
            progress=steps,
            events=[],
            profiles=[],
            sessions=[],
            dead_letters=[],
            counters={},
        )
        outcome = Outcome(self._unsent.with_batch(nothing), [], [], {}, {}, 0)
        self._pending = self._writer.submit(self._write, outcome, self._ownership.advance(steps), started, (), None)

    def _one_by_one(self, decoded: Sequence[Decoded], error: Exception, started: float) -> None:
        """One of these cannot even be looked up: as in `process`, it holds up none of the others."""
        log.exception("collector.stumbled", records=len(decoded))
        self._finish()
        self._memory.clear()
        for one in decoded:
            broken = Decoded(one.record, None, f"the collector stumbled over it: {error!r}")
            self._batch([broken if len(decoded) == 1 else one], started)

    def _judge_own(self, outcome: Outcome) -> None:
        """Raises Refused when too much dies here, before anything of this batch is written."""
        received = sum(counts.received for counts in outcome.batch.counters.values())
        self._stop_rule.add(received, outcome.own_dead)
        for letter in outcome.batch.dead_letters:
            if letter.stage == "collector":
                self._last_fault = f"{letter.reason}: {letter.detail}"
        if self._stop_rule.broken:
            raise Refused(
                "collector",
                f"{self._stop_rule}. The newest: {self._last_fault}. Nothing of this batch was stored: it waits on the "
                "log. Mend what is wrong (docs/dead-letters.md); if all of these belong into the dead letters, start "
                "the collector with HUB_COLLECTOR__STOP_SHARE=1",
            )

    def _write(
        self,
        outcome: Outcome,
        offsets: dict[int, int],
        started: float,
        received_ms: Sequence[int],
        trace: BatchTrace | None,
    ) -> _Written:
        """On the writer's thread: the store first, then whoever listens."""
        if trace is not None:
            trace.writes()
        lost = self._patiently(lambda: self._writing.write(outcome.batch, at_ms=self._now_ms()))
        self._report.stored(received_ms, self._now_ms())
        if trace is not None:
            trace.stored()
        self._at("written")
        self._output.produce(outcome, trace)
        self._at("produced")
        self._patiently(self._output.flush, "kafka")
        if trace is not None:
            trace.told()
        self._at("flushed")
        self._report.add(outcome, time.perf_counter() - started)
        return _Written(offsets, lost, self._output.take_held())

    def _patiently(self, act: Callable[[], T], whom: str = "store") -> T:
        """
        Until it works, or the process is asked to stop: each of the steps may be repeated. Args: whom: asks whose port.
        """

        thread = threading.get_ident()

        def again(error: Exception) -> bool:
            waits = isinstance(error, Unavailable) and not self._stop.is_set()
            self._waits[thread] = str(error) if waits else ""
            return waits

        self._asked[thread] = time.monotonic(), whom
        try:
            try:
                return act()  # nearly always; what stamina makes for each call is garbage in circles
            except Unavailable as exc:
                if not again(exc):
                    raise
            for attempt in stamina.retry_context(on=again, attempts=None, timeout=None, wait_max=RETRY_MAX_S):
                with attempt:
                    done = act()
            self._waits[thread] = ""
            return done
        finally:
            self._asked.pop(thread, None)

    def _finish(self) -> None:
        """Wait for the batch that is being written, then commit it: only the polling thread touches the consumer."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            written = pending.result()
            self._memory.lose(written.lost)
            self._unsent.keep(written.held)
            self._ownership.commit(written.offsets)
            self._at("committed")

    def _reap(self) -> None:
        if self._pending is not None and self._pending.done():
            self._finish()

    def _send_again(self, epoch: int, partitions: Sequence[int]) -> None:
        """When partitions come: what the last batch of each had to send, which its writer may not have done."""
        self._finish()
        self._forward(self._reading.outbox(epoch, partitions))

    def _forward(self, outbox: Sequence[Outgoing]) -> None:
        """To other profiles, while nothing is written."""
        if outbox:
            self._output.forward(outbox)
            self._patiently(self._output.flush, "kafka")
            self._unsent.keep(self._output.take_held())

    def _let_go(self) -> None:
        """Before partitions go: their batch is finished, then everything about them is forgotten."""
        try:
            self._finish()
        finally:
            self._memory.clear()


def _records(messages: Sequence[Message]) -> list[LogRecord]:
    records = []
    for message in messages:
        error = message.error()
        if error is not None:
            _judge(error)
            continue
        headers = message.headers()
        records.append(
            LogRecord(
                message.partition() or 0,
                message.offset() or 0,
                min(max(message.timestamp()[1], 0), LAST_MS),  # whoever writes to our topic may put in what they like
                message.key() or b"",
                message.value() or b"",
                read_replay(headers),
                read_received(headers) if headers else None,
            )
        )
    return records


def _judge(error: KafkaError) -> None:
    """Errors that librdkafka retries by itself pass with a warning; the others end the process."""
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        raise Refused(
            "kafka",
            f"{error.str()}: records between the last one stored and the oldest one kept are gone. See `hub doctor`; "
            "`hub collector --accept-gap` goes on behind the gap",
        )
    if error.fatal():
        raise Unavailable("kafka", error.str())
    log.warning("collector.kafka", error=error.str())
