"""What events of a type have in common, compiled: index fields, tags, where customers are on their way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from hub.definitions.fields import FieldMapping
from hub.definitions.kinds import EventType
from hub.definitions.shape import EVENT, Shape, fine, oddities, shape_at
from hub.edge.paths import found_at

MOST_ODDITIES: Final = 10
"""Of one event that are named one by one."""


class Copy(NamedTuple):
    """
    One index field.

    Attributes:
        objects, key: Its path.
        source: Key in the object that its group is about; empty if it is a default alone.
        fine: Types of values that need no further look.
    """

    objects: tuple[str, ...]
    key: str
    source: str
    default: Any
    shape: Shape | None
    fine: frozenset[type]
    name: str


class Group(NamedTuple):
    """Index fields that are copied from the same object of the event, which is looked up once."""

    place: tuple[str, ...]
    copies: tuple[Copy, ...]


class EventTypeRule(NamedTuple):
    """An event type in force."""

    id: str
    tags: tuple[str, ...]
    journey: str
    journey_again: str
    groups: tuple[Group, ...]
    profile: tuple[FieldMapping, ...]

    def indexed(self, event: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """
        The index fields of an event, and (field, what is odd) of those that are not as the schema says.

        A value that is missing or null is in no field. An odd one is, as it is: no event is lost for it.

        Args: event: `properties`, `context` and the like.
        """
        made: dict[str, Any] = {}
        odd: list[tuple[str, str]] = []
        for place, copies in self.groups:
            there = found_at(event, place)
            is_object = type(there) is dict
            for copy in copies:
                value = there.get(copy.source) if is_object else _within(there, copy.source)
                if value is None:
                    value = copy.default
                    if value is None:
                        continue
                at = made
                for key in copy.objects:
                    below = at.get(key)
                    if below is None:
                        below = at[key] = {}
                    at = below
                at[copy.key] = value
                if type(value) not in copy.fine:
                    odd.extend(oddities(copy.shape, value, copy.name))
        if len(odd) > MOST_ODDITIES:
            more = len(odd) - MOST_ODDITIES
            odd[MOST_ODDITIES:] = [(self.id, f"{more} more index fields are not as the schema says; kept as they are")]
        return made, odd

    def state(self, visits: int) -> str:
        """Where the customer is on the way. Args: visits: of the profile, this one included."""
        return self.journey_again if visits > 1 and self.journey_again else self.journey


Rules: TypeAlias = Mapping[str, EventTypeRule]
"""By event type."""


def compile_event_types(definitions: Iterable[tuple[str, EventType]]) -> Rules:
    """Once per change of a definition. Args: definitions: (id, definition); disabled ones count for nothing."""
    return {id: _rule(id, definition) for id, definition in definitions if definition.enabled}


def _within(there: Any, source: str) -> Any:
    return found_at(there, (source,)) if isinstance(there, list) else None


def _rule(id: str, definition: EventType) -> EventTypeRule:
    groups: dict[tuple[str, ...], list[Copy]] = {}
    for name in dict.fromkeys((*definition.copied, *definition.defaults)):
        *objects, key = name.split(".")
        *place, source = definition.copied.get(name, "").split(".")
        shape = shape_at(EVENT, (*objects, key))
        copy = Copy(tuple(objects), key, source, definition.defaults.get(name), shape, fine(shape), name)
        groups.setdefault(tuple(place), []).append(copy)
    return EventTypeRule(
        id,
        tuple(definition.tags),
        definition.journey,
        definition.journey_again,
        tuple(Group(place, tuple(copies)) for place, copies in groups.items()),
        tuple(definition.profile),
    )
