"""Redis: a stream and a list on the run's Valkey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis

from tests.servers import running
from tests.sources import Open, Source, World

MOST_BYTES: Final = 512 * 1024 * 1024


class _Redis:
    """A key of one test. See Source."""

    most_bytes = MOST_BYTES
    keeps_order = True

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


class StreamSource(_Redis):
    """A stream, bodies in the field `body`."""

    kind = "redis_streams"

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        self.settings: dict[str, Any] = {"url": url, "streams": key}
        with self._client() as client:
            client.xgroup_create(key, "nobody", mkstream=True)

    def put(self, bodies: Sequence[bytes]) -> None:
        with self._client() as client:
            pipe = client.pipeline(transaction=False)
            for body in bodies:
                pipe.xadd(self.key, {"body": body, "h": b"v"})
            pipe.execute()


class ListSource(_Redis):
    """A list: RPUSH, and LPUSH for a bridge that takes from the right."""

    kind = "redis_list"

    def __init__(self, url: str, key: str, end: str) -> None:
        super().__init__(url, key)
        self.settings: dict[str, Any] = {"url": url, "key": key, "end": end}

    def put(self, bodies: Sequence[bytes]) -> None:
        with self._client() as client:
            push = client.rpush if self.settings["end"] == "left" else client.lpush
            for start in range(0, len(bodies), 100):
                push(self.key, *bodies[start : start + 100])


@contextmanager
def stream(world: World) -> Iterator[Source]:
    with running.shared("valkey", world.folder / "valkey") as url:
        yield StreamSource(url, f"{world.namespace}.source")


@contextmanager
def left(world: World) -> Iterator[Source]:
    with running.shared("valkey", world.folder / "valkey") as url:
        yield ListSource(url, f"{world.namespace}.source", "left")


@contextmanager
def right(world: World) -> Iterator[Source]:
    with running.shared("valkey", world.folder / "valkey") as url:
        yield ListSource(url, f"{world.namespace}.source", "right")


WAYS: Final[dict[str, Open]] = {"stream": stream, "left": left, "right": right}
