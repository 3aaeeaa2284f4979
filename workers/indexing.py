"""Tasks on the RQ queue `event_props_to_event_traits:worker`: index fields of stored events, made anew."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Final

import msgspec

from hub.collector.definitions import CompiledDefinitions
from hub.copying.arguments import IndexArguments
from hub.copying.index import reindexed, shown
from hub.copying.slices import behind, planned, span_of
from hub.jobs.kind import Work
from hub.pipeline.event_types import Rules
from hub.task import MOST_SAMPLES, Page, Planned, Slice, Task
from workers.jobs.desk import Desk

PAGE: Final = 500
"""Events between two checkpoints, and in one transaction: some 20 ms, for which a collector may have to wait."""
MOST_REST_S: Final = 1.0


class Indexing:
    """
    Writes documents of events beside the collector, which never writes one again but for what was copied of it.

    An event that somebody else has written since it was read is read again: so nothing of that is lost.
    """

    def __init__(self, desk: Desk) -> None:
        """Blocks until the definitions are known."""
        self._desk = desk
        self._compiled = CompiledDefinitions(desk.catalogue())

    def plan(self, task: Task) -> Iterable[Planned]:
        """Slices of the events that are there now: what comes later gets its index fields when it is stored."""
        arguments = IndexArguments.model_validate(task.arguments)
        desk = self._desk
        return planned(desk.store, arguments.where, _indexed(self._types()), desk.settings.tasks.slice_events)

    def pages(self, task: Task, part: Slice) -> Iterator[Page]:
        """A page is done when it is written."""
        arguments = IndexArguments.model_validate(task.arguments)
        types, store = self._types(), self._desk.store
        span, told = span_of(part.spec, part.at), len(part.sample)
        while rows := store.events_between(span, arguments.where, _indexed(types), PAGE):
            span = behind(span, rows[-1][0])
            changed = [(number, old, new) for number, old in rows if (new := reindexed(old, types)) is not None]
            counts = {"unchanged": len(rows) - len(changed)}
            some: list[object] = []
            if arguments.dry_run:
                counts["to_index"] = len(changed)
                for _, old, new in changed[: MOST_SAMPLES - told]:
                    before = shown(old)
                    some.append({"event": _id(old), "before": before, "after": shown(new)})
                told += len(some)
            else:
                counts["indexed"] = self._write(span.partition, changed, types)
            yield Page(
                {"seq": span.after}, len(rows), {name: number for name, number in counts.items() if number}, some
            )

    def _write(self, partition: str, changed: list[tuple[int, bytes, bytes]], types: Rules) -> int:
        """Returns how many were changed. Then it rests as long as that took: live events go first."""
        store, written = self._desk.store, 0
        while changed:
            began = time.monotonic()
            done = store.rewrite_events(partition, changed)
            time.sleep(min(MOST_REST_S, time.monotonic() - began))
            written += done
            if done == len(changed):
                break
            # some were written by others, or removed: what they are now
            now = dict(store.events_at(partition, [number for number, _, _ in changed]))
            changed = [
                (number, now[number], new)
                for number, _, _ in changed
                if number in now and (new := reindexed(now[number], types)) is not None
            ]
        return written

    def _types(self) -> Rules:
        return self._compiled.at_least(-1).types


def opened(desk: Desk, stack: ExitStack) -> Work:  # noqa: ARG001 - as of all kinds
    """For one process."""
    return Indexing(desk)


def _indexed(types: Rules) -> list[str]:
    return sorted(id for id, rule in types.items() if rule.groups)


def _id(document: bytes) -> object:
    return msgspec.json.decode(document)["id"]
