"""Which lines of which mappings were applied to an event: its document names them, so that none is applied twice."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, Protocol, TypeVar

import msgspec

from hub.definitions.fields import FieldMapping

KEY_CHARS: Final = 6
"""Of a line: 36 bits, so that two lines of one mapping practically never have the same."""
_BYTES: Final = 5
_ADDING: Final = frozenset({"add", "increment", "decrement", "append"})


class Promoted(msgspec.Struct, frozen=True):
    """
    Lines that a promotion has applied to all events that were stored then: their documents do not say so.

    Attributes:
        epoch, progress: How far the log was applied then.
        mapped: By event type, as `named` gives them.
    """

    epoch: int
    progress: dict[int, int]
    mapped: dict[str, dict[str, str]]


class Line(Protocol):
    """`hub.pipeline.mapping.Field`."""

    @property
    def mapping(self) -> str:
        """Id of the definition."""
        ...

    @property
    def key(self) -> str:
        """As of `key_of`; empty of a line of an event type, which is named nowhere."""
        ...


L = TypeVar("L", bound=Line)


def key_of(line: FieldMapping) -> str:
    """
    What a line does, in KEY_CHARS characters: from where to where, and how. Not when: to loosen a condition is no
    reason to add again what was added. Of what would be added twice, not how much either.
    """
    said = [line.event, line.profile, line.op, None if line.op in _ADDING else line.operand]
    digest = blake2b(msgspec.json.encode(said), digest_size=_BYTES).digest()
    return urlsafe_b64encode(digest)[:KEY_CHARS].decode()


def named(lines: Iterable[Line]) -> dict[str, str]:
    """By mapping, the keys of its lines, one behind the other: as an event's document has them."""
    found: dict[str, str] = {}
    for line in lines:
        if line.key:
            found[line.mapping] = found.get(line.mapping, "") + line.key
    return found


def left(lines: Iterable[L], before: Mapping[str, str], mappings: Collection[str] = ()) -> list[L]:
    """
    Those that were not applied.

    Args: lines: of mappings. before: as `named` gives it, of the event. mappings: only of these; empty: of all.
    """
    done = {mapping: keys_of(keys) for mapping, keys in before.items()}
    return [
        line
        for line in lines
        if line.key not in done.get(line.mapping, ()) and (not mappings or line.mapping in mappings)
    ]


def applied(lines: Iterable[L], event: Mapping[str, Any]) -> list[L]:
    """Those that were applied to an event; of event types all. Args: event: its document."""
    before = {mapping: keys_of(keys) for mapping, keys in of_event(event).items()}
    return [line for line in lines if not line.key or line.key in before.get(line.mapping, ())]


def joined(before: Mapping[str, str], lines: Iterable[Line]) -> dict[str, str]:
    """What is named once these are applied, too."""
    made = dict(before)
    for mapping, keys in named(lines).items():
        made[mapping] = made.get(mapping, "") + keys
    return made


def of_event(event: Mapping[str, Any]) -> dict[str, str]:
    """What its document names. Args: event: its document."""
    found: dict[str, str] = event["outcome"].get("mapped") or {}
    return found


def with_promoted(event: dict[str, Any], promotions: Iterable[Promoted]) -> dict[str, Any]:
    """An event that names also what promotions have applied to it. Args: event: its document, which is changed."""
    place = event["metadata"]["position"]
    for one in promotions:
        lines = one.mapped.get(event["type"])
        is_older = place["epoch"] < one.epoch or (
            place["epoch"] == one.epoch and place["offset"] < one.progress.get(place["partition"], 0)
        )
        if lines and is_older:
            made = of_event(event)
            event["outcome"]["mapped"] = {
                **made,
                **{mapping: made.get(mapping, "") + keys for mapping, keys in lines.items()},
            }
    return event


def keys_of(text: str) -> set[str]:
    """Of the lines of one mapping, as a document names them."""
    return {text[at : at + KEY_CHARS] for at in range(0, len(text), KEY_CHARS)}
