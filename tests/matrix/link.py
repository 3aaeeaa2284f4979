"""The way from the bridge to its broker, which can be cut: a proxy on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

from hub.chaos.proxy import Proxy
from hub.stack import ports

HOST: Final = "127.0.0.1"


class Link:
    """
    Cut, stalled and mended from any thread.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int) -> None:
        """Args: loop: runs on another thread."""
        self.port = port
        self._loop = loop
        self._proxy: Proxy | None = None

    def lead(self, to: int) -> None:
        """Begin. Args: to: the broker's port."""
        self._proxy = Proxy(self.port, HOST, to)
        self._wait(self._proxy.start())

    def cut(self) -> None:
        """Connections are reset, new ones too."""
        self._call("cut")

    def stall(self) -> None:
        """Connections stay, and nothing moves."""
        self._call("stall")

    def heal(self) -> None:
        """As before."""
        self._call("heal")

    def drop(self) -> None:
        """Those that are open are reset."""
        self._call("drop")

    def close(self) -> None:
        """For good."""
        if self._proxy is not None:
            self._wait(self._proxy.close())

    def _call(self, what: str) -> None:
        async def call() -> None:
            assert self._proxy is not None
            getattr(self._proxy, what)()

        self._wait(call())

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@contextmanager
def link() -> Iterator[Link]:
    """It leads nowhere yet, but its port is known."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="link")
    thread.start()
    made = Link(loop, ports.free_port())
    try:
        yield made
    finally:
        made.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
