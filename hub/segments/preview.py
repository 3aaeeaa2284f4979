"""What a condition would give as a segment: how many, a sample of them, and why one profile is in or out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from hub.conditions.ast import Condition
from hub.conditions.explain import Part, explained
from hub.conditions.history import Series, series_of
from hub.conditions.python import compile_python
from hub.pipeline.histories import lacking, made_of, types_of
from hub.segments.rules import filled_in
from hub.store.port import Reading, Scanning, Segments
from hub.store.query.segment import segment_condition, warnings

SAMPLE: Final = 1_000
"""Profiles that are looked at one by one where a set query does not do."""
_PLACES: Final = 20
"""So many stretches of neighbouring ids they are taken from."""


class Store(Reading, Segments, Scanning, Protocol):
    """What a preview needs of the store. It writes nothing."""


class Verdict(NamedTuple):
    """
    On one profile. `parts`: which part of the condition is true, false or unknown, and what was found there; None:
    there is no condition.
    """

    id: str
    matches: bool
    parts: Part | None


class Preview(NamedTuple):
    """
    What a condition would give.

    Attributes:
        matching: How many profiles match; an estimate unless `is_exact`.
        total: How many there are.
        is_exact: False: the condition asks for events that profiles have kept no account of so far, and `looked`
            profiles were looked at instead of all.
        sample: Some that match, the newest or any.
        warnings: What is probably not meant.
    """

    matching: int
    total: int
    is_exact: bool
    looked: int
    sample: list[dict[str, Any]]
    profile: Verdict | None
    warnings: list[str]


def preview(store: Store, text: str, size: int, profile: dict[str, Any] | None, now_us: int) -> Preview:
    """
    Args:
        text: The condition.
        size: Most of the sample.
        profile: Document of the one that is asked about.
        now_us: microseconds since 1970.

    Raises: QueryError: the condition is not valid, says where. Unavailable.
    """
    condition = segment_condition(text)
    series = series_of([condition])
    total = store.count("profiles", "")
    counted = _by_series(store, condition, series, total, size, now_us=now_us) if series else None
    if counted is None:
        count, sample = store.satisfying(condition, size, now_us)
        counted = count, True, total, sample
    count, is_exact, looked, sample = counted
    verdict = None
    if profile is not None:
        whole = _filled(store, profile, series, now_us)
        parts = explained(condition, whole, now_us)
        verdict = Verdict(profile["id"], parts.verdict == "true", parts)
    odd = [*warnings(text), *_warnings(count, total)]
    return Preview(count, total, is_exact, looked, sample, verdict, odd)


def listed(store: Store, segment: str, size: int, profile: dict[str, Any] | None, flows: Sequence[str]) -> Preview:
    """
    Who is in a segment without a condition now: nothing can be tried there.

    Args: flows: ids of those that say who is in it. The others: as of `preview`. Raises Unavailable.
    """
    total = store.count("profiles", "")
    sample = store.members(segment, size, None)[0] if size else []
    verdict = None if profile is None else Verdict(profile["id"], segment in profile["segments"], None)
    by = f"lists and the flow{'s' if len(flows) > 1 else ''} {', '.join(flows)}" if flows else "lists"
    why = f"it has no condition: {by} say who is in it, and these are those who are in it now"
    return Preview(store.segment_sizes().get(segment, 0), total, True, total, sample, verdict, [why])


def met_by_all(store: Store, text: str, now_us: int) -> list[str]:
    """
    Warns of a condition that everybody meets who is there; of many profiles SAMPLE are looked at.

    Args: text: a condition that a segment may have. now_us: microseconds since 1970. Raises: Unavailable.
    """
    condition = segment_condition(text)
    series = series_of([condition])
    total = store.count("profiles", "")
    documents = _some(store, total)
    holds = compile_python(condition, lambda: now_us)
    if not documents or not all(holds(_filled(store, document, series, now_us)) for document in documents):
        return []
    if len(documents) >= total:
        return _warnings(total, total)
    return [f"all of the {len(documents):,} profiles that were tried match, of {total:,}: is something missing in it?"]


def _by_series(
    store: Store, condition: Condition, series: dict[str, Series], total: int, size: int, *, now_us: int
) -> tuple[int, bool, int, list[dict[str, Any]]] | None:
    """By a sample of profiles, each with its history made of its events; None: all have what is needed."""
    documents = _some(store, total)
    if not any(lacking(document, series, now_us // 1_000) for document in documents):
        return None
    holds = compile_python(condition, lambda: now_us)
    found = [document for document in documents if holds(_filled(store, document, series, now_us))]
    if len(documents) >= total:
        return len(found), True, len(documents), found[:size]
    return round(total * len(found) / len(documents)), False, len(documents), found[:size]


def _some(store: Store, total: int) -> list[dict[str, Any]]:
    """All profiles, or SAMPLE of them, spread over their ids."""
    if total <= SAMPLE:
        return [msgspec.json.decode(raw) for _, raw in store.profiles_after("", SAMPLE)]
    documents: list[dict[str, Any]] = []
    after, step = "", total // _PLACES
    for _ in range(_PLACES):
        documents += (msgspec.json.decode(raw) for _, raw in store.profiles_after(after, SAMPLE // _PLACES))
        after = store.next_cut("profiles", after, step).until
        if not after:
            break
    return documents


def _filled(store: Store, document: dict[str, Any], series: dict[str, Series], now_us: int) -> dict[str, Any]:
    """The profile with the histories that its owner would make of its events."""
    missing = lacking(document, series, now_us // 1_000)
    if not missing:
        return document
    events = store.history(document["id"], types_of(missing))
    ids = {document["id"], *document["ids"]}
    return filled_in(document, made_of(events, ids, missing, now_us // 1_000))


def _warnings(count: int, total: int) -> list[str]:
    if total and count == total:
        return ["every profile matches: is something missing in the condition?"]
    if total and not count:
        return ["no profile matches"]
    return []
