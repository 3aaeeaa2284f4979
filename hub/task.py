"""Tasks: long pieces of work, cut into slices that workers do page by page; plain values, as the store keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

State: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]
"""`waiting`: until somebody has cut it into slices."""
OVER: Final = frozenset({"done", "failed", "cancelled"})
SliceState: TypeAlias = Literal["open", "done", "failed"]

MOST_SLICES: Final = 10_000
"""Of one task."""
MOST_SAMPLES: Final = 20
"""Values for people that a slice keeps."""


class Planned(NamedTuple):
    """A slice as it is planned. `spec`: JSON of the kind's own. `total`: how many there are to do; 0: not known."""

    spec: Mapping[str, Any]
    total: int = 0


class Page(NamedTuple):
    """
    What was done of a slice since the page before, and is durable.

    Attributes:
        at: JSON of the kind's own, by which the slice goes on behind this page.
        done: How many of the slice's things.
        counts: What became of them, by name; added up.
        sample: JSON values for people; the first MOST_SAMPLES of a slice are kept.
        total: A better number of how many there are in the slice; None: the one before.
    """

    at: Mapping[str, Any]
    done: int
    counts: Mapping[str, int] = {}
    sample: Sequence[Any] = ()
    total: int | None = None


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """
    A part of a task, from 0 on.

    Attributes:
        spec, total: As planned; `total` may have become better since.
        at: Where it goes on; None: at its beginning.
        done, counts, sample: Of all pages together.
        step: How many pages are saved.
        begun: How often it was begun since the last page was saved: so often its worker died, or its code failed.
        error: Why it has failed, or what went wrong last.
    """

    number: int
    spec: dict[str, Any]
    total: int = 0
    at: dict[str, Any] | None = None
    done: int = 0
    counts: dict[str, int] = {}
    sample: list[Any] = []
    state: SliceState = "open"
    step: int = 0
    begun: int = 0
    error: str = ""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """
    A piece of work. Times in milliseconds since 1970.

    Attributes:
        kind: What it does.
        queue: Whose workers do it, without the namespace.
        arguments: JSON of the kind's own; no secrets, as everybody sees them.
        by: Who asked for it, in words.
        begun: How often somebody began to cut it into slices.
        error: Why it has failed; else what went wrong last.
    """

    id: str
    kind: str
    queue: str
    arguments: dict[str, Any]
    by: str = ""
    state: State = "waiting"
    asked_ms: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    begun: int = 0
    error: str = ""


class Sum(NamedTuple):
    """Of all slices of a task together. `is_exact`: whether the total of each is known."""

    slices: int = 0
    slices_done: int = 0
    slices_failed: int = 0
    total: int = 0
    done: int = 0
    is_exact: bool = True
    counts: Mapping[str, int] = {}


def after_page(part: Slice, page: Page) -> Slice:
    """The slice once the page is done."""
    counts = dict(part.counts)
    for name, number in page.counts.items():
        counts[name] = counts.get(name, 0) + number
    return msgspec.structs.replace(
        part,
        at=dict(page.at),
        done=part.done + page.done,
        total=part.total if page.total is None else page.total,
        counts=counts,
        sample=[*part.sample, *page.sample][:MOST_SAMPLES],
        step=part.step + 1,
        begun=0,
        error="",
    )


def summed(slices: list[Slice]) -> Sum:
    """All of them together."""
    counts: dict[str, int] = {}
    for part in slices:
        for name, number in part.counts.items():
            counts[name] = counts.get(name, 0) + number
    return Sum(
        len(slices),
        sum(part.state == "done" for part in slices),
        sum(part.state == "failed" for part in slices),
        sum(max(part.total, part.done) for part in slices),
        sum(part.done for part in slices),
        all(part.total > 0 or part.state == "done" for part in slices),
        counts,
    )
