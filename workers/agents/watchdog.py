"""
Is the agent stuck? Triggers wait, nothing is committed, and no step is made; or one lane stands still in the middle of
something, whatever the other does. Pure but for the loop around it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import structlog
from prometheus_client import Gauge

from hub.errors import HubError

log: Final = structlog.get_logger()

LOOK_S: Final = 2.0

LAG: Final = Gauge("hub_agents_lag_triggers", "Triggers that wait in the partitions that this process reads.")
STILL_S: Final = Gauge(
    "hub_agents_still_seconds", "For how long triggers have waited without a step of the agent, in seconds."
)


class Beat:
    """A lane's sign of life: called with each step, by whichever thread."""

    def __init__(self) -> None:
        """Has nothing in hand."""
        self.steps = 0
        self.is_busy = False

    def __call__(self) -> None:
        """A step is made."""
        self.steps += 1


class Look(NamedTuple):
    """
    How things stand. By partition of triggers.v1, where it ends and what is committed.

    `mine`: partitions that this process reads; none: it waits for some, and all count. `steps`: made so far, by lane.
    `busy`: lanes that are in the middle of something.
    """

    ends: Mapping[int, int]
    committed: Mapping[int, int]
    mine: frozenset[int]
    steps: Mapping[str, int]
    busy: frozenset[str] = frozenset()


class Watchdog:
    """Told how things stand, says for how long they have not moved."""

    def __init__(self) -> None:
        """Has not looked yet."""
        self._last: tuple[object, ...] = ()
        self._since_s = 0.0
        self._lanes: dict[str, tuple[int, float]] = {}

    def look(self, look: Look, now_s: float) -> tuple[int, float]:
        """
        Args: now_s: any clock.

        Returns: how many triggers wait, and for how many seconds they, or those of a lane, have without any step.
        """
        watched = look.mine or frozenset(look.ends)
        committed = {number: look.committed.get(number, 0) for number in watched}
        lag = sum(max(0, look.ends.get(number, 0) - at) for number, at in committed.items())
        now = (look.mine, tuple(sorted(committed.items())), tuple(look.steps.items()))
        if not lag or now != self._last:
            self._last, self._since_s = now, now_s
        for lane, steps in look.steps.items():
            if lane not in look.busy or steps != self._lanes.get(lane, (-1, 0.0))[0]:
                self._lanes[lane] = steps, now_s
        return lag, now_s - min([self._since_s, *(since_s for _, since_s in self._lanes.values())])


def watch(
    look: Callable[[], Look],
    stuck_s: float,
    clock_s: Callable[[], float],
    stop: threading.Event,
    bite: Callable[[int, float], None],
) -> None:
    """
    Look until `stop` is set; on a thread of its own, as the loop may be what is stuck.

    Args:
        look: Blocks. Raises HubError: Kafka does not tell, so nothing can be said.
        bite: Called with the lag and the seconds once it has been stuck for `stuck_s`.
    """
    dog = Watchdog()
    while not stop.wait(LOOK_S):
        try:
            lag, still_s = dog.look(look(), clock_s())
        except HubError as exc:
            log.debug("agents.not_watched", why=str(exc))
            continue
        LAG.set(lag)
        STILL_S.set(still_s)
        if still_s >= stuck_s:
            bite(lag, still_s)
            return
