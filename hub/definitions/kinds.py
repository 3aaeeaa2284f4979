"""The kinds of definition, as their JSON documents are validated."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, Field

Operation: TypeAlias = Literal["set", "set-if-empty", "add", "min", "max", "append-unique"]


class _Definition(BaseModel, frozen=True, extra="forbid"):
    name: Annotated[str, Field(description="For people.")] = ""
    description: Annotated[str, Field(description="For people.")] = ""
    enabled: Annotated[bool, Field(description="Whether it is in force.")] = True


class Source(_Definition):
    """Who may send events. Knowing its id is all that a client of /track needs."""

    type: Annotated[
        list[Literal["rest", "bridge", "webhook", "redirect", "internal"]],
        Field(min_length=1, description="The doors that it may use: rest is /track, bridge a queue."),
    ] = ["rest", "bridge"]
    channel: Annotated[str, Field(description="Copied to sessions and events.")] = ""
    tags: list[str] = []


class FieldMapping(BaseModel, frozen=True, extra="forbid"):
    """One event property that goes into one profile field."""

    event: Annotated[
        str, Field(pattern=r"^(properties|context|type|time|id)(\.[^.]+)*$", description="Path in the event.")
    ]
    profile: Annotated[
        str, Field(pattern=r"^(traits|data|stats|interests)(\.[^.]+)+$", description="Path in the profile.")
    ]
    op: Annotated[Operation, Field(description="What to do with the value. add, min and max work on numbers.")] = "set"


class Mapping(_Definition):
    """Copies event properties into profile traits when an event of a type is stored."""

    event_type: Annotated[str, Field(min_length=1, description="The event type, lower case, `-` for spaces.")]
    fields: Annotated[list[FieldMapping], Field(min_length=1)]


class Bridge(_Definition):
    """Pulls messages from a queue into events."""

    type: Annotated[str, Field(description="The kind of queue, such as kafka.")]
    source: Annotated[
        str,
        Field(min_length=1, description="Event source id that its events get unless the message names one."),
    ]
    settings: Annotated[dict[str, Any], Field(description="Settings of this kind of bridge: see docs/bridges.md.")] = {}
    mapping: Annotated[
        dict[str, Any] | None,
        Field(description="Message to payload, JMESPath expressions. Unset: messages have the /track shape."),
    ] = None


KINDS: Final[dict[str, type[_Definition]]] = {"source": Source, "mapping": Mapping, "bridge": Bridge}
Definition: TypeAlias = Source | Mapping | Bridge
