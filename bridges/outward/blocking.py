"""Targets whose client blocks."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bridges.base import Context
from bridges.outward.base import Message, Rejected, Target

T = TypeVar("T")


class BlockingTarget(Target):
    """All calls of the client are made on one thread, the target's own."""

    def __init__(self, context: Context) -> None:
        """Does not connect yet."""
        self._context = context
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"destination-{context.bridge}")

    async def connect(self) -> None:
        """See Target."""
        await self._run(self._connect)

    async def send(self, batch: Sequence[Message]) -> Sequence[Rejected]:
        """See Target."""
        return await self._run(lambda: self._send(batch))

    async def close(self) -> None:
        """See Target. What is on its way is given up: it is sent again."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    # everything below runs on the target's own thread

    @abstractmethod
    def _connect(self) -> None:
        """See Target.connect."""

    @abstractmethod
    def _send(self, batch: Sequence[Message]) -> list[Rejected]:
        """See Target.send."""

    @abstractmethod
    def _close(self) -> None:
        """See Target.close."""
