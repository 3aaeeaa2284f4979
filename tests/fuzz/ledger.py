"""What was answered, and whether that is on the log: nothing acknowledged is missing, nothing refused is there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.records import Inbound
from tests.fuzz.shots import HOOK, Shot
from tests.fuzz.site import NUMBER, Reply, is_half


class Line(NamedTuple):
    """
    One shot.

    Attributes:
        status: Of the answer; 0: none, as the client had gone.
        is_half: Nothing may have come of it, whatever was answered.
        task: Payload id that the answer named; empty: none.
        taken: What became of a message to the webhook, `event` or `dead_letter`; empty: it was for another door.
        records: How many there have to be; None: that is not known.
    """

    number: int
    status: int
    is_half: bool
    task: str
    taken: str
    records: int | None


def line(number: int, shot: Shot, reply: Reply) -> Line:
    """What has to be remembered of a shot."""
    said = json.loads(reply.body) if reply.headers.get(b"content-type") == b"application/json" else None
    document = said if isinstance(said, dict) else {}
    taken = document.get("taken", "")
    is_known = 200 <= reply.status < 300 and not shot.is_cut and not taken
    return Line(
        number, reply.status, is_half(shot), document.get("task", ""), taken, shot.records if is_known else None
    )


def differences(lines: Iterable[Line], records: Iterable[Inbound]) -> Iterator[str]:
    """In words, between what was answered and what is on the log."""
    by_shot: dict[int, list[str]] = {}
    by_hook = 0
    for record in records:
        if record["origin"].startswith(f"bridge:{HOOK}:"):
            by_hook += 1
        else:
            number = int(json.loads(record["body"][1]["request"])["headers"][NUMBER.decode()])  # type: ignore[typeddict-item]
            by_shot.setdefault(number, []).append(record["id"])
    answered = {each.number: each for each in lines}
    for each in answered.values():
        ids = by_shot.get(each.number, [])
        if each.task and each.task not in ids:
            yield f"shot {each.number} was told {each.status}, but {each.task} is not on the log"
        if each.records not in (None, len(ids)):
            yield f"shot {each.number} was told {each.status}, but the log has {len(ids)} of its {each.records} records"
        if ids and (each.status >= 400 or each.is_half):
            yield f"shot {each.number} was told {each.status}, but {len(ids)} of its records are on the log"
    yield from (f"nobody knows shot {number}, which is on the log" for number in by_shot.keys() - answered.keys())
    hooks = sum(bool(each.taken) for each in answered.values())
    if hooks != by_hook:
        yield f"{hooks} messages to the webhook were taken, {by_hook} are on the log"


def summary(lines: Iterable[Line]) -> str:
    """How many of each status."""
    counts = Counter(each.status for each in lines)
    return ", ".join(f"{count} of {status or 'no answer'}" for status, count in sorted(counts.items()))
