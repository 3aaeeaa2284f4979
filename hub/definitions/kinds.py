"""The kinds of definition, as their JSON documents are validated."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, Field

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
        dict[str, Any] | str | None,
        Field(
            description="Message to payload: a document with JMESPath expressions, or the name of a ready-made one "
            "(docs/mapping.md). Unset: messages have the /track shape."
        ),
    ] = None
    priority: Annotated[
        Literal["normal", "live"],
        Field(description="normal: a backlog of it does not delay live events. live: it is taken at full speed."),
    ] = "normal"
    rate_limit: Annotated[
        float, Field(ge=0, le=1_000_000, description="Most messages a second that are taken; 0: no limit.")
    ] = 0


class Retry(BaseModel, frozen=True, extra="forbid"):
    """How long a destination waits before it tries again, longer each time, a fifth more or less by chance."""

    first_s: Annotated[float, Field(ge=0.05, le=3600, description="Before the second attempt, seconds.")] = 0.5
    longest_s: Annotated[float, Field(ge=0.05, le=3600, description="At most, seconds.")] = 30.0


class Destination(_Definition):
    """Sends stored events, and with them the changes of profiles, to another system."""

    type: Annotated[str, Field(description="The kind of system, such as http.")]
    settings: Annotated[
        dict[str, Any], Field(description="Settings of this kind of destination: see docs/destinations.md.")
    ] = {}
    condition: Annotated[
        str, Field(description="Query on the event (docs/query.md): only those that match are sent. Empty: all.")
    ] = ""
    mapping: Annotated[
        dict[str, Any] | str | None,
        Field(
            description="Template on the event: expressions by field, or one expression. What gives null sends "
            "nothing. Unset: the event as the hub keeps it."
        ),
    ] = None
    key: Annotated[
        str | None,
        Field(description="Expression: what the target orders or groups messages by. Unset: the profile id."),
    ] = None
    start: Annotated[
        Literal["latest", "earliest"] | AwareDatetime,
        Field(
            description="Where a destination begins that has never sent: latest, with what is stored after it was "
            "saved; earliest, with all that the topic has; or an RFC 3339 time."
        ),
    ] = "latest"
    retry: Annotated[Retry, Field(description="Of a target that is away.")] = Retry()
    give_up_s: Annotated[
        float,
        Field(ge=0, description="A message that could not be sent for so long becomes a dead letter. 0: never."),
    ] = 0.0


KINDS: Final[dict[str, type[_Definition]]] = {
    "source": Source,
    "mapping": Mapping,
    "identification-point": IdentificationPoint,
    "bridge": Bridge,
    "destination": Destination,
}
Definition: TypeAlias = Source | Mapping | IdentificationPoint | Bridge | Destination
