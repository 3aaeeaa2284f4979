"""
The collector's parts, each by itself: `python -m tests.bench.bare_store BOOTSTRAP NAMESPACE STORE_URL RECORDS`.

Reads the log with a bare consumer, then makes the same batches that the collector makes and gives them straight to the
store: one thread, nothing produced, nothing committed. Prints events/s of each part as JSON.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
from confluent_kafka import Consumer, TopicPartition

from hub.collector.garbage import Garbage
from hub.collector.state import Memory
from hub.definitions.kinds import Mapping
from hub.log.admin import LogAdmin
from hub.log.config import consumer_config
from hub.pipeline.definitions import Definitions
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.process import process
from hub.pipeline.records import LogRecord, decode
from hub.settings import Collector, Kafka
from hub.store.factory import open_store
from schemas.codec import encode_stored
from schemas.topics import EVENTS
from tests.bench import payloads


class Clock:
    """Processor and wall time by part."""

    def __init__(self) -> None:
        """All at nothing."""
        self.wall_s: dict[str, float] = defaultdict(float)
        self.cpu_s: dict[str, float] = defaultdict(float)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s[part] += time.perf_counter() - wall
        self.cpu_s[part] += time.process_time() - cpu


def read(kafka: Kafka, namespace: str, count: int) -> list[LogRecord]:
    """The log, as fast as a bare consumer gives it."""
    numbers = LogAdmin(kafka, namespace).partitions(EVENTS)
    consumer = Consumer(consumer_config(kafka, f"{namespace}.bare"))
    records: list[LogRecord] = []
    with closing(consumer):
        consumer.assign([TopicPartition(EVENTS.name(namespace), number, 0) for number in numbers])
        while len(records) < count:
            for message in consumer.consume(1000, 0.2):
                assert message.error() is None, message.error()
                records.append(
                    LogRecord(
                        message.partition() or 0,
                        message.offset() or 0,
                        message.timestamp()[1],
                        message.key() or b"",
                        message.value() or b"",
                    )
                )
    return records


def main(bootstrap: str, namespace: str, store_url: str, count: int) -> None:
    """Time the parts; print events/s and CPU seconds per 100,000."""
    Garbage()
    clock = Clock()
    with clock.of("log"):
        records = read(Kafka(bootstrap=bootstrap), namespace, count)
    settings = Collector()
    memory = Memory(settings)
    definitions = Definitions(1, compile_mappings([("spending", Mapping.model_validate(payloads.MAPPING))]))
    progress: dict[int, int] = {}
    with closing(open_store(store_url)) as store:
        epoch = store.epoch("bench")
        for start in range(0, count, settings.batch_records):
            with clock.of("decode"):
                decoded = list(decode(records[start : start + settings.batch_records]))
            with clock.of("load"):
                state = memory.load(decoded, epoch, progress, store)
            with clock.of("process"):
                outcome = process(decoded, state, definitions)
            with clock.of("memory"):
                memory.trim(outcome.batch.events)
                memory.keep(outcome)
            progress = {**progress, **{number: step.after for number, step in outcome.batch.progress.items()}}
            with clock.of("store"):
                store.write(outcome.batch)
            with clock.of("encode_stored"):
                for stored in outcome.stored:
                    encode_stored(stored)
        assert store.count("events", "") == count
    rates = {part: count / seconds for part, seconds in clock.wall_s.items()}
    cpu = {part: seconds / count * 100_000 for part, seconds in clock.cpu_s.items()}
    print(msgspec.json.encode({"rate": rates, "cpu_s_per_100k": cpu}).decode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
