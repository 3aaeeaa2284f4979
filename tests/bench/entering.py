"""
`python -m tests.bench.entering PORT RATE SECONDS EACH RUN BOOTSTRAP TOPIC`: from the answer of /track to who is in.

Sends RATE purchases a second by the clock, as `visibility` does; one of EACH is so dear that its profile, which none
had before, enters the segment s000 of `segments`. From its answer on: until `segment-entered` can be read from TOPIC,
which is stored.v1, and until GET /profiles/{id} says so. Prints one JSON object; milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import aiohttp
import msgspec
import uvloop

from hub.pipeline.segment_events import ENTERED
from schemas.codec import decode_stored
from tests.bench import payloads
from tests.bench.passage import Arrivals
from tests.bench.visibility import ASK_EVERY_S, GIVE_UP_S, KEY, figures

SEGMENT: Final = "s000"
DEAR: Final = 5_000
MANY: Final = 10**9


class Seen:
    """`accepted_ns`: by profile, when the purchase was answered. `visible`: until it is in the profile, ms."""

    def __init__(self) -> None:
        """Empty."""
        self.accepted_ns: dict[str, int] = {}
        self.visible: list[float] = []


async def one(session: aiohttp.ClientSession, url: str, profile: str, number: int, *, asked: bool, seen: Seen) -> None:
    """Send a purchase; follow the profile if it is one of those."""
    properties = {
        "price": DEAR if asked else 1.5,
        "quantity": 1,
        "product": f"sku-{number % 5_000:05d}",
        "category": "toys",
        "note": "x" * 350,
    }
    body = {
        "source": {"id": payloads.SOURCE},
        "profile": {"id": profile},
        "session": {"id": f"s-{profile}"},
        "events": [{"type": "purchase", "properties": properties}],
    }
    async with session.post(f"{url}/track", data=msgspec.json.encode(body)) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()
    if not asked:
        return
    accepted_ns = seen.accepted_ns[profile] = time.time_ns()
    while True:
        async with session.get(f"{url}/profiles/{profile}", headers=KEY) as answer:
            found = await answer.read()
            assert answer.status in {200, 404}, found
        if answer.status == 200 and SEGMENT in msgspec.json.decode(found)["segments"]:
            break
        assert time.time_ns() - accepted_ns < GIVE_UP_S * 1e9, f"{profile} is not in {SEGMENT} after {GIVE_UP_S:g} s"
        await asyncio.sleep(ASK_EVERY_S)
    seen.visible.append((time.time_ns() - accepted_ns) / 1e6)


async def measure(port: int, rate: int, seconds: float, each: int, run: int) -> Seen:
    """Open loop: a purchase is due when it is due."""
    seen = Seen()
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        began = time.perf_counter()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            asked = number % each == 0
            profile = f"new-{run}-{number}" if asked else f"p{number % payloads.PROFILES}"
            group.create_task(one(session, url, profile, number, asked=asked, seen=seen))
    return seen


def told(arrivals: Arrivals, accepted_ns: dict[str, int]) -> Iterator[float]:
    """Until each could be read, ms; what can be read before the answer is there counts as 0."""
    waiting = dict(accepted_ns)
    for at_ns, value in arrivals.found:
        stored = decode_stored(value)
        is_asked = stored["type"] == ENTERED and stored["profile_id"] in waiting
        if is_asked and msgspec.json.decode(stored["event"])["properties"]["segment"] == SEGMENT:
            yield max(0, at_ns - waiting.pop(stored["profile_id"])) / 1e6
    assert not waiting, f"{len(waiting)} of {len(accepted_ns)} are not told of, such as {next(iter(waiting))}"


def main(port: int, rate: int, seconds: float, each: int, run: int, bootstrap: str, topic: str) -> dict[str, Any]:
    """What it took."""
    arrivals = Arrivals(bootstrap, topic, MANY)
    arrivals.start()
    seen = uvloop.run(measure(port, rate, seconds, each, run))
    arrivals.join()
    return {"told": figures(list(told(arrivals, seen.accepted_ns))), "visible": figures(seen.visible)}


if __name__ == "__main__":
    port, rate, seconds, each, run, bootstrap, topic = sys.argv[1:]
    result = main(int(port), int(rate), float(seconds), int(each), int(run), bootstrap, topic)
    print(msgspec.json.encode(result).decode())
