"""Takes N messages off a source and dies without a word: `python -m tests.bridge_taker KIND SETTINGS N`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from bridges.base import Context
from bridges.registry import spec_of


async def main(kind: str, settings: str, count: int) -> None:
    spec = spec_of(kind)
    bridge = spec.build(spec.settings.model_validate_json(settings), Context("contract", "t", os.environ))
    await bridge.connect()
    taken: list[str] = []
    while len(taken) < count:
        batch = await bridge.take(count - len(taken))
        taken += [delivery.body.decode() for delivery in batch.deliveries]
        if len(taken) <= count // 2:
            await bridge.ack(batch)
    print(json.dumps(taken), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
