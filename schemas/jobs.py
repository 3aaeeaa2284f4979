"""RQ jobs: queues, names of functions, arguments. All of it lies in Redis, so it is a wire format: rename by adding."""

from __future__ import annotations

from typing import Final

SEGMENTATION: Final = "segmentation:live"
"""Slices of profiles whose segments are looked at: back-fills, and the scheduled second opinion."""
QUEUES: Final = (SEGMENTATION,)

LOOK_AT: Final = "workers.segmentation.look_at"
"""Of SEGMENTATION. Arguments: id of the run, number of the slice (from 0), which the run in Redis says more of."""


def queue_name(namespace: str, queue: str) -> str:
    """The queue's name in Redis, such as `hub:segmentation:live`."""
    return f"{namespace}:{queue}"


def job_id(namespace: str, run: str, number: int) -> str:
    """Of a slice: the same whoever enqueues it. RQ takes letters, digits, `_` and `-`."""
    return f"{namespace}-{run}-{number}"
