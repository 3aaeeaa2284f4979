"""MQTT: one topic of one session, made before the first message as the broker keeps none for nobody."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.servers import running
from tests.sources import Open, World

WITHIN_S: Final = 60.0
PROTOCOLS: Final = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}
FOR_EVER_S: Final = 0xFFFF_FFFF


class MqttSource:
    """See Source."""

    kind = "mqtt"
    most_bytes = 200 * 1024 * 1024
    keeps_order = True
    tells_time = False

    def __init__(self, url: str, name: str, *, qos: int = 1, version: str = "5", **settings: Any) -> None:
        """Args: name: of the session and, with a level before it, of the topic."""
        self.topic = f"source/{name}"
        self.settings: dict[str, Any] = {
            "url": url,
            "topics": self.topic,
            "client_id": name,
            "qos": qos,
            "version": version,
            **settings,
        }
        self.keeps_ids = version == "5"  # before it a message has no place for one
        self._url = url
        self._qos = qos
        with connected(url, name, version, lasting=True) as client:
            subscribed = threading.Event()
            client.on_subscribe = lambda *_: subscribed.set()
            client.subscribe(self.topic, qos)
            assert subscribed.wait(WITHIN_S)

    def put(self, bodies: Sequence[bytes]) -> None:
        publish(self._url, self.topic, bodies, self._qos)


@contextmanager
def connected(url: str, name: str = "", version: str = "5", *, lasting: bool = False) -> Iterator[Client]:
    """paho's client, with its own thread."""
    parts = urlsplit(url)
    protocol = PROTOCOLS[version]
    five = protocol == MQTTProtocolVersion.MQTTv5
    client = Client(CallbackAPIVersion.VERSION2, name, None if five else not lasting, protocol=protocol)
    client.max_inflight_messages_set(500)
    here = threading.Event()
    client.on_connect = lambda *_: here.set()
    options: dict[str, Any] = {}
    if five:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = FOR_EVER_S if lasting else 0
        options = {"clean_start": not lasting, "properties": properties}
    client.connect(parts.hostname or "", parts.port or 1883, **options)
    client.loop_start()
    try:
        assert here.wait(WITHIN_S)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def publish(
    url: str, topic: str, bodies: Sequence[bytes], qos: int = 1, *, named: bool = True, retain: bool = False
) -> None:
    """Returns when the broker has them; each with an id of its own, unless `named` is false."""
    with connected(url) as client:
        sent = [client.publish(topic, body, qos, retain, own_id() if named else None) for body in bodies]
        for message in sent:
            message.wait_for_publish(WITHIN_S)
            assert message.is_published()


def own_id() -> Properties:
    """The property that gives a message an id."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = ("hub-payload-id", str(uuid.uuid4()))
    return properties


@contextmanager
def session(world: World, **changes: Any) -> Iterator[MqttSource]:
    with running.shared("mosquitto", world.folder / "mosquitto") as url:
        yield MqttSource(url, world.namespace, **changes)


def way(**changes: Any) -> Callable[[World], Any]:
    return partial(session, **changes)


WAYS: Final[dict[str, Open]] = {"qos1": way(), "qos2": way(qos=2), "3.1.1": way(version="3.1.1")}
