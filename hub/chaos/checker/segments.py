"""Who must be in which segment, made of all that is stored; and what the events on entering and leaving must say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from hub.chaos.checker.documents import holder, place, received_ms
from hub.chaos.checker.ledger import Step
from hub.chaos.checker.violations import Violation

ENTERED: Final = "segment-entered"


class Segments(NamedTuple):
    """
    What the kit has defined: three segments, by their ids.

    Attributes:
        by_sum: Whose amounts add up to `low` at least and to less than `high`.
        by_time: Who has had an event with `time_label` in the last `window_ms`.
        by_count: Whose events with `count_label` are `many` at least; something else until it was changed in mid-run.
    """

    by_sum: str
    low: int
    high: int
    by_time: str
    time_label: str
    window_ms: int
    by_count: str
    count_label: str
    many: int

    @property
    def ids(self) -> tuple[str, str, str]:
        """Of all of them."""
        return self.by_sum, self.by_time, self.by_count


class Seen(NamedTuple):
    """
    What the hub says of them.

    Attributes:
        members: By segment, the profiles that its list has.
        crossings: Documents of the events on entering and leaving, in any order.
        at_ms: When it was asked, milliseconds since 1970.
    """

    members: Mapping[str, Collection[str]]
    crossings: Sequence[Mapping[str, Any]]
    at_ms: int


def check(
    segments: Segments,
    seen: Seen,
    *,
    kept: Iterable[Step],
    stored: Mapping[str, Sequence[Mapping[str, Any]]],
    profiles: Mapping[str, Mapping[str, Any]],
    person_of: Mapping[str, str],
) -> Iterator[Violation]:
    """
    Args: kept: what is stored, or must be. stored: documents by event id. profiles: documents by any id. person_of: by
    profile id, the smallest of its person.
    """
    steps_of: dict[str, list[Step]] = defaultdict(list)
    for step in kept:
        steps_of[person_of[step.profile]].append(step)
    within = {person: frozenset(profiles.get(person, {}).get("segments", ())) for person in steps_of}
    for person, steps in steps_of.items():
        for segment, allowed in _allowed(segments, steps, stored, seen.at_ms).items():
            is_in = segment in within[person]
            if is_in not in allowed:
                yield Violation("segment", person, f"is {'in' if is_in else 'not in'} {segment}, and must be otherwise")
            if is_in is not (person in seen.members[segment]):
                yield Violation("segment", person, f"itself and the list of {segment} say different things")
    for segment in segments.ids:
        for id in set(seen.members[segment]) - steps_of.keys():
            yield Violation("segment", id, f"is in {segment}, and is no profile of a person")
    yield from _crossings(segments, seen.crossings, within, person_of)


def figures(segments: Segments, seen: Seen) -> dict[str, int]:
    """How much there was to check."""
    left = [one for one in seen.crossings if one["type"] != ENTERED]
    of_time = [one for one in left if one["properties"]["segment"] == segments.by_time]
    return {
        "segments_entered": len(seen.crossings) - len(left),
        "segments_left": len(left),
        "left_as_time_passed": sum(one["properties"]["event"] is None for one in of_time),
        "members": sum(len(members) for members in seen.members.values()),
    }


def _allowed(
    segments: Segments, steps: Sequence[Step], stored: Mapping[str, Sequence[Mapping[str, Any]]], at_ms: int
) -> dict[str, Collection[bool]]:
    cents = sum(step.cents for step in steps)
    labelled = sum(step.label == segments.count_label for step in steps)
    recent = [
        step
        for step in steps
        if step.label == segments.time_label
        and any(received_ms(event) > at_ms - segments.window_ms for event in stored.get(step.id, ()))
    ]
    return {
        segments.by_sum: [segments.low * 100 <= cents < segments.high * 100],
        # received just now, or by a clock that was ahead: as long as it is so, another clock may have seen it leave
        segments.by_time: [True, False] if recent else [False],
        segments.by_count: [labelled >= segments.many],
    }


def _crossings(
    segments: Segments,
    events: Iterable[Mapping[str, Any]],
    within: Mapping[str, Collection[str]],
    person_of: Mapping[str, str],
) -> Iterator[Violation]:
    told: dict[tuple[str, str], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for event in sorted(events, key=place):
        id = holder(event)
        if id not in person_of:
            yield Violation("crossing", id, f"has {event['type']}, and no event of it is stored")
            continue
        told[person_of[id], event["properties"]["segment"]][id].append(event["type"] == ENTERED)
    for person, its in within.items():
        for segment in segments.ids:
            wrong = _wrong(told.get((person, segment), {}), person, is_in=segment in its)
            if wrong:
                yield Violation("crossing", person, f"{segment}: {wrong}")


def _wrong(told: Mapping[str, Sequence[bool]], person: str, *, is_in: bool) -> str:
    """
    What cannot be, in words; empty: nothing.

    Who is merged into another brings along what it is in, and neither of the two tells of that. So an id may leave what
    a greater one has entered, as often as there are such ones.

    Args: told: by the id of the profile, in order, whether it entered or left. person: the id that is left.
    """
    bring = [id for id, ones in told.items() if id != person and ones[-1]]
    for id, ones in told.items():
        if any(before and now for before, now in pairwise(ones)):
            return f"{id} has entered twice and not left in between"
        brought = sum(not (before or now) for before, now in pairwise([False, *ones]))
        if brought > sum(other > id for other in bring):
            return f"{id} has left and not entered before"
    own = told.get(person, [False])
    if is_in:
        return "" if own[-1] or bring else "is in it, and has not entered, or has left since"
    if own[-1]:
        return "is not in it, has entered and not left since"
    for id in bring:
        if not any(other < id and not ones[-1] for other, ones in told.items()):
            return f"is not in it; {id}, which is merged into it, was, and nobody has left"
    return ""
