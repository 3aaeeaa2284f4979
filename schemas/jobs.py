"""RQ jobs: queues, names of functions, arguments. All of it lies in Redis, so it is a wire format: rename by adding."""

from __future__ import annotations

from typing import Final

SEGMENTATION: Final = "segmentation:live"
"""Slices of profiles: whose segments are looked at (back-fills, the second opinion), or for whom a flow runs."""
EVENT_TO_PROFILE: Final = "event_to_profile_coping:worker"
"""Stored events that are copied into profiles by mappings that are younger than they are."""
PROPERTIES_TO_TRAITS: Final = "event_props_to_event_traits:worker"
"""Stored events that get the index fields of event types that are younger than they are."""
SCHEDULER: Final = "scheduler:live"
"""Flows that go on after a pause."""
IMPORT: Final = "import:worker"
"""Files, tables, indices and topics of others."""
MIGRATION: Final = "migration:worker"
"""Stores of older versions, and of the predecessor."""
QUEUES: Final = {
    SEGMENTATION: "slices of profiles whose segments are looked at, or for whom a flow runs",
    EVENT_TO_PROFILE: "stored events copied into profiles",
    PROPERTIES_TO_TRAITS: "stored events that get their index fields anew",
    SCHEDULER: "flows that go on after a pause",
    IMPORT: "files, tables, indices and topics of others",
    MIGRATION: "what is taken over from the predecessor",
}
"""All of them, and what their jobs are about."""

LOOK_AT: Final = "workers.segmentation.look_at"
"""Of SEGMENTATION. Arguments: id of the run, number of the slice (from 0), which the run in Redis says more of."""
DUE: Final = "due"
RESUME: Final = "workers.flows.resume"
"""
Of SCHEDULER: go on with flows whose pauses end in a second. Arguments: DUE, or what `due_at` makes, when it begins
behind some of them; the second, counted from 1970.
"""
GO_ON: Final = "workers.flows.go_on"
"""Of SCHEDULER: go on with one run of a flow. Arguments: its id, 0."""
DO: Final = "workers.jobs.tasks.do"
"""Of all queues. Arguments: id of the task, number of the slice (from 0; PLAN), which the store says more of."""
PLAN: Final = -1
"""Instead of the number of a slice: the task is to be cut into slices."""


def queue_name(namespace: str, queue: str) -> str:
    """The queue's name in Redis, such as `hub:segmentation:live`."""
    return f"{namespace}:{queue}"


def job_id(namespace: str, run: str, number: int) -> str:
    """Of a slice: the same whoever enqueues it. RQ takes letters, digits, `_` and `-`."""
    return f"{namespace}-{run}-{'plan' if number == PLAN else number}"


def due_at(after: tuple[int, str]) -> str:
    """First argument of RESUME: behind this run. Args: after: when it is due, milliseconds since 1970, and its id."""
    due_ms, id = after
    return f"{DUE}-{due_ms}-{id}"


def place_of(due: str) -> tuple[int, str] | None:
    """What `due_at` was given; None: the second is begun. Raises ValueError: neither."""
    word, _, rest = due.partition("-")
    due_ms, _, id = rest.partition("-")
    if word != DUE:
        raise ValueError(f"{due!r} is no place among flows that are due")
    return (int(due_ms), id) if rest else None


def due_span(namespace: str, id: str) -> tuple[int, int] | None:
    """
    What a job of RESUME is about, by its id: what is due later than these milliseconds since 1970, up to this second.

    Returns: None: it is another job.
    """
    begin = f"{namespace}-"
    due, _, number = id.removeprefix(begin).rpartition("-")
    try:
        second, place = int(number), place_of(due)
    except ValueError:
        return None
    return ((second - 1) * 1_000 if place is None else place[0]), second
