"""How long the hub takes to be itself again after a fault: canaries are sent, and looked for in the store."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import aiohttp

from hub.chaos import plan
from hub.chaos.load import Attempt, Load
from hub.chaos.plan import Options, Payload

CANARIES: Final = 12
"""Profiles by REST: enough for every partition of six to have one nearly always (9 in 10 runs)."""
BY_TOPIC: Final = 2
LOOK_S: Final = 0.05
LOST_AFTER_S: Final = 90.0


class Recovery(NamedTuple):
    """
    Seconds from the end of the fault; None: not within a minute and a half, or not asked.

    Attributes:
        ready_s: Until the process says that it is ready.
        accepted_s: Until REST had accepted an event of each canary.
        stored_s: Until all of these could be read.
        bridged_s: Until messages that were written to the bridge's topic could be read.
    """

    ready_s: float | None
    accepted_s: float | None
    stored_s: float | None
    bridged_s: float | None


class Canaries:
    """Sends and looks. Canaries are events like any other: in the ledger, and checked."""

    def __init__(
        self,
        options: Options,
        load: Load,
        rest: Attempt,
        topic: Attempt | None,
        reads: Callable[[str], Awaitable[bool]],
    ) -> None:
        """Args: topic: None without a bridge. reads: whether the event of an id can be read."""
        self._run = options.run
        self._rng = random.Random(f"canaries {options.seed}")
        self._load = load
        self._rest = rest
        self._topic = topic
        self._reads = reads
        self._seqs: dict[str, int] = {}

    async def recovery(self, ended_at: float, works: Callable[[], Awaitable[None]] | None) -> Recovery:
        """Args: ended_at: of time.monotonic. works: returns when the process is ready; None: nobody to ask."""
        ready, (accepted, stored), (_, bridged) = await asyncio.gather(
            self._ready(works, ended_at),
            self._seen(self._rest, "canary", CANARIES, ended_at),
            self._seen(self._topic, "bridged", BY_TOPIC, ended_at),
        )
        return Recovery(ready, accepted, stored, bridged)

    async def _ready(self, works: Callable[[], Awaitable[None]] | None, ended_at: float) -> float | None:
        if works is None:
            return None
        await works()
        return time.monotonic() - ended_at

    async def _seen(
        self, attempt: Attempt | None, name: str, count: int, ended_at: float
    ) -> tuple[float | None, float | None]:
        if attempt is None:
            return None, None
        payloads = [self._next(f"chaos-{self._run}-{name}-{number}") for number in range(count)]
        try:
            async with asyncio.timeout(LOST_AFTER_S):
                now = time.monotonic()
                await asyncio.gather(*(self._load.send(payload, attempt, now) for payload in payloads))
                accepted = time.monotonic() - ended_at
                await self._look(payloads)
        except TimeoutError:
            return None, None
        return accepted, time.monotonic() - ended_at

    async def _look(self, payloads: Sequence[Payload]) -> None:
        for payload in payloads:
            while not await self._reads(payload.steps[0].id):  # noqa: ASYNC110 - see below
                # what is waited for is in another process, and tells nobody
                await asyncio.sleep(LOOK_S)

    def _next(self, profile: str) -> Payload:
        seq = self._seqs[profile] = self._seqs.get(profile, 0) + 1
        step = plan.step(self._run, profile, seq, self._rng)
        id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"payload {step.id}"))
        return Payload(id, profile, (step,), 0.0, impatient=False, forsaken=False, twice=False, bad=False)


def reads(session: aiohttp.ClientSession, url: str, key: str) -> Callable[[str], Awaitable[bool]]:
    """Whether GET /events/{id} finds the event."""
    headers = {"Authorization": f"Bearer {key}"}
    timeout = aiohttp.ClientTimeout(total=5)

    async def ask(id: str) -> bool:
        try:
            async with session.get(f"{url}/events/{id}", headers=headers, timeout=timeout) as answer:
                await answer.read()
                return answer.status == 200
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False

    return ask
