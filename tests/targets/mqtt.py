"""MQTT: a topic of its own, with somebody who is subscribed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from tests.servers import running
from tests.sources import World
from tests.sources.mqtt import WITHIN_S, connected
from tests.targets import Arrived, Open, Sink


class MqttSink:
    """See Sink."""

    kind = "mqtt"
    exactly_once = False

    def __init__(self, url: str, topic: str) -> None:
        settings = {"url": url, "topic": topic}
        self.definition: dict[str, Any] = {"settings": settings}
        self.away = {**settings, "url": "mqtt://127.0.0.1:1"}
        self.topic = topic
        self.found: list[Arrived] = []
        self._news = threading.Condition()

    def came(self, _: Any, __: Any, message: Any) -> None:
        properties = dict(message.properties.UserProperty)
        with self._news:
            self.found.append(Arrived(properties["hub-event-id"], msgspec.json.decode(message.payload)))
            self._news.notify_all()

    def arrived(self) -> Sequence[Arrived]:
        """The broker may have acknowledged what is still on its way to here: so a quiet moment is the end."""
        with self._news:
            while self._news.wait(0.5):
                pass
            return list(self.found)


@contextmanager
def at(url: str, name: str) -> Iterator[MqttSink]:
    """Whoever is subscribed has a lasting session: what comes while the broker restarts is kept for it."""
    with connected(url, f"sink-{name}", lasting=True) as client:
        sink = MqttSink(url, f"sink/{name}")
        client.on_message = sink.came
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.subscribe(sink.topic, 1)
        assert subscribed.wait(WITHIN_S)
        yield sink


@contextmanager
def topic(world: World) -> Iterator[Sink]:
    with running.shared("mosquitto", world.folder / "mosquitto") as url, at(url, world.namespace) as sink:
        yield sink


WAYS: Final[dict[str, Open]] = {"": topic}
