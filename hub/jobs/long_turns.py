"""Which runs may be at a long node now: of several workers one is left for whatever is due meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from hub.errors import Unavailable
from hub.jobs.queue import Call, JobQueue
from hub.jobs.turns import Turns
from schemas.jobs import GO_ON

log: Final = structlog.get_logger()

ALL: Final = "@long"
"""Instead of a flow, whose ids have no such character."""


class LongTurns:
    """Of one namespace. For one thread."""

    def __init__(self, turns: Turns, jobs: JobQueue, now_ms: Callable[[], int]) -> None:
        """Args: jobs: of `scheduler:live`. now_ms: the clock, milliseconds since 1970."""
        self._turns = turns
        self._jobs = jobs
        self._now_ms = now_ms

    @contextmanager
    def __call__(self, run: str) -> Iterator[bool]:
        """Whether it is the run's turn while the block runs; if not, it goes on when it is. Raises Unavailable."""
        most = max(1, self._jobs.living() - 1)
        is_mine = self._turns.take(ALL, run, most, self._now_ms())
        try:
            yield is_mine
        finally:
            if is_mine:
                self._next(run)

    def _next(self, run: str) -> None:
        try:
            following = self._turns.give_back(ALL, run)
            if following:
                self._jobs.enqueue([Call(GO_ON, following, 0)])
        except Unavailable as exc:  # what came of the node is not to be lost; nobody has the turn for ever
            log.warning("flows.turn_not_given_back", run=run, error=str(exc))
