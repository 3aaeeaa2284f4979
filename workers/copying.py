"""Tasks on the RQ queue `event_to_profile_coping:worker`: stored events copied into their profiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Final

from hub.collector.definitions import CompiledDefinitions
from hub.copying.arguments import CopyArguments
from hub.copying.barrier import until_applied, until_known
from hub.copying.requests import look, requests, sample, types_of
from hub.copying.slices import behind, planned, span_of
from hub.jobs.kind import Failed, Work
from hub.log.admin import LogAdmin
from hub.pipeline.definitions import Definitions
from hub.segments.sender import Sender
from hub.task import MOST_SAMPLES, Page, Planned, Slice, Task
from schemas.topics import EVENTS
from workers.jobs.desk import Desk

PAGE: Final = 1_000
"""Events between two checkpoints."""


class Copying:
    """Asks the owners of profiles to apply mappings to stored events; `hub.pipeline.copying` is what they do then."""

    def __init__(self, desk: Desk, sender: Sender) -> None:
        """Blocks until the definitions are known."""
        self._desk = desk
        self._sender = sender
        self._admin = LogAdmin(desk.settings.kafka, desk.settings.namespace)
        self._compiled = CompiledDefinitions(desk.catalogue())

    def plan(self, task: Task) -> Iterable[Planned]:
        """Slices of the events that are there once every collector knows the mappings: what comes later is mapped."""
        arguments, desk = CopyArguments.model_validate(task.arguments), self._desk
        definitions = self._definitions()
        known = desk.catalogue().entries("mapping")
        missing = [id for id in arguments.mappings if id not in known]
        if missing:
            raise Failed(f"there is no mapping {missing[0]!r}")
        types = types_of(definitions, arguments.mappings)
        if not types:
            return ()
        if not arguments.dry_run:
            until_known(
                desk.store,
                self._sender,
                len(self._admin.partitions(EVENTS)),
                definitions.offset,
                id=task.id,
                at_ms=desk.now_ms(),
                stopping=lambda: False,
                patience_s=desk.settings.bulk.patience_s,
            )
        return planned(desk.store, arguments.where, types, desk.settings.tasks.slice_events)

    def pages(self, task: Task, part: Slice) -> Iterator[Page]:
        """A page is done when Kafka has what is asked for; the slice, when the collectors have applied it."""
        arguments, desk = CopyArguments.model_validate(task.arguments), self._desk
        definitions, mappings = self._definitions(), arguments.mappings
        types = types_of(definitions, mappings)
        span, shown = span_of(part.spec, part.at), len(part.sample)
        landed: dict[int, int] = {}
        promoted = desk.store.promoted()
        while rows := desk.store.events_between(span, arguments.where, types, PAGE):
            span = behind(span, rows[-1][0])
            found = look((document for _, document in rows), definitions, mappings, promoted)
            some = []
            if not arguments.dry_run:
                asked = requests(
                    found.copies,
                    span.partition,
                    mappings,
                    task=task.id,
                    at_ms=desk.now_ms(),
                    definitions_offset=definitions.offset,
                )
                landed.update(sorted(self._sender.send(asked)))
            elif shown < MOST_SAMPLES:
                some = sample(found.copies, definitions, mappings, self._profile, MOST_SAMPLES - shown)
                shown += len(some)
            counts = found.counts if arguments.dry_run else _done(found.counts)
            yield Page({"seq": span.after}, len(rows), counts, some)
        until_applied(desk.store, landed.items(), desk.stopping, desk.settings.bulk.patience_s)

    def _definitions(self) -> Definitions:
        return self._compiled.at_least(-1)

    def _profile(self, id: str) -> dict[str, object] | None:
        return self._desk.store.get("profiles", id)


def _done(counts: Mapping[str, int]) -> dict[str, int]:
    """What it is called once it is done."""
    return {"copied" if name == "to_copy" else name: number for name, number in counts.items()}


def opened(desk: Desk, stack: ExitStack) -> Work:
    """For one process."""
    sender = stack.enter_context(Sender(desk.settings.kafka, desk.settings.namespace, desk.window))
    return Copying(desk, sender)
