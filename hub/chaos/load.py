"""The load: payloads over REST and messages on a topic, each sent until it is acknowledged, and written down."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import aiohttp

from hub.chaos.checker.ledger import Step, Writer
from hub.chaos.plan import Payload
from hub.edge.mapping import ID_HEADER
from hub.errors import HubError
from hub.log.producer import Publisher

PATIENCE_S: Final = 8.0
IMPATIENCE_S: Final = 1.0
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 1.0
AGAIN_S: Final = 3.0
"""Until at most so long after its acknowledgement a payload is sent a second time."""

Attempt: TypeAlias = Callable[[Payload, float], Awaitable[str]]
"""Sends once, waiting for so many seconds: `""` acknowledged, else why not. Raises Rejected."""


class Rejected(Exception):
    """Sending it again would not help."""


class Load:
    """Sends by plan: payloads of one profile one after another, those of different ones side by side."""

    def __init__(self, ledger: Writer) -> None:
        """Args: ledger: gets everything that is sent."""
        self._ledger = ledger
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._later: set[asyncio.Task[None]] = set()
        self.latencies_s: list[float] = []
        """From when a payload was due to its acknowledgement, waiting for the one before it included."""
        self.attempts = 0
        self.failures: dict[str, int] = defaultdict(int)
        """Attempts without an acknowledgement, by reason."""

    async def run(self, payloads: Iterable[Payload], attempt: Attempt, started_at: float) -> None:
        """Until all are acknowledged or given up. Args: started_at: of time.monotonic, what `due_s` counts from."""
        of_profile: dict[str, list[Payload]] = defaultdict(list)
        for payload in payloads:
            of_profile[payload.profile].append(payload)
        async with asyncio.TaskGroup() as group:
            for queue in of_profile.values():
                group.create_task(self._in_turn(queue, attempt, started_at))
        while self._later:
            await asyncio.gather(*self._later)

    async def send(self, payload: Payload, attempt: Attempt, due_at: float) -> bool:
        """One payload, behind those of its profile. Returns whether it was acknowledged."""
        async with self._turns[payload.profile]:
            self._note_sent(payload)
            wait_s = FIRST_WAIT_S
            patience_s = IMPATIENCE_S if payload.impatient else PATIENCE_S
            while True:
                why = await self._once(payload, attempt, patience_s)
                if not why:
                    self.latencies_s.append(time.monotonic() - due_at)
                    return True
                if payload.forsaken or why == "rejected":
                    return False
                await asyncio.sleep(wait_s)
                wait_s, patience_s = min(LONGEST_WAIT_S, wait_s * 2), PATIENCE_S

    async def _in_turn(self, queue: Iterable[Payload], attempt: Attempt, started_at: float) -> None:
        for payload in queue:
            due_at = started_at + payload.due_s
            await asyncio.sleep(max(0.0, due_at - time.monotonic()))
            if await self.send(payload, attempt, due_at) and payload.twice:
                task = asyncio.create_task(self._again(payload, attempt))
                self._later.add(task)
                task.add_done_callback(self._later.discard)

    async def _again(self, payload: Payload, attempt: Attempt) -> None:
        await asyncio.sleep(random.Random(payload.id).uniform(0, AGAIN_S))
        await self._once(payload, attempt, PATIENCE_S)

    async def _once(self, payload: Payload, attempt: Attempt, patience_s: float) -> str:
        """Returns "" or why it was not acknowledged."""
        self.attempts += 1
        try:
            why = await attempt(payload, patience_s)
        except Rejected as exc:
            self._ledger.refused(payload.id, str(exc))
            self.failures["rejected"] += 1
            return "rejected"
        if why:
            self.failures[why] += 1
            self._ledger.unknown(payload.id, why)
        elif payload.bad:
            self._ledger.bad(mark(payload), acked=True)
        else:
            self._ledger.acked(payload.id)
        return why

    def _note_sent(self, payload: Payload) -> None:
        if payload.bad:
            self._ledger.bad(mark(payload), acked=False)
        else:
            self._ledger.sent(payload.id, payload.steps)


def mark(payload: Payload) -> str:
    """What is in a faulty message, and so in its dead letter."""
    return f"chaos-bad-{payload.id}"


def properties(step: Step) -> dict[str, object]:
    """Of the event."""
    made: dict[str, object] = {"seq": step.seq, "amount": step.cents / 100, "label": step.label, "one": 1}
    return made | {"email": step.email} if step.email else made


def over_rest(session: aiohttp.ClientSession, url: str, source: str, event_type: str) -> Attempt:
    """Attempts by POST /track. The same payload is the same bytes, however often it is sent."""

    async def attempt(payload: Payload, patience_s: float) -> str:
        document = {
            "id": payload.id,
            "source": {"id": source},
            "profile": {"id": payload.profile},
            "session": {"id": f"{payload.profile}-session"},
            "events": [{"id": s.id, "type": event_type, "properties": properties(s)} for s in payload.steps],
        }
        timeout = aiohttp.ClientTimeout(total=patience_s)
        try:
            async with session.post(f"{url}/track", data=json.dumps(document), timeout=timeout) as answer:
                body = await answer.read()
        except TimeoutError:
            return "timeout"
        except (aiohttp.ClientError, OSError):
            return "connection"
        if answer.status < 300:
            return ""
        if answer.status >= 500:
            return str(answer.status)
        raise Rejected(f"{answer.status} {body[:200]!r}")

    return attempt


def over_topic(publisher: Publisher, topic: str) -> Attempt:
    """Attempts by a message on a topic, which a bridge reads. The producer has patience of its own."""

    async def attempt(payload: Payload, _patience_s: float) -> str:
        try:
            # a second attempt is the same message, which a faulty one cannot say by itself
            await publisher.publish(
                topic, payload.profile.encode(), message(payload), [(ID_HEADER, payload.id.encode())]
            )
        except HubError:
            return "no delivery"
        return ""

    return attempt


def message(payload: Payload) -> bytes:
    """As the bridge's mapping reads it."""
    if payload.bad:
        return b"{" + mark(payload).encode()
    (step,) = payload.steps
    return json.dumps({"payload": payload.id, "who": step.profile, "event": step.id, **properties(step)}).encode()
