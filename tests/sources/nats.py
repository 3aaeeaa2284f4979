"""NATS: one stream with one subject."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import nats
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy

from tests.servers import running
from tests.sources import Open, World

T = TypeVar("T")
ROUND: Final = 200


class NatsSource:
    """See Source."""

    kind = "nats"
    most_bytes = 30 * 1024 * 1024 - 4096  # over 32 MB, JetStream's own files take a message for damaged
    keeps_order = True

    def __init__(self, url: str, name: str, retention: RetentionPolicy = RetentionPolicy.LIMITS) -> None:
        self.url = url
        self.stream = name
        self.subject = f"source.{name}"
        self.settings: dict[str, Any] = {"url": url, "stream": name}
        make = partial(JetStreamContext.add_stream, name=name, subjects=[f"{self.subject}.>"], retention=retention)
        on_jetstream(url, make)

    def put(self, bodies: Sequence[bytes]) -> None:
        on_jetstream(self.url, partial(publish, subject=f"{self.subject}.a", bodies=bodies))


async def publish(
    js: JetStreamContext, subject: str, bodies: Sequence[bytes], headers: dict[str, str] | None = None
) -> None:
    """In order; returns when the server has them."""
    for start in range(0, len(bodies), ROUND):
        sent = [await js.publish_async(subject, body, headers=headers) for body in bodies[start : start + ROUND]]
        await asyncio.gather(*sent)


def on_jetstream(url: str, call: Callable[[JetStreamContext], Awaitable[T]], **options: Any) -> T:
    """Its result, on a connection and an event loop of its own: the caller may have a loop that runs."""

    async def run() -> T:
        client = await nats.connect(url, **options)
        try:
            return await call(client.jetstream(timeout=30))
        finally:
            await client.close()

    return _apart(run())


def _apart(work: Coroutine[Any, Any, T]) -> T:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@contextmanager
def stream(world: World, retention: RetentionPolicy = RetentionPolicy.LIMITS) -> Iterator[NatsSource]:
    with running.shared("nats", world.folder / "nats") as url:
        source = NatsSource(url, world.namespace, retention)
        yield source
        on_jetstream(url, partial(JetStreamContext.delete_stream, name=source.stream))


WAYS: Final[dict[str, Open]] = {
    "limits": stream,
    "workqueue": partial(stream, retention=RetentionPolicy.WORK_QUEUE),
}
