"""Tasks on the RQ queue `event_to_profile_coping:worker`: stored events copied into their profiles."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from hub.collector.definitions import CompiledDefinitions
from hub.copying.arguments import CopyArguments
from hub.copying.barrier import until_applied, until_known
from hub.copying.requests import look, requests, sample, types_of
from hub.copying.slices import Chunks, by_profile, planned
from hub.jobs.kind import Failed, Work
from hub.log.admin import LogAdmin
from hub.pipeline.applied import Promoted
from hub.pipeline.definitions import Definitions
from hub.segments.sender import Sender
from hub.store.port import EventSpan
from hub.task import MOST_SAMPLES, Page, Planned, Slice, Task
from schemas.records import Inbound
from schemas.topics import EVENTS
from workers.jobs.desk import Desk

PAGE: Final = 5_000
"""Events between two checkpoints: while one is saved, nothing is sent, and the collectors soon have nothing to do."""
PAGE_S: Final = 1.0
"""After so long there is one all the same: whoever gives way to live events, and is to stop, does so soon."""
CHUNK: Final = 500
"""Events that are read at a time, while what was asked for before is on its way."""


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
        off = [id for id in arguments.mappings if not known[id].spec.enabled]
        if off:
            raise Failed(f"the mapping {off[0]!r} is switched off: nothing would be copied by it")
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
        span = EventSpan(**part.spec)
        chunks = by_profile(desk.store, span, arguments.where, types, part.at, size=CHUNK)
        promoted = desk.store.promoted()
        if arguments.dry_run:
            yield from self._rehearsed(chunks, definitions, mappings, promoted, len(part.sample))
            return
        landed: dict[int, int] = {}

        def asked(page: _Going) -> Iterator[Inbound]:
            until_s = time.monotonic() + PAGE_S
            for at, documents in chunks:
                found = look(documents, definitions, mappings, promoted)
                yield from requests(
                    found.copies,
                    span.partition,
                    mappings,
                    task=task.id,
                    at_ms=desk.now_ms(),
                    definitions_offset=definitions.offset,
                )
                page.take(at, len(documents), found.counts)
                if page.done >= PAGE or time.monotonic() > until_s:
                    return

        while True:
            page = _Going()
            landed.update(sorted(self._sender.send(asked(page))))
            if page.at is None:
                break
            yield Page(page.at, page.done, _done(page.counts))
        until_applied(desk.store, landed.items(), desk.stopping, desk.settings.bulk.patience_s)

    def _rehearsed(
        self,
        chunks: Chunks,
        definitions: Definitions,
        mappings: list[str],
        promoted: Sequence[Promoted],
        shown: int,
    ) -> Iterator[Page]:
        """Pages of a dry run. Args: shown: how many samples there are already."""
        for at, documents in chunks:
            found = look(documents, definitions, mappings, promoted, whole=shown < MOST_SAMPLES)
            some = []
            if shown < MOST_SAMPLES:
                some = sample(found.copies, definitions, mappings, self._profile, MOST_SAMPLES - shown)
                shown += len(some)
            yield Page(at, len(documents), found.counts, some)

    def _definitions(self) -> Definitions:
        return self._compiled.at_least(-1)

    def _profile(self, id: str) -> dict[str, object] | None:
        return self._desk.store.get("profiles", id)


class _Going:
    """A page as far as it has come. `at`: None: nothing is left."""

    def __init__(self) -> None:
        self.at: dict[str, int] | None = None
        self.done = 0
        self.counts: Counter[str] = Counter()

    def take(self, at: dict[str, int], events: int, counts: Mapping[str, int]) -> None:
        """So many events more, up to this checkpoint."""
        self.at = at
        self.done += events
        self.counts.update(counts)


def _done(counts: Mapping[str, int]) -> dict[str, int]:
    """What it is called once it is done."""
    return {"copied" if name == "to_copy" else name: number for name, number in counts.items()}


def opened(desk: Desk, stack: ExitStack) -> Work:
    """For one process."""
    sender = stack.enter_context(Sender(desk.settings.kafka, desk.settings.namespace, desk.window))
    return Copying(desk, sender)
