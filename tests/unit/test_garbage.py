"""The collector's garbage goes, without a long look in the middle of a batch."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from hub.collector.garbage import EVERY_S, IDLE_EVERY_S, Garbage


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


def old(garbage: Garbage) -> weakref.ref[Ring]:
    """Garbage that was still in use as the batch's was looked through."""
    ring = Ring()
    garbage.after_batch()
    return weakref.ref(ring)


def test_what_a_batch_leaves_goes_with_it() -> None:
    garbage, ring = Garbage(), lost()
    assert ring() is not None
    garbage.after_batch()
    assert ring() is None


def test_full_caches_are_not_looked_through_in_between() -> None:
    garbage = Garbage()
    looked: list[int] = []
    gc.callbacks.append(lambda phase, told: looked.append(told["generation"]) if phase == "start" else None)
    try:
        kept = [[number] for number in range(200_000)]
        garbage.after_batch()
    finally:
        gc.callbacks.pop()
    assert looked == [0]
    assert kept


@pytest.mark.parametrize(("after_s", "look"), [(IDLE_EVERY_S, "idle"), (EVERY_S, "after_batch")])
def test_the_rest_goes_when_nobody_waits_or_after_an_hour(after_s: float, look: str) -> None:
    clock = [0.0]
    garbage = Garbage(lambda: clock[0])
    ring = old(garbage)
    clock[0] = after_s - 1
    getattr(garbage, look)()
    assert ring() is not None
    clock[0] = after_s
    getattr(garbage, look)()
    assert ring() is None
