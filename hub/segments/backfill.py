"""A slice of profiles, page by page: those whose segments are not what the conditions say are sent to their owners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace
from prometheus_client import Counter

from hub.ids import derived
from hub.pipeline.requests import reevaluate
from hub.segments.due import Sending
from hub.segments.look import Look, look
from hub.segments.rules import rules_of
from hub.segments.runs import Runs
from hub.store.port import Segments
from schemas.segments import Run

PAGE: Final = 2_000
"""Profiles between two checkpoints: some 50 ms of work."""

LOOKED: Final = Counter("hub_segments_looked", "Profiles that a run over all of them has looked at.", ["kind"])
ASKED: Final = Counter(
    "hub_segments_asked",
    "Profiles that such a run found in other segments, so that their owner was asked to look again.",
    ["kind"],
)
DIFFERENCES: Final = Counter(
    "hub_segment_differences",
    "Profiles that the scheduled second opinion has found in other segments than the conditions say. More than a few "
    "are a fault of the hub.",
)


class Forgotten(Exception):
    """Redis does not know the run any more: it is planned anew, from the beginning."""


class Backfill:
    """Does slices. For one thread."""

    def __init__(self, runs: Runs, store: Segments, sender: Sending, now_us: Callable[[], int]) -> None:
        """Args: now_us: the clock, microseconds since 1970."""
        self._runs = runs
        self._store = store
        self._sender = sender
        self._now_us = now_us

    def run(self, id: str, number: int, stopping: Callable[[], bool]) -> bool:
        """
        Do a slice from where it is. A page that was done and is not noted as done is done again: under the same ids.

        Args: stopping: asked after each page.

        Returns: False: it was stopped, and is to be called again. Raises: Unavailable, Refused, QueryError, Forgotten.
        """
        run, part = self._runs.run(id), self._runs.slice(id, number)
        if run is None or part is None:
            raise Forgotten(id)
        if run.state == "overtaken":
            return True
        rules = rules_of(run.rules)
        while not part.is_done:
            found = look(self._store, rules, part.at, part.until, most=PAGE, now_us=self._now_us())
            self._ask(run, found)
            last = found.last
            part = replace(
                part,
                at=part.at if last is None else last,
                looked=part.looked + found.looked,
                asked=part.asked + len(found.asked),
                differed=part.differed + found.differed,
                is_done=last is None or last == part.until,
                error="",
            )
            self._runs.step(id, number, part)
            LOOKED.labels(run.kind).inc(found.looked)
            ASKED.labels(run.kind).inc(len(found.asked))
            if run.kind == "check":
                DIFFERENCES.inc(found.differed)
            if not part.is_done and stopping():
                return False
        return True

    def fail(self, id: str, number: int, why: str) -> None:
        """Note that a slice cannot be done. Raises Unavailable."""
        part = self._runs.slice(id, number)
        if part is not None and not part.is_done:
            self._runs.step(id, number, replace(part, error=why))

    def _ask(self, run: Run, found: Look) -> None:
        if found.dues:
            self._store.note_due(found.dues)
        at_ms = self._now_us() // 1_000
        self._sender.send(
            reevaluate(
                profile_id,
                segments,
                id=derived("segments-look", run.id, profile_id),
                at_ms=at_ms,
                definitions_offset=run.offset,
            )
            for profile_id, segments in found.asked.items()
        )
