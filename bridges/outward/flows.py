"""What runs of flows ask of other systems, for code that blocks: calls and messages, on a loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final, TypeVar

from bridges.blobs import LateBlobs
from bridges.kept import Hub
from bridges.outward.calls import Calls
from bridges.outward.messages import Messages
from hub.definitions.catalogue import Catalogue
from hub.errors import Unavailable
from hub.flows.effects import Answer, CallHttp, SendMessage
from hub.settings import Settings
from hub.stack.sealing import sealing_of

T = TypeVar("T")

CLOSE_S: Final = 5.0


class FlowOutward:
    """See hub.flows.outward.Outward. The loop and its thread begin with the first call."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], catalogue: Catalogue) -> None:
        """Connects nowhere yet."""
        self._blobs = LateBlobs(settings.store_url)
        self._calls = Calls(settings.flows, environ)
        self._messages = Messages(_hub(settings, environ, catalogue, self._blobs), settings.flows)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def call(self, ask: CallHttp) -> Answer:
        """See there."""
        return self._run(self._calls.call(ask))

    def send(self, messages: Sequence[SendMessage]) -> None:
        """See there."""
        if messages:
            self._run(self._messages.send(messages))

    def send_again(self, messages: Sequence[SendMessage]) -> dict[str, str]:
        """See there."""
        if not messages:
            return {}
        return {one.message.id: one.why for one in self._run(self._messages.send_again(messages))}

    def close(self) -> None:
        """See there."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        self._blobs.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Raises Unavailable: the process ends."""
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._started())
        except Unavailable:
            work.close()
            raise
        try:
            return future.result()
        except CancelledError as exc:
            raise Unavailable("flows", "the process ends") from exc

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise Unavailable("flows", "the process ends")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="flows-outward", daemon=True)
                self._thread.start()
            return self._loop

    async def _end(self) -> None:
        """What is under way is given up: whoever asked does it again."""
        under_way = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._messages.close()
                await self._calls.close()


def _hub(settings: Settings, environ: Mapping[str, str], catalogue: Catalogue, blobs: LateBlobs) -> Hub:
    return Hub(
        kafka=settings.kafka,
        namespace=settings.namespace,
        limits=settings.limits,
        in_flight=settings.bridges.in_flight,
        catalogue=catalogue,
        blobs=blobs,
        environ=environ,
        sealing=sealing_of(settings),
        egress=settings.egress,
    )
