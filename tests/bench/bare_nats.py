"""
The bare NATS bridge: `python -m tests.bench.bare_nats BOOTSTRAP SETTINGS TARGET RECORDS`.

A pull consumer, fetch 500, decode, encode, produce with a callback, acknowledge each; no checks, no ids. SETTINGS are a
bridge's, as JSON.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec
import nats
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig

from tests.bench.bare_onward import Onward

FETCH = 500


async def main(bootstrap: str, settings: dict[str, Any], target: str, count: int) -> None:
    """Forward `count` messages and print what it took."""
    onward = Onward(bootstrap, target, count)
    client = await nats.connect(settings["url"])
    config = ConsumerConfig(max_ack_pending=20_000)
    subscription = await client.jetstream().pull_subscribe("", "bare", settings["stream"], config)

    async def acknowledge(messages: list[Msg]) -> None:
        for message in messages:
            await message.ack()

    while not onward.all_taken:
        messages = await subscription.fetch(FETCH)
        onward.send([message.data for message in messages], messages)
        for token in onward.acknowledged():
            await acknowledge(token)
    last: list[Msg] = []
    onward.finish(last.extend)
    await acknowledge(last)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], msgspec.json.decode(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
