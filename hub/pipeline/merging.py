"""Two profiles become one: field by field, by how each was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from hub.definitions.fields import Operation, Strategy
from hub.edge.paths import value_at
from hub.pipeline import histories, membership
from hub.pipeline.derived import DERIVED, derive
from hub.pipeline.draft import Draft
from hub.pipeline.made_sessions import join_open
from hub.pipeline.mapping import Stamp, read_stamp, stamp
from hub.pipeline.operations import MISSING, OperationError, apply
from hub.pipeline.visits import join_visits

FREE: Final = ("traits", "data", "interests", "consents", "aux")
"""Parts of a profile that may hold fields of which no mapping has left a stamp."""
_OPERATIONS: Final[dict[Strategy, Operation]] = {
    "sum": "add",
    "min": "min",
    "max": "max",
    "union": "append-unique",
    "concat": "append",
}


class FieldChange(msgspec.Struct, frozen=True):
    """
    What a merge did to a field of the survivor.

    `old` is None when the field was not there, `new` when it is not any more. `strategy` is `derive` for a field that
    follows from others.
    """

    field: str
    strategy: Strategy | Literal["derive"]
    old: Any
    new: Any


def merge(survivor: Draft, loser: Mapping[str, Any]) -> list[FieldChange]:
    """
    Take the loser's data over.

    Each field with the strategy that its mapping left in its stamp: last and first by the time of their events, then by
    the id they were sent with, so that the end is the same in whatever order profiles are merged. A field without a
    stamp goes to the profile that was updated later. Two values that do not go together (a text and a sum) count as
    last. A field that was deleted in one of them is gone if that came later than what the other one has.

    Args: loser: its document, which is not changed.
    """
    changes = []
    stamped = {name: tuple(name.split(".")) for name in sorted(loser["metadata"]["fields"])}
    for name, path in stamped.items():
        origin, value = read_stamp(loser, name), value_at(loser, path, MISSING)
        if origin is None:
            continue
        changed = _field(survivor, name, path, value, origin)
        if changed is not None:
            changes.append(changed)
    paths = frozenset(stamped.values()) | {tuple(name.split(".")) for name in survivor.doc["metadata"]["fields"]}
    later = loser["metadata"]["time"]["update"] > survivor.doc["metadata"]["time"]["update"]
    for path, value in _leaves(loser, paths):
        current = survivor.get(path)
        if current is MISSING or (later and current != value):
            survivor.set(path, value)
            old = None if current is MISSING else current
            changes.append(FieldChange(".".join(path), "last", old, value))
    changes += [FieldChange(field, "derive", old, new) for field, old, new in derive(survivor)]
    _stats(survivor, loser)
    _times(survivor, loser)
    _ids(survivor, loser)
    return changes


def _field(survivor: Draft, name: str, path: tuple[str, ...], value: Any, origin: Stamp) -> FieldChange | None:
    current, before = survivor.get(path), read_stamp(survivor.doc, name)
    strategy: Strategy
    if before is not None and (value is MISSING or current is MISSING):
        # deleted in one of the two, or in both
        if _rank(origin) <= _rank(before):
            return None
        new, strategy, kept = value, "last", origin
    elif current is MISSING or before is None:
        new, strategy, kept = value, origin.strategy, origin
    else:
        new, strategy, kept = _joined(current, before, value, origin)
    stamp(survivor, name, kept)
    if type(new) is type(current) and new == current:
        return None
    old = None if current is MISSING else current
    if new is MISSING:
        survivor.remove(path)
        return FieldChange(name, strategy, old, None)
    survivor.set(path, new)
    return FieldChange(name, strategy, old, new)


def _joined(current: Any, before: Stamp, value: Any, origin: Stamp) -> tuple[Any, Strategy, Stamp]:
    """The value, the strategy that gave it, and its stamp."""
    newest = max(before, origin, key=_rank)
    strategy = newest.strategy
    operation = _OPERATIONS.get(strategy)
    if operation is not None:
        try:
            return apply(operation, current, value), strategy, newest
        except OperationError:
            strategy = "last"
    theirs = (newest is origin) == (strategy == "last")
    kept = (origin if theirs else before)._replace(strategy=newest.strategy)
    return (value if theirs else current), strategy, kept


def _rank(origin: Stamp) -> tuple[str, str]:
    return origin.at, origin.sender


def _leaves(doc: Mapping[str, Any], stamped: frozenset[tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Values in the free parts that lie neither at a stamped path nor below one."""

    def walk(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        if path in stamped or path in DERIVED:
            return
        if isinstance(value, dict) and value:
            for key, below in value.items():
                yield from walk((*path, key), below)
        elif len(path) > 1:
            yield path, value

    for part in FREE:
        yield from walk((part,), doc.get(part, {}))


def _stats(survivor: Draft, loser: Mapping[str, Any]) -> None:
    theirs = loser.get("stats", {})
    ours = survivor.object(("stats",))
    for name in ("events", "visits"):
        ours[name] = _whole(ours.get(name)) + _whole(theirs.get(name))


def _times(survivor: Draft, loser: Mapping[str, Any]) -> None:
    theirs = loser["metadata"]["time"]
    ours = survivor.object(("metadata", "time"))
    ours["insert"] = min(ours["insert"], theirs["insert"])
    ours["update"] = max(ours["update"], theirs["update"])
    join_visits(survivor, theirs["visit"])
    join_open(survivor, loser)


def _ids(survivor: Draft, loser: Mapping[str, Any]) -> None:
    survivor.doc["ids"] = list(dict.fromkeys((*survivor.doc["ids"], *loser["ids"])))
    membership.join(survivor, loser)
    histories.join(survivor, loser)
    metadata = survivor.object(("metadata",))
    theirs = loser["metadata"].get("identifiers")
    if theirs:
        ours = survivor.object(("metadata", "identifiers"))
        for identifier, came in theirs.items():
            # [label, at, event id]: who came with it first
            if identifier not in ours or came[1:] < ours[identifier][1:]:
                ours[identifier] = came
    apart = dict.fromkeys((*metadata.get("apart", ()), *loser["metadata"].get("apart", ())))
    if apart:
        metadata["apart"] = [id for id in apart if id not in survivor.doc["ids"]]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
