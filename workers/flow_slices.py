"""Tasks `run-flow` on the RQ queue `segmentation:live`: a flow, run for all profiles that match, slice by slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final, Protocol

from hub.definitions.catalogue import Catalogue
from hub.errors import Unavailable
from hub.flows.kept import KeptRun, Order
from hub.jobs.flow_runs import RunFlow, fired
from hub.jobs.kind import Failed, Work
from hub.store.port import Reading, Scanning
from hub.task import MOST_SLICES, Page, Planned, Slice, Task
from workers.flow_runner import opened_runner
from workers.jobs.desk import Desk

SLICE: Final = 2_000
"""Profiles of a job: some seconds of work, so that back-fills have their turn."""
PAGE: Final = 200
"""Runs between two checkpoints."""
KNOWN_S: Final = 10.0
"""How long a worker waits for a definition that whoever asked has seen."""


class Store(Reading, Scanning, Protocol):
    """What slices ask of the store."""


class Running(Protocol):
    """`hub.flows.runner.Runner`."""

    def begin(self, orders: Sequence[Order]) -> list[KeptRun]:
        """Many at once. Blocks. Raises Unavailable: do it again."""
        ...


class FlowSlices:
    """
    Runs a flow for the profiles of a slice, page by page. For one thread.

    A page that was done and is not noted as done is done again: its runs have the same ids, so they are the same runs.
    Who does not match any more because of its run is left out then, and is missing in the task's numbers alone.
    """

    def __init__(self, store: Store, catalogue: Callable[[], Catalogue], runner: Running) -> None:
        """Args: catalogue: blocks at first; raises Unavailable."""
        self._store = store
        self._catalogue = catalogue
        self._runner = runner

    def plan(self, task: Task) -> Iterable[Planned]:
        """Slices of those who match now. Raises Failed: there is no such flow. Unavailable."""
        arguments = RunFlow.model_validate(task.arguments)
        if not self._catalogue().wait_for(arguments.version, KNOWN_S):
            raise Unavailable("definitions", "the version that is asked for has not come yet")
        self._check(arguments)
        if arguments.profile:
            return [Planned({"profile": arguments.profile}, 1)]
        return planned(self._store, arguments.query)

    def pages(self, task: Task, part: Slice) -> Iterator[Page]:
        """A page is done when what its runs want is on the log, or kept. Raises Failed, Unavailable."""
        arguments = RunFlow.model_validate(task.arguments)
        if "profile" in part.spec:
            if part.at is None:
                self._check(arguments)
                yield self._run(arguments, [part.spec["profile"]])
            return
        after, until = (part.at or part.spec)["after"], part.spec["until"]
        while ids := self._store.profile_ids(arguments.query, after, until, PAGE):
            self._check(arguments)
            yield self._run(arguments, ids)
            after = ids[-1]

    def _run(self, arguments: RunFlow, ids: Sequence[str]) -> Page:
        runs = self._runner.begin([Order(arguments.flow, arguments.version, fired(arguments, id), id) for id in ids])
        counts = Counter(f"runs_{run.state}" for run in runs)
        if len(runs) < len(ids):  # those who have gone meanwhile, or have become somebody else
            counts["left_out"] = len(ids) - len(runs)
        return Page({"after": ids[-1]}, len(ids), counts, _wrong(runs))

    def _check(self, arguments: RunFlow) -> None:
        """Raises Failed: somebody does not want it any more."""
        entry = self._catalogue().entry("flow", arguments.flow)
        if entry is None:
            raise Failed(f"there is no flow {arguments.flow!r}, or not any more")
        if not entry.spec.enabled:
            raise Failed(f"the flow {arguments.flow!r} is switched off")


def planned(store: Store, query: str, size: int = SLICE) -> Iterator[Planned]:
    """
    Slices of the profiles that match now, by id.

    Args: size: profiles of a slice; more, if there would be too many slices.
    """
    size = max(size, -(-2 * store.count("profiles", query) // MOST_SLICES))
    after = ""
    while True:
        until, profiles = store.next_cut("profiles", after, size, query)
        if profiles:
            yield Planned({"after": after, "until": until}, profiles)
        if not until:
            return
        after = until


def opened(desk: Desk, stack: ExitStack) -> Work:
    """For one process."""
    return FlowSlices(desk.store, desk.catalogue, opened_runner(desk, stack))


def _wrong(runs: Iterable[KeptRun]) -> list[Any]:
    """Those that went wrong, for people: their trace says more."""
    return [
        {"run": run.id, "profile": run.profile_id, "state": run.state, "error": run.error} for run in runs if run.error
    ]
