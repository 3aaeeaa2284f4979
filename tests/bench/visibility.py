"""
`python -m tests.bench.visibility PORT RATE SECONDS HOT EACH`: from the answer of /track to GET /events/{id}.

Sends RATE single events a second by the clock, whether or not earlier ones are answered; of EACH so many, one is asked
for until it is there. HOT of each 101 events belong to one profile. Prints one JSON object; milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from typing import Any, Final

import aiohttp
import msgspec
import uvloop

from tests.bench import payloads

ASK_EVERY_S: Final = 0.003
GIVE_UP_S: Final = 30.0
KEY: Final = {"Authorization": "Bearer bench"}


class Seen:
    """Latencies so far, in milliseconds; of the profile that is hot apart."""

    def __init__(self) -> None:
        """Empty."""
        self.accepted: list[float] = []
        self.visible: list[float] = []
        self.hot: list[float] = []


async def one(session: aiohttp.ClientSession, url: str, number: int, *, hot: bool, asked: bool, seen: Seen) -> None:
    """Send an event; follow it if it is one of those."""
    event_id = str(uuid.uuid4())
    profile = "hot" if hot else f"p{number % payloads.PROFILES}"
    body = {
        "source": {"id": payloads.SOURCE},
        "profile": {"id": profile},
        "session": {"id": f"s-{profile}"},
        "events": [
            {"id": event_id, "type": "purchase", "properties": {"price": 1.5, "quantity": 1, "note": "x" * 400}}
        ],
    }
    sent = time.perf_counter()
    async with session.post(f"{url}/track", data=msgspec.json.encode(body)) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()
    accepted = time.perf_counter()
    seen.accepted.append((accepted - sent) * 1000)
    if not asked:
        return
    while True:
        async with session.get(f"{url}/events/{event_id}", headers=KEY) as answer:
            await answer.read()
            if answer.status == 200:
                break
            assert answer.status == 404, await answer.text()
        assert time.perf_counter() - accepted < GIVE_UP_S, f"event {event_id} is not there after {GIVE_UP_S:g} s"
        await asyncio.sleep(ASK_EVERY_S)
    (seen.hot if hot else seen.visible).append((time.perf_counter() - accepted) * 1000)


async def measure(port: int, rate: int, seconds: float, hot: int, each: int) -> dict[str, Any]:
    """Open loop: an event is due when it is due."""
    seen = Seen()
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        began = time.perf_counter()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            asked = number % each == 0
            group.create_task(one(session, url, number, hot=number % 101 < hot, asked=asked, seen=seen))
    return {"accepted": figures(seen.accepted), "visible": figures(seen.visible), "hot": figures(seen.hot)}


def figures(values: list[float]) -> dict[str, float]:
    """Quantiles of a list; of an empty one nothing."""
    if not values:
        return {}
    ordered = sorted(values)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]}


if __name__ == "__main__":
    port, rate, seconds, hot, each = sys.argv[1:]
    result = uvloop.run(measure(int(port), int(rate), float(seconds), int(hot), int(each)))
    print(msgspec.json.encode(result).decode())
