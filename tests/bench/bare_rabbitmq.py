"""
The bare RabbitMQ bridge: `python -m tests.bench.bare_rabbitmq BOOTSTRAP SETTINGS TARGET RECORDS`.

pika with a prefetch of 1000, decode, encode, produce with a callback, one acknowledgement for all that is durable; no
checks, no ids. SETTINGS are a bridge's, as JSON.
"""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Any

import msgspec
import pika

from tests.bench.bare_onward import Onward

PREFETCH = 1000


def main(bootstrap: str, settings: dict[str, Any], target: str, count: int) -> None:
    """Forward `count` messages and print what it took."""
    onward = Onward(bootstrap, target, count)
    waiting: list[tuple[int, bytes]] = []
    with closing(pika.BlockingConnection(pika.URLParameters(settings["url"]))) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(
            settings["queues"], lambda _, method, __, body: waiting.append((method.delivery_tag, body))
        )

        def acknowledge(tag: int) -> None:
            channel.basic_ack(tag, multiple=True)

        while not onward.all_taken:
            connection.process_data_events(0.005)
            if waiting:
                messages, waiting[:] = list(waiting), []
                onward.send([body for _, body in messages], messages[-1][0])
            tags = onward.acknowledged()
            if tags:
                acknowledge(tags[-1])
        onward.finish(acknowledge)


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
