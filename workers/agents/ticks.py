"""What the process does again and again: who leads, and then heartbeats and segments. Whatever is away, it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import Counter

from hub.errors import Fenced, HubError

log: Final = structlog.get_logger()

TICKS: Final = Counter("hub_agents_ticks_total", "Looks at what is due that were done, by at what.", ["tick"])


class Tick:
    """
    One of these things.

    Attributes:
        name: For the log.
        trouble: Why it could not be done the last time, in words; empty if all is well.
    """

    def __init__(self, name: str, every_s: float, do: Callable[[], object]) -> None:
        """Args: every_s: between two of them. do: blocks; may raise HubError, and is called again."""
        self.name = name
        self._every_s = every_s
        self._do = do
        self.trouble = ""

    async def run(self) -> None:
        """Until it is cancelled; what is being done then is finished first."""
        while True:
            doing = asyncio.create_task(asyncio.to_thread(self), name=self.name)
            try:
                await asyncio.shield(doing)
            finally:
                await doing
            await asyncio.sleep(self._every_s)

    def __call__(self) -> None:
        """Do it. Raises nothing: what could not be done is done at the next time."""
        try:
            self._do()
        except Fenced as exc:
            log.warning("agents.fenced", tick=self.name, why=str(exc))
        except HubError as exc:
            if not self.trouble:
                log.warning("agents.tick_waits", tick=self.name, why=str(exc))
            self.trouble = str(exc)
        except Exception as exc:  # a fault in one of them must not end what the process does besides
            if repr(exc) != self.trouble:
                log.exception("agents.tick_fault", tick=self.name)
            self.trouble = repr(exc)
        else:
            TICKS.labels(self.name).inc()
            if self.trouble:
                log.info("agents.tick_goes_on", tick=self.name)
            self.trouble = ""


def led(leads: Callable[[], bool], do: Callable[[], object]) -> Callable[[], None]:
    """`do`, while this process leads: of several processes one does it."""

    def step() -> None:
        if leads():
            do()

    return step
