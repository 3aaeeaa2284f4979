"""
What each step of the collector's `process` costs an event: `python -m tests.bench.step_costs EVENTS`.

The same events again and again, each time with other definitions in force. Prints CPU seconds per 100,000 events as
JSON: of `nothing`, and of each step what comes on top.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from hub.collector.definitions import CompiledDefinitions
from hub.collector.garbage import Garbage
from hub.collector.state import Memory
from hub.definitions.catalogue import Catalogue
from hub.pipeline.definitions import Definitions
from hub.pipeline.process import process
from hub.pipeline.records import Decoded, LogRecord, decode
from hub.settings import Collector
from hub.store.memory import MemoryStore
from tests.bench import payloads, preload, rules
from tests.bench.rules import Definition

BATCH: Final = 500
STEPS: Final[dict[str, Sequence[Definition]]] = {
    "three filters": rules.FILTERS,
    "two validators": rules.VALIDATORS,
    "two data-compliance": rules.COMPLIANCE,
    "three reshapers": rules.RESHAPERS,
    "ten mappings": rules.MAPPINGS,
    "all of them": (*rules.RULES, *rules.MAPPINGS),
}


def compiled(of: Sequence[Definition]) -> Definitions:
    """As a collector has them that has read these."""
    catalogue = Catalogue(b"bench")
    for offset, (kind, id, spec) in enumerate([Definition("source", payloads.SOURCE, {}), *of]):
        value = msgspec.json.encode({"kind": kind, "id": id, "spec": spec, "updated_at_ms": 0})
        catalogue.apply(f"{kind}/{id}".encode(), value, offset)
    return CompiledDefinitions(catalogue).at_least(catalogue.offset)


def records(count: int, *, browsers: bool) -> list[Decoded]:
    """The log, read."""
    made = enumerate(preload.inbounds(count, browsers=browsers))
    return list(decode([LogRecord(0, offset, preload.NOW_MS, key, value, None) for offset, (key, value) in made]))


def cost(log: Sequence[Decoded], definitions: Definitions) -> float:
    """CPU seconds of `process` for 100,000 events, with the caches of a collector that has seen each profile before."""
    memory, store = Memory(Collector()), MemoryStore()
    epoch, spent, count = store.epoch("bench"), 0.0, 0
    progress: dict[int, int] = {}
    for start in range(0, len(log), BATCH):
        batch = log[start : start + BATCH]
        state = memory.load(batch, epoch, progress, store, definitions=definitions)
        began = time.process_time()
        outcome = process(batch, state, definitions)
        if start >= payloads.PROFILES:
            spent += time.process_time() - began
            count += len(batch)
        memory.trim(outcome.batch.events)
        memory.keep(outcome)
        progress = {**progress, **{number: step.after for number, step in outcome.batch.progress.items()}}
    return spent / count * 100_000


def main(count: int) -> None:
    """Print the costs."""
    Garbage()
    programs, browsers = records(count, browsers=False), records(count, browsers=True)
    nothing, asked = compiled(()), cost(browsers, compiled(()))
    costs = {"nothing": cost(programs, nothing)}
    costs["a browser's request"] = asked - costs["nothing"]
    for name, definitions in STEPS.items():
        costs[name] = cost(browsers, compiled(definitions)) - asked
    print(msgspec.json.encode(costs).decode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
