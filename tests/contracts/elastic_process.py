"""Another process on the same search engine: `python -m tests.contracts.elastic_process URL NAMESPACE POINT`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NoReturn, TypeAlias

from hub.store.elastic import ElasticStore
from hub.store.elastic.client import Action, Engine, Result
from tests.contracts.batches import whole

EVENTS: Final = 40
Point: TypeAlias = Literal["before", "journal", "written", "half", "applied", "done"]
POINTS: Final[Sequence[Point]] = ("before", "journal", "written", "half", "applied", "done")
"""Of writing a batch, in their order: what has been sent of it."""
_REQUESTS: Final[dict[Point, tuple[int, int | None]]] = {
    "before": (1, 0),
    "journal": (1, -1),
    "written": (1, None),
    "half": (2, 30),
    "applied": (2, None),
    "done": (3, None),
}
"""Which request is the last one, and how many of its lines are sent; None: all."""


def die_at(engine: Engine, point: Point) -> None:
    """From now on this process dies, without warning, when it has sent so much."""
    send = engine.results
    last, lines = _REQUESTS[point]
    requests = 0

    def results(actions: Iterable[Action], *, in_order: bool = True) -> list[Result | None]:
        nonlocal requests
        requests += 1
        if requests < last:
            return send(actions, in_order=in_order)
        send(list(actions)[:lines])
        die()

    engine.results = results  # type: ignore[method-assign]


def die() -> NoReturn:
    """As by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


if __name__ == "__main__":
    store = ElasticStore(sys.argv[1], sys.argv[2])
    where: Point = sys.argv[3]  # type: ignore[assignment]
    die_at(store._engine, where)
    store.write(whole(1, EVENTS), at_ms=1_000)
