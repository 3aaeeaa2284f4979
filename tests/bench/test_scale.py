"""More collectors: how much more they store, and for how long nothing is stored when one joins."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple, cast

import psutil
import pytest
from confluent_kafka import Producer

from hub.log.config import producer_config
from hub.log.progress import Progress
from hub.store.factory import open_store
from schemas.topics import EVENTS
from tests.bench import conditions, payloads, preload, processes, scale
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.tracking import Course, follow
from tests.kafka_tools import eventually, read

COUNT: Final = int(os.environ.get("HUB_BENCH_EVENTS", "200000"))
MOST: Final = int(os.environ.get("HUB_BENCH_COLLECTORS", "3"))
HOW: Final = (
    f"As section 3 ({COUNT:,} events of {payloads.SINGLE_BYTES} bytes on six partitions, SQLite), with one and more "
    "`hub collector` processes that may use every core. `bare` is the store's bulk rate: the same batches, one thread, "
    "nothing else. From the first stored batch to the last. Kafka shares the cores, and SQLite has one writer at a "
    "time: beyond what both leave, more collectors bring nothing."
)


class Together:
    """Several processes as one, for `follow`."""

    def __init__(self, some: Sequence[psutil.Process]) -> None:
        self._some = some

    def cpu_times(self) -> _Times:
        """Of all of them."""
        times = [one.cpu_times() for one in self._some]
        return _Times(sum(one.user for one in times), sum(one.system for one in times))

    def is_running(self) -> bool:
        """Whether all of them are."""
        return all(one.is_running() for one in self._some)


class _Times(NamedTuple):
    user: float
    system: float


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_scale(bench: Bench) -> None:
    """How much more is stored with each collector, until the store or Kafka or the cores are the limit."""
    bench.define("mapping", "spending", dict(payloads.MAPPING))
    preload.events(bench.kafka, bench.namespace, COUNT)
    courses: dict[int, list[Course]] = defaultdict(list)
    bare: list[float] = []
    for run in range(RUNS):
        for count in range(1, MOST + 1):
            courses[count].append(collect(bench, run, count))
        url = f"sqlite:///{bench.folder / f'bare-{run}.sqlite'}"
        part = processes.ask("bare_store", bench.kafka.bootstrap, bench.namespace, url, COUNT)
        bare.append(part["rate"]["store"])
    rates = {count: [course.rate for course in some] for count, some in courses.items()}
    write(
        "22. Collectors side by side",
        HOW,
        [
            *(Row(f"events/s, {count} collectors", some, bare) for count, some in rates.items()),
            *(
                Row(f"to one, {count} collectors", [ours / one for ours, one in zip(some, rates[1], strict=True)])
                for count, some in rates.items()
                if count > 1
            ),
            *(
                Row(f"CPU s per 100,000 events, {count} collectors", [course.cpu_s_per_100k for course in some])
                for count, some in courses.items()
            ),
        ],
        bench.began,
    )
    scale.show(rates, bare, f"{bench.began}, {conditions.machine()}")


def collect(bench: Bench, run: int, count: int) -> Course:
    """All of the log with so many collectors, into a store of its own."""
    url = f"sqlite:///{bench.folder / f'hub-{run}-{count}.sqlite'}"
    with closing(open_store(url)) as store, ExitStack() as stack:
        variables = bench.variables(store_url=url)
        some = [stack.enter_context(processes.hub("collector", bench.folder, variables)) for _ in range(count)]
        together = cast("psutil.Process", Together(some))
        course = follow(together, lambda: sum(store.latest_progress()[1].values()), COUNT, timeout_s=400)
        assert sum(counts.stored for _, counts in store.counters()) == COUNT
        assert store.count("profiles", "") == payloads.PROFILES
    return course


RATE: Final = int(os.environ.get("HUB_BENCH_RATE", "500"))
WINDOW_S: Final = float(os.environ.get("HUB_BENCH_WINDOW_S", "10"))
JOINING: Final = (
    f"{RATE:,} events of {payloads.SINGLE_BYTES} bytes a second onto six partitions, by the clock; `hub collector` "
    f"with SQLite. Each {WINDOW_S:g} s one thing happens: nothing, a second one is started, a third, the third is told "
    "to stop. Of each record: from Kafka's time stamp to when its batch was written, as the store has it. The longest "
    "of a stage is its pause: a mean would not show that one partition stands still. `bare` is the first stage."
)
STAGES: Final = ("one collector", "a second joins", "a third joins", "the third leaves")


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_scale_pause(bench: Bench) -> None:
    """When a collector joins, nothing stands still for more than two seconds."""
    bench.define("mapping", "spending", dict(payloads.MAPPING))
    waits: dict[str, list[float]] = {stage: [] for stage in STAGES}
    quiet: list[float] = []
    for run in range(RUNS):
        namespace = f"{bench.namespace}-{run}"
        bench.prepare(namespace)
        path = bench.folder / f"pause-{run}.sqlite"
        begins = course(bench, namespace, path)
        found = pauses(bench, namespace, path, begins)
        for stage, wait_s in zip(STAGES, found, strict=True):
            waits[stage].append(wait_s)
        quiet.append(found[0])
    write(
        "23. A collector joins",
        JOINING,
        [
            Row(f"longest wait of a record, s: {stage}", some, quiet, Floor(2, at_most=True))
            for stage, some in waits.items()
        ],
        bench.began,
    )


def course(bench: Bench, namespace: str, path: Path) -> list[int]:
    """Load, and what happens meanwhile. Returns when each stage began, milliseconds since 1970; the last is its end."""
    variables = bench.variables(namespace, f"sqlite:///{path}")
    begins: list[int] = []
    with ExitStack() as collectors, Load(bench, namespace) as load:
        collectors.enter_context(processes.hub("collector", bench.folder, variables))
        progress = Progress(bench.kafka, namespace)
        collectors.callback(progress.close)
        eventually(lambda: sum(progress().values()) > 0, 120)  # it has begun

        def stage() -> None:
            begins.append(time.time_ns() // 1_000_000)
            load.over.wait(WINDOW_S)

        stage()
        collectors.enter_context(processes.hub("collector", bench.folder, variables))
        stage()
        with processes.hub("collector", bench.folder, variables):
            stage()
        stage()
        begins.append(time.time_ns() // 1_000_000)
        load.stop()
        sent = load.sent
        eventually(lambda: sum(progress().values()) >= sent, 120)
    return begins


class Load:
    """RATE records a second onto events.v1, on a thread."""

    def __init__(self, bench: Bench, namespace: str) -> None:
        self.sent = 0
        self.over = threading.Event()
        self._producer = Producer(producer_config(bench.kafka))
        self._topic = EVENTS.name(namespace)
        self._records = preload.inbounds(int(RATE * (WINDOW_S * len(STAGES) + 240)))
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """All that was sent is acknowledged."""
        self.over.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        for key, value in self._records:
            while (ahead_s := self.sent / RATE - (time.monotonic() - began)) > 0 and not self.over.is_set():
                self._producer.poll(min(ahead_s, 0.01))
            if self.over.is_set():
                break
            self._producer.produce(self._topic, value, key)
            self.sent += 1
        assert self._producer.flush(30) == 0


def pauses(bench: Bench, namespace: str, path: Path, begins: Sequence[int]) -> list[float]:
    """Of each stage, the longest time that one of its records waited, seconds."""
    longest = [0.0] * len(STAGES)
    written = writes(path)
    for message in read(bench.kafka, namespace, EVENTS):
        sent_ms, place = message.timestamp()[1], (message.partition() or 0, message.offset() or 0)
        stage = sum(begin <= sent_ms for begin in begins) - 1
        if 0 <= stage < len(STAGES):
            longest[stage] = max(longest[stage], (written[place] - sent_ms) / 1000)
    return longest


def writes(path: Path) -> Mapping[tuple[int, int], int]:
    """By partition and offset, when its batch was written, milliseconds since 1970."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT partition, first_offset, next_offset, at_ms FROM writes").fetchall()
    return {(partition, offset): at_ms for partition, first, next, at_ms in rows for offset in range(first, next)}
