"""One event of each profile and due time: what that comes to for profiles that begin and are merged meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hub.chaos.checker.documents import milliseconds, sender
from hub.chaos.checker.violations import Violation


class Heartbeat(NamedTuple):
    """
    The kit's heartbeat, which makes up for all due times that were missed.

    Attributes:
        ending: Of the ids of those profiles that it is for.
        every_ms: Its due times are the multiples of that, milliseconds since 1970.
        until_ms: A due time that came after all events were stored, and whose run has ended; None: there was none.
        why: There was none: what the hub says.
        events: Documents.
    """

    ending: str
    every_ms: int
    until_ms: int | None
    why: str
    events: Sequence[Mapping[str, Any]]


def check(heartbeat: Heartbeat, person_of: Mapping[str, str]) -> Iterator[Violation]:
    """
    When exactly a profile began, and when it became part of another one, nobody knows but the hub. But none is missing
    between its first event and its last one; and at the end everybody has one who is still there.

    Args: person_of: by profile id, the smallest of its person.
    """
    if heartbeat.until_ms is None:
        yield Violation("heartbeat", "all", f"no run has begun and ended when all was stored: {heartbeat.why}")
    of_id: dict[str, set[int]] = defaultdict(set)
    for (id, due_ms), number in Counter(map(_whose, heartbeat.events)).items():
        of_id[id].add(due_ms)
        if number > 1:
            yield Violation("heartbeat", id, f"has {number} events that are due at {due_ms}")
        if due_ms % heartbeat.every_ms:
            yield Violation("heartbeat", id, f"has an event for {due_ms}, when nothing was due")
        if id not in person_of or not id.endswith(heartbeat.ending):
            yield Violation("heartbeat", id, f"has an event for {due_ms}, and it is not for such a profile")
    still_there = {person for person in person_of.values() if person.endswith(heartbeat.ending)}
    for id in sorted(of_id.keys() | still_there):
        dues = of_id[id]
        until_ms = heartbeat.until_ms if id in still_there else max(dues)
        if until_ms is not None:
            yield from _missing(id, dues, until_ms, heartbeat.every_ms)


def figures(heartbeat: Heartbeat) -> dict[str, int]:
    """How much there was to check."""
    return {
        "heartbeat_events": len(heartbeat.events),
        "heartbeat_due_times": len({due_ms for _, due_ms in map(_whose, heartbeat.events)}),
    }


def _whose(event: Mapping[str, Any]) -> tuple[str, int]:
    return sender(event), milliseconds(event["metadata"]["time"]["create"])


def _missing(id: str, dues: Iterable[int], until_ms: int, every_ms: int) -> Iterator[Violation]:
    """Args: until_ms: the last due time that must be there."""
    there = set(dues)
    missing = sorted(set(range(min(there, default=until_ms), until_ms + 1, every_ms)) - there)
    if missing:
        yield Violation("heartbeat", id, f"has no event for {len(missing)} due times, the first of them {missing[0]}")
