"""Event mappings: which properties of an event go into which fields of its profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from hub.definitions.kinds import Mapping as MappingDefinition
from hub.definitions.kinds import Operation
from hub.pipeline.draft import Draft
from hub.pipeline.operations import MISSING, OperationError, apply


class Field(NamedTuple):
    """One line of a mapping, its paths cut into keys. `mapping` is the definition's id."""

    mapping: str
    event: tuple[str, ...]
    profile: tuple[str, ...]
    op: Operation
    name: str  # the profile path as people write it


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

Compiled: TypeAlias = Mapping[str, Sequence[Field]]
"""Event type → the lines that apply to it, by mapping id and in their order."""


def compile_mappings(definitions: Iterable[tuple[str, MappingDefinition]]) -> Compiled:
    """Once per change of a definition. Args: definitions: (id, definition)."""
    by_type: dict[str, list[Field]] = {}
    for mapping_id, definition in sorted(definitions, key=lambda item: item[0]):
        if definition.enabled:
            by_type.setdefault(definition.event_type, []).extend(
                Field(mapping_id, tuple(line.event.split(".")), tuple(line.profile.split(".")), line.op, line.profile)
                for line in definition.fields
            )
    return by_type


def map_event(
    fields: Sequence[Field], event: Mapping[str, Any], profile: Draft, stamp: list[str]
) -> tuple[list[Change], list[Problem]]:
    """
    Apply every line to the draft; a value that is missing or null does nothing.

    Args:
        event: `id`, `type`, `time`, `properties`, `context`.
        stamp: [event time, event id], kept as the origin of each changed field.
    """
    changes: list[Change] = []
    problems: list[Problem] = []
    for line in fields:
        value = _value(event, line.event)
        if value is None:
            continue
        current = profile.get(line.profile)
        try:
            new = apply(line.op, current, value)
        except OperationError as exc:
            problems.append(Problem(line.mapping, line.name, str(exc)))
            continue
        if current is MISSING or type(new) is not type(current) or new != current:
            profile.set(line.profile, new)
            profile.object(FIELDS)[line.name] = stamp
            changes.append(_change(line, None if current is MISSING else current, new))
    return changes, problems


def _change(line: Field, old: Any, new: Any) -> Change:
    if line.op == "append-unique":
        kept = len(old) if isinstance(old, list) else 0 if old is None else 1
        return Change(line.name, line.op, None, new[kept:])
    return Change(line.name, line.op, old, new)


def _value(event: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = event
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value
