"""The collector's garbage goes, without a look in the middle of a batch; and events leave none that needs one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from hub.collector.garbage import EVERY_S, IDLE_EVERY_S, Garbage
from hub.collector.state import Memory
from hub.pipeline.process import process
from hub.pipeline.records import LogRecord, decode
from hub.settings import Collector
from hub.store.memory import MemoryStore
from tests.bench import preload
from tests.bench.rules import MAPPINGS, RULES
from tests.bench.step_costs import compiled


class Ring:
    """Holds itself, so that only a look finds that it is garbage."""

    def __init__(self) -> None:
        """A circle of one."""
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Tests after this one go by Python's thresholds again."""
    yield
    gc.enable()


def lost() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


def test_events_and_rubbish_leave_nothing_that_needs_a_look() -> None:
    definitions, memory, store = compiled((*RULES, *MAPPINGS)), Memory(Collector()), MemoryStore()
    epoch = store.epoch("test")
    made = enumerate(preload.inbounds(600, browsers=True))
    records = [LogRecord(0, offset, 1, key, value if offset % 50 else b"rubbish") for offset, (key, value) in made]

    def run(batch: list[LogRecord]) -> None:
        decoded = list(decode(batch))
        state = memory.load(decoded, epoch, {0: batch[0].offset}, store, definitions=definitions)
        outcome = process(decoded, state, definitions)
        store.write(outcome.batch)
        memory.keep(outcome)

    run(records[:300])  # what is made once
    gc.collect()
    Garbage()
    run(records[300:])
    assert gc.collect() < 10


@pytest.mark.parametrize(("after_s", "look"), [(IDLE_EVERY_S, "idle"), (EVERY_S, "after_batch")])
def test_the_rest_goes_when_nobody_waits_or_in_the_end(after_s: float, look: str) -> None:
    clock = [0.0]
    garbage = Garbage(lambda: clock[0])
    ring = lost()
    clock[0] = after_s - 1
    getattr(garbage, look)()
    assert ring() is not None
    clock[0] = after_s
    getattr(garbage, look)()
    assert ring() is None
