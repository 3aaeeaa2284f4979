"""
`write` of the search-engine store against bare bulks of the same documents: `python -m tests.bench.bare_elastic URL`.

URL: `http://host:port` of an Elasticsearch or OpenSearch. Each batch of 1,000 records is written both ways, one after
the other, in turns: by the store, with its journal and head; and by the official client, which is given the finished
documents, in as many parts. Prints events/s of each, the ratio, and CPU seconds of this process per 1,000 events.
"""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import closing
from typing import Any, Final

import httpx
import msgspec
from elasticsearch import Elasticsearch

from hub.collector.garbage import Garbage
from hub.collector.state import Memory
from hub.definitions.kinds import Mapping
from hub.model import Batch
from hub.pipeline.definitions import Definitions
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.process import process
from hub.pipeline.records import decode
from hub.search_engine import Layout
from hub.settings import Collector
from hub.store.elastic import ElasticStore
from hub.store.elastic.changes import changes_of, size_of
from hub.store.elastic.client import _Node
from hub.store.elastic.head import Pending
from hub.store.elastic.indices import events_index
from hub.store.memory import MemoryStore
from tests.bench import payloads
from tests.factories import event, log, track

BATCHES: Final = 6
SIZE: Final = 1_000
PARTS: Final = 4


def batches() -> list[Batch]:
    """What the collector makes of purchases of `payloads.single`, each by somebody else."""
    memory, store = Memory(Collector()), MemoryStore()
    definitions = Definitions(1, compile_mappings([("spending", Mapping.model_validate(payloads.MAPPING))]))
    epoch = store.epoch("bench")
    found: list[Batch] = []
    for start in range(0, BATCHES * SIZE, SIZE):
        inbounds = []
        for number in range(start, start + SIZE):
            sent = msgspec.json.decode(payloads.single(number))
            (bought,) = sent["events"]
            one = event(f"e{number}", bought["type"], **bought["properties"])
            context = msgspec.json.encode(sent["context"])
            inbounds.append(track(sent["profile"]["id"], one, session_id=sent["session"]["id"], context=context))
        decoded = list(decode(log(*inbounds, start=start)))
        outcome = process(decoded, memory.load(decoded, epoch, store.progress(epoch), store), definitions)
        memory.keep(outcome)
        store.write(outcome.batch)
        found.append(outcome.batch)
    return found


def lines_of(batch: Batch, number: int, namespace: str) -> list[dict[str, Any]]:
    """The same documents as the store makes them, for the client's bulk."""
    entry = Pending(
        id="",
        mark="",
        number=number,
        seq=number * 10 * SIZE,
        size=size_of(batch),
        at_ms=1,
        epoch=batch.epoch,
        progress=batch.progress,
        counts={},
        is_shared=False,
    )
    lines: list[dict[str, Any]] = []
    for change in changes_of(batch, entry):
        source = change.of(None)
        if source is not None:
            about = {"_index": f"{namespace}-{change.name}", "_id": change.id}
            lines += [{"create" if change.is_new else "index": about}, source]
    return lines


def main(url: str) -> None:
    """Time both."""
    every = batches()
    Garbage()
    namespaces = [f"bench{secrets.token_hex(4)}" for _ in range(2)]
    stores = [ElasticStore(f"elasticsearch+{url}/", one, layout=Layout(copies=0)) for one in namespaces]
    client = Elasticsearch(url, node_class=_Node, request_timeout=60)
    wall, cpu = [0.0, 0.0], [0.0, 0.0]
    with closing(stores[0]), closing(stores[1]):
        for month in {one.partition for batch in every for one in batch.events}:
            for store in stores:
                store._engine.make_index(events_index(month))
        for number, batch in enumerate(every, 1):
            lines = lines_of(batch, number, namespaces[1])
            for way in (0, 1) if number % 2 else (1, 0):
                began, used = time.perf_counter(), time.process_time()
                if way:
                    part = len(lines) // 2 // PARTS * 2 + 2
                    for begin in range(0, len(lines), part):
                        assert not client.bulk(operations=lines[begin : begin + part])["errors"]
                else:
                    stores[0].write(batch, at_ms=1)
                if number > 1:  # the first one finds everything cold
                    wall[way] += time.perf_counter() - began
                    cpu[way] += time.process_time() - used
    events = (BATCHES - 1) * SIZE
    rates = {"write": events / wall[0], "bare": events / wall[1]}
    used_s = {"write": cpu[0] / (BATCHES - 1), "bare": cpu[1] / (BATCHES - 1)}
    print(msgspec.json.encode({"rate": rates, "ratio": wall[1] / wall[0], "cpu_s": used_s}).decode())
    for namespace in namespaces:
        names = httpx.get(f"{url}/{namespace}-*", params={"filter_path": "*.settings.index.uuid"}).json()
        for path in (",".join(names), f"_index_template/{namespace}-*", f"_component_template/{namespace}-*"):
            httpx.delete(f"{url}/{path}", timeout=60)


if __name__ == "__main__":
    main(sys.argv[1])
