"""When paused runs go on: a port, for whoever is given to `hub.flows.runner.Runner`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Scheduled(Protocol):
    """Knows at which seconds runs are due."""

    def at(self, seconds: Iterable[int]) -> None:
        """Have what is due at these moments go on then; seconds since 1970. Twice does no harm. Raises Unavailable."""
        ...


def second(due_ms: int) -> int:
    """The whole second at which a run goes on that is due then: no earlier. Args: due_ms: milliseconds since 1970."""
    return -(-due_ms // 1_000)
