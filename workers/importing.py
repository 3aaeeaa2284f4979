"""Imports as tasks: one slice, which goes on behind the last page that Kafka has acknowledged."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from hub.definitions.secrets import KEY
from hub.errors import Refused
from hub.imports import local
from hub.imports.importer import Bad, Counts, Step
from hub.imports.outlet import Outlet
from hub.imports.run import Opened, Site
from hub.imports.run import opened as open_import
from hub.imports.sources import Reach
from hub.imports.spec import ImportSpec
from hub.jobs.kind import Failed
from hub.stack.keys import secret_key
from hub.stack.sealing import sealing_of
from hub.task import Page, Planned, Slice, Task
from workers.jobs.desk import Desk

SAVE_EVERY_S: Final = 0.25
"""Between two checkpoints: each is a transaction of the store's."""


class Imports:
    """See Work."""

    def __init__(self, desk: Desk) -> None:
        """Opens nothing yet."""
        self._desk = desk
        settings = desk.settings
        self._environ = {**os.environ, KEY: secret_key(settings.secret_key, settings.data)}

    def plan(self, task: Task) -> Iterable[Planned]:
        """See Work."""
        with self._opened(task, task.asked_ms) as one:
            yield Planned({"began_ms": task.asked_ms, "mark": one.source.mark}, one.source.total)

    def pages(self, task: Task, part: Slice) -> Iterator[Page]:
        """See Work."""
        with ExitStack() as stack:
            one = stack.enter_context(self._opened(task, part.spec["began_ms"]))
            if not one.source.continues(part.spec["mark"]):
                raise Failed(
                    f"{task.arguments['location']} has changed since the import began, so nobody knows which of its "
                    "rows are imported: ask for it again, under an id of its own"
                )
            outlet = stack.enter_context(self._outlet(task))
            steps = one.importer(outlet).run(part.at and part.at["position"])
            yield from _pages(_failing(steps), part.done)

    @contextmanager
    def _opened(self, task: Task, began_ms: int) -> Iterator[Opened]:
        desk = self._desk
        spec = ImportSpec.model_validate(task.arguments)
        reach = Reach(local.within(desk.settings.imports.folder), self._environ, desk.settings.egress)
        site = Site(desk.catalogue(), desk.settings.limits, desk.store, desk.settings.imports, reach, desk.now_ms)
        with ExitStack() as stack:
            try:
                one = stack.enter_context(open_import(spec, site, began_ms))
            except Refused as exc:
                raise Failed(exc.detail) from exc
            yield one

    def _outlet(self, task: Task) -> Outlet:
        desk = self._desk
        window = None if task.arguments["priority"] == "live" else desk.window
        sealing = sealing_of(desk.settings)
        return Outlet(desk.settings.kafka, desk.settings.namespace, window, sealing and sealing.sealer)


def opened(desk: Desk, _: ExitStack) -> Imports:
    """For one process: each import opens what it needs."""
    return Imports(desk)


def _failing(steps: Iterator[Step]) -> Iterator[Step]:
    """Steps that raise Failed where a person has to act."""
    try:
        yield from steps
    except Refused as exc:
        raise Failed(exc.detail) from exc


def _pages(steps: Iterator[Step], done: int) -> Iterator[Page]:
    """Several steps as one page, so that a checkpoint is not written for each. Args: done: before the first."""
    counts, saved_at = Counts(), time.monotonic()
    bad: list[Bad] = []
    last: Step | None = None

    def page(step: Step) -> Page:
        named = {name: number for name, number in counts._asdict().items() if number or name in ("read", "sent")}
        return Page({"position": step.position}, max(0, step.done - done), named, [each._asdict() for each in bad])

    try:
        for step in steps:
            counts, last = counts.plus(step.counts), step
            bad += step.bad
            if time.monotonic() - saved_at >= SAVE_EVERY_S:
                yield page(step)
                counts, bad, saved_at, last, done = Counts(), [], time.monotonic(), None, max(done, step.done)
    except Failed:
        if last is not None:
            yield page(last)
        raise
    if last is not None:
        yield page(last)
