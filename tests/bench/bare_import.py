"""
The bare import: `python -m tests.bench.bare_import BOOTSTRAP TARGET FILE`.

csv.reader, a payload by hand, encode, produce with a callback; no checks, no ids, no record format. Prints JSON.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import msgspec
import psutil
from confluent_kafka import KafkaError, Message, Producer

from hub.log.config import producer_config
from hub.settings import Kafka

IN_FLIGHT = 10_000


def acknowledged(error: KafkaError | None, _: Message) -> None:
    """A delivery report."""
    assert error is None, error


def main(bootstrap: str, target: str, path: Path) -> None:
    """Send every row, and print what it took."""
    encode = msgspec.json.Encoder().encode
    producer = Producer(producer_config(Kafka(bootstrap=bootstrap)))
    own = psutil.Process()
    used = own.cpu_times()
    at, cpu_s, rows = time.perf_counter(), used.user + used.system, 0
    with path.open(newline="") as file:
        reader = csv.reader(file)
        names = next(reader)
        for cells in reader:
            row = dict(zip(names, cells, strict=True))
            profile = row["customer_id"]
            payload = {"profile": {"id": profile}, "events": [{"type": "purchase", "properties": row}]}
            producer.produce(target, encode(payload), profile, on_delivery=acknowledged)
            rows += 1
            producer.poll(0)
            while len(producer) > IN_FLIGHT:
                producer.poll(0.01)
    assert producer.flush(60) == 0
    used = own.cpu_times()
    wall_s = time.perf_counter() - at
    cpu_s = used.user + used.system - cpu_s
    print(msgspec.json.encode({"rate": rows / wall_s, "cpu_s_per_100k": cpu_s / rows * 100_000}).decode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
