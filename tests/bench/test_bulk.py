"""Live events beside bulk ones: a file over REST and a backlog of a bridge, both at full speed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from hub.log.admin import LogAdmin
from hub.store.port import Store
from tests.bench import payloads, preload, processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write
from tests.waiting import wait_for

RATE: Final = 500
"""Loader, sender, bridges and servers share two cores: with twice that they are all busy before any bulk comes."""
SECONDS: Final = 16
MEASURED_S: Final = 6.0
ROWS: Final = 150_000
MESSAGES: Final = 150_000
HOW: Final = (
    "API, collector, bridges as processes with their default settings, an embedded Kafka, SQLite. Live: "
    f"{RATE:,} single events a second for {SECONDS} s, each tenth one asked for as in section 8. "
    "The file: `hub send` of payloads of 800 bytes "
    "with one event each, 32 connections. The backlog: a Kafka bridge, messages of 600 bytes in the /track shape. "
    "`bare` is the same run without bulk; for bulk by itself it is bulk that does not wait (`--priority live`, "
    f'`"priority": "live"`), stored events/s over {MEASURED_S:g} s. Loader, sender, API, bridges, collector and Kafka '
    "share the cores, so part of what live events lose is processor time."
)


class Course:
    """What a run needs: the API's port, and how much is stored."""

    def __init__(self, bench: Bench, port: int, store: Store) -> None:
        """Args: port: the API's."""
        self.bench = bench
        self.port = port
        self._store = store
        self._log = LogAdmin(bench.kafka, bench.namespace)

    def stored(self) -> int:
        """Records so far."""
        return sum(self._store.latest_progress()[1].values())

    def live(self) -> dict[str, Any]:
        """Latencies of live events."""
        return processes.ask("visibility", self.port, RATE, SECONDS, 0, 10)

    def rate(self) -> float:
        """Records that are stored a second, once some are."""
        first = self.stored()
        wait_for("bulk is under way", lambda: self.stored() > first + 2_000, 60)
        first, began = self.stored(), time.perf_counter()
        time.sleep(MEASURED_S)
        return (self.stored() - first) / (time.perf_counter() - began)

    def settled(self) -> None:
        """Until all of the log is stored."""
        wait_for("all is stored", lambda: self.stored() == sum(self._log.end_offsets().values()), 240)

    @contextmanager
    def file(self, path: Path, name: str, priority: str) -> Iterator[None]:
        """`hub send` at full speed while the block runs."""
        arguments = ["--via", "rest", "--name", name, "--url", f"http://127.0.0.1:{self.port}", "--priority", priority]
        command = [sys.executable, "-m", "hub", "send", str(path), *arguments]
        with subprocess.Popen(command, cwd=processes.ROOT, stderr=subprocess.DEVNULL) as sending:
            try:
                yield
                assert sending.poll() is None, "the file was too short"
            finally:
                sending.kill()
        self.settled()

    @contextmanager
    def backlog(self, topic: str, name: str, priority: str) -> Iterator[None]:
        """A bridge that has all of a topic before it while the block runs."""
        settings = {"bootstrap": self.bench.kafka.bootstrap, "topics": topic, "protocol": "consumer"}
        # a source for each: under the same one they would be the same events
        self.bench.define("source", name, {})
        spec = {"type": "kafka", "source": name, "settings": settings, "priority": priority}
        self.bench.define("bridge", name, spec)
        with processes.hub("bridges", self.bench.folder, self.bench.variables()):
            yield
        self.bench.define("bridge", name, {**spec, "enabled": False})
        self.settled()


@pytest.mark.bench
@pytest.mark.timeout(1_500)
def test_bulk(bench: Bench) -> None:
    """The p99 of live events is at most twice its usual; what bulk alone pays for that."""
    bench.define("mapping", "spending", dict(payloads.MAPPING))
    topic = f"{bench.namespace}.source"
    preload.messages(bench.kafka, topic, payloads.message, MESSAGES)
    path = bench.folder / "bulk.jsonl"
    with path.open("wb") as rows:
        rows.writelines(body + b"\n" for body in payloads.stream(payloads.single, ROWS))
    seen: dict[str, list[Any]] = {name: [] for name in ("alone", "file", "backlog")}
    rates: dict[str, list[float]] = {name: [] for name in ("file", "backlog", "file live", "backlog live")}
    with ExitStack() as stack:
        store = stack.enter_context(_closed(bench.open_store()))
        stack.enter_context(processes.hub("collector", bench.folder, bench.variables()))
        course = Course(bench, stack.enter_context(processes.api(bench.folder, bench.variables())).port, store)
        course.live()  # warm-up
        for run in range(RUNS):
            seen["alone"].append(course.live())
            ways: dict[str, Callable[[str], Any]] = {
                "file": lambda priority, run=run: course.file(path, f"file-{run}-{priority}", priority),
                "backlog": lambda priority, run=run: course.backlog(topic, f"backlog-{run}-{priority}", priority),
            }
            for name, start in ways.items():
                with start("bulk" if name == "file" else "normal"):
                    rates[name].append(course.rate())
                    seen[name].append(course.live())
                with start("live"):
                    rates[f"{name} live"].append(course.rate())
    write("10. Live before bulk", HOW, [*_latencies(seen), *_rates(rates)], bench.began)


@contextmanager
def _closed(store: Store) -> Iterator[Store]:
    try:
        yield store
    finally:
        store.close()


def _latencies(seen: dict[str, list[Any]]) -> Iterator[Row]:
    for of, what in (("accepted", "answer of /track"), ("visible", "queryable")):
        for quantile in ("p50", "p99"):
            alone = [run[of][quantile] for run in seen["alone"]]
            floor = Floor(2.0, "ratio", at_most=True) if (of, quantile) == ("visible", "p99") else None
            for name in ("file", "backlog"):
                beside = [run[of][quantile] for run in seen[name]]
                yield Row(f"{what} beside a {name}, {quantile}, ms", beside, alone, floor)


def _rates(rates: dict[str, list[float]]) -> Iterator[Row]:
    for name in ("file", "backlog"):
        yield Row(f"{name} alone, events/s", rates[name], rates[f"{name} live"])
