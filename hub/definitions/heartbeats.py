"""Heartbeats that come with the hub, and whether one can work at all: the arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, cast

from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Heartbeat, Source
from hub.definitions.schedule import duration_ms, shortest_ms, words

VISIT_ENDED: Final = "visit-ended"
"""Id of the heartbeat, and type of its events: it tells the end of sessions in which nothing happens any more."""
BUILT_IN_VERSION: Final = -1


@cache
def built_in() -> Mapping[str, Entry]:
    """By id. Whoever defines one of the same id replaces it."""
    spec = Heartbeat(
        name="Visits that have ended",
        description="An event of each session without an event for half an hour (docs/sessions.md).",
        event_type=VISIT_ENDED,
        every="1m",
    )
    return {VISIT_ENDED: Entry(spec, BUILT_IN_VERSION, 0)}


def telling(catalogue: Catalogue) -> frozenset[str]:
    """Ids of the event sources that want to be told what begins and ends."""
    return frozenset(
        id
        for id, entry in catalogue.entries("source").items()
        if entry.spec.enabled and cast("Source", entry.spec).system_events
    )


def heartbeats(catalogue: Catalogue) -> Mapping[str, Entry]:
    """All that may be in force, by id, those that are paused among them: `visit-ended` only if somebody wants it."""
    defined = catalogue.entries("heartbeat")
    if VISIT_ENDED in defined or telling(catalogue):
        return {**built_in(), **defined}
    return defined


def check_possible(spec: Heartbeat, profiles: int, most_per_s: float) -> None:
    """
    Raises ValueError, which has the arithmetic: a run takes longer than the time to the next one.

    Args:
        profiles: That match its condition now.
        most_per_s: Events a second that the hub is set to make.
    """
    period_ms = shortest_ms(spec.schedule)
    often = f"every {words(period_ms)}"
    needed = profiles / (period_ms / 1000)
    if needed > most_per_s:
        least_ms = _round_up_ms(profiles / most_per_s)
        raise ValueError(
            f"{profiles:,} profiles {often} are {needed:,.0f} events a second; the hub is set to make at most "
            f"{most_per_s:,.0f} (HUB_AGENTS__EVENTS_PER_S), so a run takes {words(least_ms)}. Let it be due every "
            f"{words(least_ms)} or less often, or give a `condition` that fewer profiles match"
        )
    if spec.rate_limit and needed > spec.rate_limit:
        takes_ms = _round_up_ms(profiles / spec.rate_limit)
        raise ValueError(
            f"{profiles:,} profiles at {spec.rate_limit:,g} events a second (rate_limit) take {words(takes_ms)}, but "
            f"it is due {often}. Raise `rate_limit` to {-(-profiles * 1000 // period_ms):,}, or let it be due less "
            "often"
        )
    jitter_ms = duration_ms(spec.jitter)
    if jitter_ms >= period_ms:
        raise ValueError(f"jitter: a run is spread over {words(jitter_ms)}, but it is due {often}: spread it over less")


def _round_up_ms(seconds: float) -> int:
    return -int(-seconds // 1) * 1000
