"""
The bare bridge: `python -m tests.bench.bare_bridge BOOTSTRAP SOURCE TARGET RECORDS SHAPE`.

consume(1000), decode, encode, produce with a callback, commit the lowest offset that is not acknowledged; no checks, no
ids, no record format. SHAPE is `message` (the payload as it is) or `row` (ten fields by hand). Prints JSON.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import closing
from typing import Any

import msgspec
import psutil
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from hub.log.config import consumer_config, producer_config
from hub.settings import Kafka

COMMIT_EVERY_S = 0.5
IN_FLIGHT = 10_000


class Chunk:
    """Messages of one partition that were taken together."""

    def __init__(self, place: TopicPartition) -> None:
        """Args: place: the offset to commit once all of them are acknowledged."""
        self.place = place
        self.left = 0

    def acknowledged(self, error: KafkaError | None, _: Message) -> None:
        """A delivery report."""
        assert error is None, error
        self.left -= 1


def by_hand(row: dict[str, Any]) -> dict[str, Any]:
    """What the mapping TEN_FIELDS makes, in plain Python."""
    return {
        "profile": {"id": row["customer_id"]},
        "session": {"id": row["visit"]},
        "events": [
            {
                "type": "purchase",
                "id": row["order_id"],
                "properties": {
                    "price": row["price"],
                    "quantity": row["quantity"],
                    "product": row["product"],
                    "category": row["category"],
                    "currency": row["currency"],
                    "url": row["page_url"],
                },
            }
        ],
    }


def main(bootstrap: str, source: str, target: str, count: int, shape: str) -> None:
    """Forward `count` messages and print what it took."""
    kafka = Kafka(bootstrap=bootstrap)
    convert = {"message": lambda payload: payload, "row": by_hand}[shape]
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    producer = Producer(producer_config(kafka))
    consumer = Consumer(consumer_config(kafka, f"{target}.bare", **{"auto.offset.reset": "earliest"}))
    waiting: dict[tuple[str, int], deque[Chunk]] = {}
    own = psutil.Process()
    done, commit_at, first, at, cpu_s = 0, 0.0, 0, 0.0, 0.0

    def commit() -> None:
        ready = [chunks for chunks in waiting.values() if chunks and not chunks[0].left]
        places = []
        for chunks in ready:
            while chunks and not chunks[0].left:
                place = chunks.popleft().place
            places.append(place)
        if places:
            consumer.commit(offsets=places, asynchronous=False)

    with closing(consumer):
        consumer.subscribe([source])
        while done < count:
            messages = consumer.consume(1000, 0.05)
            opened: dict[int, Chunk] = {}
            for message in messages:
                assert message.error() is None, message.error()
                topic, number, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
                chunk = opened.get(number)
                if chunk is None:
                    chunk = opened[number] = Chunk(TopicPartition(topic, number, offset + 1))
                    waiting.setdefault((topic, number), deque()).append(chunk)
                chunk.place.offset = offset + 1
                chunk.left += 1
                payload = convert(decode(message.value() or b""))
                producer.produce(target, encode(payload), payload["profile"]["id"], on_delivery=chunk.acknowledged)
            done += len(messages)
            if not first and done:
                used = own.cpu_times()
                first, at, cpu_s = done, time.perf_counter(), used.user + used.system
            producer.poll(0)
            while len(producer) > IN_FLIGHT:
                producer.poll(0.01)
            if time.monotonic() >= commit_at:
                commit_at = time.monotonic() + COMMIT_EVERY_S
                commit()
        assert producer.flush(30) == 0
        commit()
        used = own.cpu_times()
        wall_s = time.perf_counter() - at
    cpu_s = used.user + used.system - cpu_s
    records = count - first
    print(msgspec.json.encode({"rate": records / wall_s, "cpu_s_per_100k": cpu_s / records * 100_000}).decode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
