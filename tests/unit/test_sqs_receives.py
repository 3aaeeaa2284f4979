"""How many receives of an `sqs` bridge are under way at once: more the more there is, one where nothing new comes."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from bridges.base import Context
from bridges.sqs import MOST, SqsBridge, SqsSettings


def messages(first: int, receipt: str) -> list[dict[str, Any]]:
    return [
        {"MessageId": f"m{number}", "ReceiptHandle": f"{receipt}{number}", "Body": "{}"}
        for number in range(first, first + MOST)
    ]


async def received(bridge: SqsBridge, found: list[dict[str, Any]]) -> int:
    """Receives that may be under way after one that brought these."""
    receive: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
    receive.set_result(found)
    bridge._receives.add(receive)
    bridge._collect()
    return bridge._parallel


async def test_what_comes_again_is_no_backlog() -> None:
    """What became visible too early, as the queue is slow, would otherwise be asked for ever more often."""
    bridge = SqsBridge(SqsSettings(queue="q", receivers=8), Context("b", "n", os.environ))
    assert [await received(bridge, messages(first, "early")) for first in (0, 10, 20, 30)] == [2, 4, 8, 8]
    assert [await received(bridge, messages(0, f"late{turn}")) for turn in range(8)] == [7, 6, 5, 4, 3, 2, 1, 1]
    assert bridge._receipts["m0"][0] == "late70", "it is deleted by its newest receipt"
    assert len(bridge._held) == 40
