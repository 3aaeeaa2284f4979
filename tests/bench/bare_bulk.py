"""
The bare bulk rate of a search engine: `python -m tests.bench.bare_bulk BOOTSTRAP NAMESPACE STORE_URL RECORDS`.

Reads the log, makes the collector's batches of it, and gives the finished documents of each to the official client, in
parts of the size that the store has: no journal, no head, nothing asked before. Each batch is written once by one
thread, and once by two, into indices of their own, in turns. Only the client's calls are timed. Prints documents and
events a second of both as JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, Final

import msgspec
from elasticsearch import Elasticsearch

from hub.collector.garbage import Garbage
from hub.collector.state import Memory
from hub.definitions.kinds import Mapping
from hub.model import Batch
from hub.pipeline.definitions import Definitions
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.process import process
from hub.pipeline.records import LogRecord, decode
from hub.search_engine import address_of, elsewhere
from hub.settings import Collector, Kafka
from hub.store.elastic import ElasticStore
from hub.store.elastic.client import BULK_BYTES, _Node
from hub.store.elastic.indices import events_index
from hub.store.factory import remove_store
from hub.store.memory import MemoryStore
from tests.bench import payloads
from tests.bench.bare_elastic import lines_of
from tests.bench.bare_store import Clock, read

THREADS: Final = (1, 2)
Lines = list[dict[str, Any]]


def batches(records: Sequence[LogRecord]) -> Iterator[Batch]:
    """As the collector makes them."""
    settings, store = Collector(), MemoryStore()
    memory, epoch = Memory(settings), store.epoch("bench")
    definitions = Definitions(1, compile_mappings([("spending", Mapping.model_validate(payloads.MAPPING))]))
    for start in range(0, len(records), settings.batch_records):
        decoded = list(decode(records[start : start + settings.batch_records]))
        outcome = process(decoded, memory.load(decoded, epoch, store.progress(epoch), store), definitions)
        memory.keep(outcome)
        store.write(outcome.batch)
        yield outcome.batch


def parts(lines: Lines) -> Iterator[Lines]:
    """Of the store's size, each of whole documents."""
    part, size = Lines(), 0
    for place in range(0, len(lines), 2):
        both = lines[place : place + 2]
        bytes_of = sum(len(msgspec.json.encode(line)) + 1 for line in both)
        if part and size + bytes_of > BULK_BYTES:
            yield part
            part, size = [], 0
        part += both
        size += bytes_of
    yield part


def main(bootstrap: str, namespace: str, store_url: str, count: int) -> None:
    """Time them."""
    Garbage()
    clock, documents = Clock(), 0
    records = read(Kafka(bootstrap=bootstrap), namespace, count)[:count]
    names = {threads: f"{namespace}-bare{threads}" for threads in THREADS}
    address = address_of(store_url)
    client = Elasticsearch(list(address.hosts), node_class=_Node, request_timeout=60)

    def send(part: Lines) -> None:
        assert not client.bulk(operations=part)["errors"]

    with ExitStack() as stack:
        pools = {threads: stack.enter_context(ThreadPoolExecutor(threads)) for threads in THREADS}
        stores = {}
        for threads, name in names.items():
            url = elsewhere(store_url, name)
            stack.callback(remove_store, url)
            stores[threads] = stack.enter_context(closing(ElasticStore(url, name, layout=address.layout)))
        months = set[str]()
        for number, batch in enumerate(batches(records), 1):
            for month in {event.partition for event in batch.events} - months:
                for store in stores.values():
                    store._engine.make_index(events_index(month))
                months.add(month)
            for threads in THREADS if number % 2 else THREADS[::-1]:
                lines = lines_of(batch, number, names[threads])
                documents += len(lines) // 2
                some = list(parts(lines))
                with clock.of(f"{threads}"):
                    list(pools[threads].map(send, some))
    rates = {threads: count / clock.wall_s[f"{threads}"] for threads in THREADS}
    cpu = {threads: clock.cpu_s[f"{threads}"] / count * 100_000 for threads in THREADS}
    told = {"rate": rates, "cpu_s_per_100k": cpu, "documents": documents / len(THREADS) / count}
    print(msgspec.json.encode(told).decode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
