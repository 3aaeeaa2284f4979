"""
The bare MQTT bridge: `python -m tests.bench.bare_mqtt BOOTSTRAP SETTINGS TARGET RECORDS`.

paho with its own thread and manual acknowledgements, decode, encode, produce with a callback; no checks, no ids.
SETTINGS are a bridge's, as JSON.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import msgspec
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.bench.bare_onward import Onward

PREFETCH = 1000


def main(bootstrap: str, settings: dict[str, Any], target: str, count: int) -> None:
    """Forward `count` messages and print what it took."""
    onward = Onward(bootstrap, target, count)
    waiting: deque[MQTTMessage] = deque()
    client = Client(
        CallbackAPIVersion.VERSION2, settings["client_id"], protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
    )
    client.on_message = lambda _, __, message: waiting.append(message)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = PREFETCH
    parts = urlsplit(settings["url"])
    client.connect(parts.hostname or "", parts.port or 1883, clean_start=False, properties=properties)
    client.loop_start()

    def acknowledge(messages: list[MQTTMessage]) -> None:
        for message in messages:
            client.ack(message.mid, message.qos)

    while not onward.all_taken:
        messages = [waiting.popleft() for _ in range(len(waiting))]
        if messages:
            onward.send([bytes(message.payload) for message in messages], messages)
        else:
            time.sleep(0.001)
        for token in onward.acknowledged():
            acknowledge(token)
    onward.finish(acknowledge)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
