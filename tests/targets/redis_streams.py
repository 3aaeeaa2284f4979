"""Redis: a stream on the run's Valkey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import redis

from tests.servers import running
from tests.sources import World
from tests.targets import Arrived, Open, Sink


class RedisSink:
    """See Sink."""

    kind = "redis_streams"
    exactly_once = False

    def __init__(self, url: str, stream: str) -> None:
        self.url, self.stream = url, stream
        settings = {"url": url, "stream": stream}
        self.definition: dict[str, Any] = {"settings": settings}
        self.away = {**settings, "url": "redis://127.0.0.1:1"}

    def arrived(self) -> Sequence[Arrived]:
        with redis.Redis.from_url(self.url) as client:
            entries: Any = client.xrange(self.stream)
        return [
            Arrived(fields[b"hub-event-id"].decode(), msgspec.json.decode(fields[b"body"])) for _, fields in entries
        ]


@contextmanager
def stream(world: World) -> Iterator[Sink]:
    with running.shared("valkey", world.folder / "valkey") as url:
        yield RedisSink(url, f"{world.namespace}.sink")


WAYS: Final[dict[str, Open]] = {"": stream}
