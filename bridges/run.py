"""The `hub bridges` process, put together."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import ExitStack, closing
from typing import Any, Final

import msgspec
import structlog
import uvloop

from bridges.runner import Hub, Runner
from hub.definitions.catalogue import Catalogue
from hub.health import serve_health
from hub.log.bulk import BulkWindow
from hub.log.follower import Follower
from hub.log.progress import Progress
from hub.settings import Settings
from hub.stack.keys import identity_key
from hub.store.factory import open_store
from hub.store.port import Store

log: Final = structlog.get_logger()


def run(settings: Settings) -> None:
    """
    Run every enabled bridge until SIGTERM or SIGINT. Call it from the main thread.

    Raises: Unavailable when the definitions cannot be read.
    """
    catalogue = Catalogue(identity_key(settings.identity.key, settings.data))
    with ExitStack() as stack:
        follower = stack.enter_context(Follower(settings.kafka, settings.namespace, catalogue))
        blobs = LateBlobs(settings.store_url)
        stack.callback(blobs.close)
        progress = stack.enter_context(closing(Progress(settings.kafka, settings.namespace)))
        bulk = stack.enter_context(BulkWindow(progress, settings.bulk))
        runner = Runner(
            Hub(
                kafka=settings.kafka,
                namespace=settings.namespace,
                limits=settings.limits,
                in_flight=settings.bridges.in_flight,
                catalogue=catalogue,
                blobs=blobs,
                environ=os.environ,
                stop_share=settings.bridges.stop_share,
                stop_window=settings.bridges.stop_window,
                bulk=bulk,
            )
        )

        def ready() -> dict[str, Any]:
            # a bridge whose broker is away is that bridge's state, not a reason to call the process broken
            return {"ready": follower.level, "bridges": msgspec.to_builtins(runner.statuses())}

        stack.enter_context(serve_health(settings.health, ready))
        log.info("bridges.started", namespace=settings.namespace)
        uvloop.run(_until_signal(runner))
        log.info("bridges.stopped")


async def _until_signal(runner: Runner) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await runner.run(stop)


class LateBlobs:
    """The store's blobs, opened when the first message comes that is too large for a record: most never do."""

    def __init__(self, url: str) -> None:
        """Args: url: the store's."""
        self._url = url
        self._store: Store | None = None
        self._lock = threading.Lock()

    def put_blob(self, data: bytes) -> str:
        """See Blobs. Raises Unavailable."""
        return self._open().put_blob(data)

    def get_blob(self, sha256: str) -> bytes | None:
        """See Blobs. Raises Unavailable."""
        return self._open().get_blob(sha256)

    def close(self) -> None:
        """Close the store if it was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _open(self) -> Store:
        with self._lock:
            if self._store is None:
                self._store = open_store(self._url)
            return self._store
