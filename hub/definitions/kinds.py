"""The kinds of definition, as their JSON documents are validated."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, Field

Operation: TypeAlias = Literal["set", "set-if-empty", "add", "min", "max", "append-unique"]
Strategy: TypeAlias = Literal["last", "first", "min", "max", "sum", "union"]
"""How the values of one field in two profiles become one. last and first go by event time."""


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
    merge: Annotated[
        Strategy | None,
        Field(
            description="When two profiles become one. Unset: last for set, first for set-if-empty, sum for add, "
            "min, max, union for append-unique."
        ),
    ] = None


class Mapping(_Definition):
    """Copies event properties into profile traits when an event of a type is stored."""

    event_type: Annotated[str, Field(min_length=1, description="The event type, lower case, `-` for spaces.")]
    fields: Annotated[list[FieldMapping], Field(min_length=1)]


class IdentifierField(BaseModel, frozen=True, extra="forbid"):
    """One event property that says who the customer is."""

    event: Annotated[str, Field(pattern=r"^(properties|context)(\.[^.]+)+$", description="Path in the event.")]
    kind: Annotated[
        Literal["email", "phone", "id"],
        Field(description="How it is normalised, so that two spellings of one address or number meet."),
    ]
    name: Annotated[
        str,
        Field(
            pattern="^[a-z0-9_.-]{0,64}$",
            description="Of an id: whose, such as crm. Ids of different names never meet.",
        ),
    ] = ""
    region: Annotated[
        str, Field(pattern="^([A-Z]{2})?$", description="Of a phone: country of numbers without a +, such as GB.")
    ] = ""


class IdentificationPoint(_Definition):
    """Which properties of an event tell the customer: profiles that share one are the same person and become one."""

    event_type: Annotated[
        str, Field(min_length=1, description="The event type, lower case, `-` for spaces; `*` for every type.")
    ]
    source: Annotated[str, Field(description="Only events of this event source. Empty: of any.")] = ""
    identifiers: Annotated[list[IdentifierField], Field(min_length=1, description="In the order of their weight.")]


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
    priority: Annotated[
        Literal["normal", "live"],
        Field(description="normal: a backlog of it does not delay live events. live: it is taken at full speed."),
    ] = "normal"


KINDS: Final[dict[str, type[_Definition]]] = {
    "source": Source,
    "mapping": Mapping,
    "identification-point": IdentificationPoint,
    "bridge": Bridge,
}
Definition: TypeAlias = Source | Mapping | IdentificationPoint | Bridge
