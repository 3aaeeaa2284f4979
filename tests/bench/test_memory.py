"""Resident memory of API and collector while a million events go through both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from statistics import linear_regression
from typing import NamedTuple

import psutil
import pytest

from schemas.topics import EVENTS
from tests.bench import payloads, processes
from tests.bench.conftest import Bench
from tests.bench.results import Floor, Row, write
from tests.waiting import wait_for

TOTAL = 1_000_000
SAMPLE_EVERY_S = 0.5
HOW = (
    f"{TOTAL:,} events of about {payloads.EVENT_BYTES} bytes, {payloads.EVENTS} in a payload, from 64 connections at "
    f"full speed; {payloads.PROFILES:,} profiles with a session each; one mapping of four fields. One run. Resident "
    f"memory every {SAMPLE_EVERY_S:g} s, against the events that the process itself had done by then: the collector's "
    "million ends later."
)


class Sample(NamedTuple):
    """Events done so far, and resident megabytes."""

    events: int
    rss_mb: float


@pytest.mark.bench
@pytest.mark.timeout(1200)
def test_memory(bench: Bench) -> None:
    """API under 150 MB, collector under 400 MB, and flat."""
    bench.define("mapping", "spending", dict(payloads.MAPPING))
    requests = TOTAL // payloads.EVENTS
    with ExitStack() as stack:
        store = stack.enter_context(closing(bench.open_store()))

        def stored() -> int:
            return sum(store.latest_progress()[1].values()) * payloads.EVENTS

        def accepted() -> int:
            return bench.records(EVENTS) * payloads.EVENTS

        collector = stack.enter_context(processes.hub("collector", bench.folder, bench.variables()))
        api = stack.enter_context(processes.api(bench.folder, bench.variables()))
        of_collector = stack.enter_context(sampled(collector, stored))
        of_api = stack.enter_context(sampled(api.process, accepted))
        processes.load(api, "many", requests=requests)
        wait_for("all events are stored", lambda: stored() >= TOTAL, timeout_s=900)
        assert store.count("events", "") == TOTAL
    rows = [*figures("API", of_api, 150), *figures("collector", of_collector, 400)]
    write("7. Memory over a million events", HOW, rows, bench.began)


@contextmanager
def sampled(process: psutil.Process, done: Callable[[], int]) -> Iterator[list[Sample]]:
    """Take samples while the block runs, and one more at its end."""
    samples: list[Sample] = []
    over = threading.Event()

    def take() -> None:
        last = False
        while not last:
            last = over.wait(SAMPLE_EVERY_S)
            samples.append(Sample(done(), process.memory_info().rss / 1e6))

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def figures(name: str, samples: Sequence[Sample], limit_mb: float) -> list[Row]:
    """The peak, the way there, and how it grew in the second half."""
    assert samples[-1].events == TOTAL, f"{name}: {samples[-1].events} events of {TOTAL}"
    rows = [Row(f"{name}: highest, MB", [max(one.rss_mb for one in samples)], (), Floor(limit_mb, at_most=True))]
    for share in (25, 50, 75, 100):
        at = next(one for one in samples if one.events >= TOTAL * share // 100)
        rows.append(Row(f"{name}: at {share} %, MB", [at.rss_mb]))
    later = [one for one in samples if one.events >= TOTAL // 2]
    until = later[: 1 + next(place for place, one in enumerate(later) if one.events >= TOTAL)]
    if len({one.events for one in until}) > 1:
        slope = linear_regression([one.events / 100_000 for one in until], [one.rss_mb for one in until]).slope
        rows.append(Row(f"{name}: growth in the second half, MB per 100,000 events", [slope]))
    return rows
