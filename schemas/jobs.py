"""RQ jobs: queues, names of functions, arguments. All of it lies in Redis, so it is a wire format: rename by adding."""

from __future__ import annotations

from typing import Final

SEGMENTATION: Final = "segmentation:live"
"""Slices of profiles whose segments are looked at: back-fills, and the scheduled second opinion."""
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
    SEGMENTATION: "slices of profiles whose segments are looked at",
    EVENT_TO_PROFILE: "stored events copied into profiles",
    PROPERTIES_TO_TRAITS: "stored events that get their index fields anew",
    SCHEDULER: "flows that go on after a pause",
    IMPORT: "files, tables, indices and topics of others",
    MIGRATION: "stores of older versions, and of the predecessor",
}
"""All of them, and what their jobs are about."""

LOOK_AT: Final = "workers.segmentation.look_at"
"""Of SEGMENTATION. Arguments: id of the run, number of the slice (from 0), which the run in Redis says more of."""
DO: Final = "workers.jobs.tasks.do"
"""Of all other queues. Arguments: id of the task, number of the slice (from 0; PLAN), which the store says more of."""
PLAN: Final = -1
"""Instead of the number of a slice: the task is to be cut into slices."""


def queue_name(namespace: str, queue: str) -> str:
    """The queue's name in Redis, such as `hub:segmentation:live`."""
    return f"{namespace}:{queue}"


def job_id(namespace: str, run: str, number: int) -> str:
    """Of a slice: the same whoever enqueues it. RQ takes letters, digits, `_` and `-`."""
    return f"{namespace}-{run}-{'plan' if number == PLAN else number}"
