"""What the collector asks of a store that is away is asked again, whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from hub.collector.patient import patient
from hub.errors import Refused, Unavailable
from hub.store.memory import MemoryStore
from hub.store.port import Writing


class Away:
    """A store that answers when it has been asked so often."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.asked: list[list[str]] = []

    def aliases(self, ids: Any) -> dict[str, Any]:
        self.asked.append(list(ids))
        if len(self.asked) <= self._times:
            raise Unavailable("store", "is away")
        return {}

    def undo(self, _id: str) -> None:
        raise Refused("store", "says no")


def three_times(act: Callable[[], Any]) -> Any:
    for _ in range(2):
        try:
            return act()
        except Unavailable:
            pass
    return act()


def test_it_is_asked_again_with_all_that_it_was_asked_for() -> None:
    store = Away(2)
    asked = patient(cast("Writing", store), three_times)
    assert asked.aliases(reversed(["a", "b"])) == {}  # type: ignore[arg-type]
    assert store.asked == [["b", "a"]] * 3
    with pytest.raises(Refused):
        asked.undo("m")


def test_an_answer_is_the_stores_own() -> None:
    store = MemoryStore()
    asked = patient(store, lambda act: act())
    assert asked.epoch("topic") == store.epoch("topic") == 1
    assert asked.progress(1) == {}
