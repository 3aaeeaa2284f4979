"""
The bare MQTT bridge: `python -m tests.bench.bare_mqtt BOOTSTRAP SETTINGS TARGET RECORDS`.

paho on one thread with manual acknowledgements, decode, encode, produce with a callback; no checks, no ids. MQTT 3.1.1,
whose packets are less work than those of 5. SETTINGS are a bridge's, as JSON.
"""

from __future__ import annotations

import select
import sys
from typing import Any
from urllib.parse import urlsplit

import msgspec
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.bare_onward import Onward

PREFETCH = 1000


def main(bootstrap: str, settings: dict[str, Any], target: str, count: int) -> None:
    """Forward `count` messages and print what it took."""
    onward = Onward(bootstrap, target, count)
    waiting: list[MQTTMessage] = []
    client = Client(CallbackAPIVersion.VERSION2, settings["client_id"], clean_session=False, manual_ack=True)
    client.on_message = lambda _, __, message: waiting.append(message)
    parts = urlsplit(settings["url"])
    client.connect(parts.hostname or "", parts.port or 1883)
    socket = client.socket()

    def acknowledge(messages: list[MQTTMessage]) -> None:
        for message in messages:
            client.ack(message.mid, message.qos)

    while not onward.all_taken:
        while len(waiting) < PREFETCH and select.select([socket], [], [], 0)[0]:
            client.loop_read()
        if waiting:
            onward.send([bytes(message.payload) for message in waiting], list(waiting))
            waiting.clear()
        else:
            select.select([socket], [], [], 0.001)
        for token in onward.acknowledged():
            acknowledge(token)
    onward.finish(acknowledge)
    client.disconnect()


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
