"""NATS: a stream of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import msgspec
from nats.js import JetStreamContext

from tests.servers import running
from tests.sources import World
from tests.sources.nats import on_jetstream
from tests.targets import Arrived, Open, Sink


class NatsSink:
    """See Sink."""

    kind = "nats"
    exactly_once = True  # within the stream's duplicate window

    def __init__(self, url: str, name: str, **options: Any) -> None:
        """Args: options: of the test's own connections."""
        self.url, self.stream, self._options = url, name, options
        settings = {"url": url, "subject": f"sink.{name}"}
        self.definition: dict[str, Any] = {"settings": settings}
        self.away = {**settings, "url": "nats://127.0.0.1:1"}
        on_jetstream(url, partial(JetStreamContext.add_stream, name=name, subjects=[f"sink.{name}"]), **options)

    def arrived(self) -> Sequence[Arrived]:
        return on_jetstream(self.url, self._read, **self._options)

    async def _read(self, js: JetStreamContext) -> list[Arrived]:
        count = (await js.stream_info(self.stream)).state.messages
        found = []
        for number in range(1, count + 1):
            message = await js.get_msg(self.stream, number)
            found.append(Arrived((message.headers or {})["hub-event-id"], msgspec.json.decode(message.data or b"")))
        return found


@contextmanager
def stream(world: World) -> Iterator[Sink]:
    with running.shared("nats", world.folder / "nats") as url:
        yield NatsSink(url, f"{world.namespace}_sink")


WAYS: Final[dict[str, Open]] = {"": stream}
