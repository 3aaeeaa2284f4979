"""Event mappings: which properties of an event go into which fields of its profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from hub.definitions.kinds import Mapping as MappingDefinition
from hub.definitions.kinds import Operation, Strategy
from hub.edge.paths import value_at
from hub.pipeline.draft import Draft
from hub.pipeline.operations import MISSING, OperationError, apply


class Field(NamedTuple):
    """One line of a mapping, its paths cut into keys. `mapping` is the definition's id."""

    mapping: str
    event: tuple[str, ...]
    profile: tuple[str, ...]
    op: Operation
    name: str  # the profile path as people write it
    strategy: Strategy


class Change(msgspec.Struct, frozen=True):
    """
    What one line did to a field. `old` is None when the field was not there.

    Of append-unique only what was appended, as `new`: a list that grows would be in every event's document.
    """

    field: str
    op: Operation
    old: Any
    new: Any


class Problem(msgspec.Struct, frozen=True):
    """Why one line did nothing: the event is kept all the same."""

    mapping: str
    field: str
    detail: str


FIELDS: Final = ("metadata", "fields")
STRATEGIES: Final[dict[Operation, Strategy]] = {
    "set": "last",
    "set-if-empty": "first",
    "add": "sum",
    "min": "min",
    "max": "max",
    "append-unique": "union",
}
"""How a field is merged whose mapping does not say so."""


class Sent(NamedTuple):
    """
    Where a value comes from: the event, its time (RFC 3339), and the profile id that it was sent with.

    `late`: it was sent with a session of another, or came back from where it was handed on to, so that others of the
    same sender may have passed it.
    """

    at: str
    event_id: str
    sender: str
    late: bool = False


class Stamp(NamedTuple):
    """
    The origin of a field's value, as `metadata.fields` keeps it.

    `at` never goes back for one sender: a value that is sent later counts as later, whatever its event's own clock
    says. So the order of the log decides for one profile id, and time between ids, with the same end in whatever order
    the records of two ids meet.
    """

    at: str
    event_id: str
    strategy: Strategy
    sender: str


Compiled: TypeAlias = Mapping[str, Sequence[Field]]
"""Event type → the lines that apply to it, by mapping id and in their order."""


def compile_mappings(definitions: Iterable[tuple[str, MappingDefinition]]) -> Compiled:
    """Once per change of a definition. Args: definitions: (id, definition)."""
    by_type: dict[str, list[Field]] = {}
    for mapping_id, definition in sorted(definitions, key=lambda item: item[0]):
        if definition.enabled:
            by_type.setdefault(definition.event_type, []).extend(
                Field(
                    mapping_id,
                    tuple(line.event.split(".")),
                    tuple(line.profile.split(".")),
                    line.op,
                    line.profile,
                    line.merge or STRATEGIES[line.op],
                )
                for line in definition.fields
            )
    return by_type


def map_event(
    fields: Sequence[Field], event: Mapping[str, Any], profile: Draft, sent: Sent
) -> tuple[list[Change], list[Problem]]:
    """
    Apply every line to the draft; a value that is missing or null does nothing.

    Args: event: `id`, `type`, `time`, `properties`, `context`.
    """
    changes: list[Change] = []
    problems: list[Problem] = []
    for line in fields:
        value = value_at(event, line.event)
        if value is None:
            continue
        current = profile.get(line.profile)
        op, at = _op(line, current, profile, sent)
        if op is None:
            continue
        try:
            new = apply(op, current, value)
        except OperationError as exc:
            problems.append(Problem(line.mapping, line.name, str(exc)))
            continue
        changed = current is MISSING or type(new) is not type(current) or new != current
        if changed:
            profile.set(line.profile, new)
            changes.append(_change(line, None if current is MISSING else current, new))
        if changed or op == "set":
            stamp(profile, line.name, Stamp(at, sent.event_id, line.strategy, sent.sender))
    return changes, problems


def stamp(profile: Draft, name: str, origin: Stamp) -> None:
    """Keep where a field's value comes from, in as few words as it takes."""
    short: list[str] = [origin.at, origin.event_id]
    own = origin.sender == profile.doc["id"]
    if not own or origin.strategy != "last":
        short.append(origin.strategy)
    if not own:
        short.append(origin.sender)
    profile.object(FIELDS)[name] = short


def read_stamp(profile: Mapping[str, Any], name: str) -> Stamp | None:
    """Where a field's value comes from; None when that is not known. Args: profile: its document."""
    short = profile["metadata"]["fields"].get(name)
    if not short:
        return None
    at, event_id, *rest = short
    return Stamp(at, event_id, rest[0] if rest else "last", rest[1] if len(rest) > 1 else profile["id"])


def _op(line: Field, current: Any, profile: Draft, sent: Sent) -> tuple[Operation | None, str]:
    """What to do, and the time that the value then has; None: what is there stays, because it counts as later."""
    if line.op not in ("set", "set-if-empty"):
        return line.op, sent.at
    before = read_stamp(profile.doc, line.name)
    if before is None or current is MISSING:
        return line.op, sent.at
    if before.sender == sent.sender and not sent.late:
        return line.op, max(sent.at, before.at)
    here, there = (sent.at, sent.sender), (before.at, before.sender)
    if line.op == "set":
        return ("set", sent.at) if here >= there else (None, sent.at)
    if before.strategy == "first" and here < there:
        return "set", sent.at
    return line.op, sent.at


def _change(line: Field, old: Any, new: Any) -> Change:
    if line.op == "append-unique":
        kept = len(old) if isinstance(old, list) else 0 if old is None else 1
        return Change(line.name, line.op, None, new[kept:])
    return Change(line.name, line.op, old, new)
