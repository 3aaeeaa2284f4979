"""The kinds of definition, as their JSON documents are validated."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from hub.definitions.fields import INDEXED, SOURCE, FieldMapping, ShortFieldMapping
from hub.definitions.flows import MOST_NODES, FlowLimits, FlowNode, FlowTrigger, NodeId
from hub.definitions.schedule import DURATION, Schedule, check_cron, duration_ms


def _network(text: str) -> str:
    ip_network(text)  # raises ValueError, which says what is wrong
    return text


def _start(value: object, check: ValidatorFunctionWrapHandler) -> object:
    try:
        return check(value)
    except ValidationError as exc:
        words = "write earliest, latest, or an RFC 3339 time with its zone, such as 2026-11-25T09:30:00Z"
        raise ValueError(words) from exc


Start: TypeAlias = Annotated[Literal["earliest", "latest"] | AwareDatetime, WrapValidator(_start)]
"""Where a reader begins that has never read."""
WRITE_KEY: Final = r"^[!-9;-~]{1,256}$"
WriteKey: TypeAlias = Annotated[str, Field(pattern=WRITE_KEY)]
"""Printable ASCII without space; without a colon, too, as it is the user of a basic authorization."""
ORIGIN: Final = r"^[a-z][a-z0-9+.-]*://[^/\sA-Z]+$"
Origin: TypeAlias = Annotated[str, Field(pattern=ORIGIN)]
"""As browsers write it: scheme and host in lower case, the port unless it is the usual one, no slash at the end."""
Network: TypeAlias = Annotated[str, AfterValidator(_network)]
IndexField: TypeAlias = Annotated[str, Field(pattern=INDEXED)]
EventPath: TypeAlias = Annotated[str, Field(pattern=SOURCE)]
SENT: Final = r"^(properties|context)(\.[^.]+)+$"
GUARDED: Final = r"^(properties|context|request)(\.[^.]+)+$"
PAGE: Final = r"^https?://[!-~]+$"
DELIMITER: Final = '^[^"\\r\\n]$'
"""What stands between the cells of a CSV line."""
IMPORTED_DELIMITER: Final = r'^[^"\r\n\x00]?$'
"""The same of an import; empty: it is seen from the first lines."""
CONSENT_TIME: Final = r"^(\d{1,6}[smhdw])*$"
ApiRole: TypeAlias = Literal["collect", "read", "operate", "admin"]
KEY_HASH: Final = r"^([0-9a-f]{64}|sealed|)$"
"""SHA-256 as hub.definitions.api_keys makes it; `sealed` stands for the one that is kept."""


class _Definition(BaseModel, frozen=True, extra="forbid"):
    name: Annotated[str, Field(description="For people.")] = ""
    description: Annotated[str, Field(description="For people.")] = ""
    enabled: Annotated[bool, Field(description="Whether it is in force.")] = True


class Source(_Definition):
    """Who may send events. Knowing its id is all that a client of /track needs."""

    type: Annotated[
        list[Literal["rest", "bridge", "webhook", "redirect", "internal"]],
        Field(min_length=1, description="The doors that it may use: rest is /track and its like, bridge a queue."),
    ] = ["rest", "bridge"]
    channel: Annotated[str, Field(description="Copied to new sessions and to events, as `metadata.channel`.")] = ""
    tags: list[str] = []
    rate_limit: Annotated[
        float,
        Field(
            ge=0,
            le=1_000_000,
            description="Most events a second that each API process takes, then 429 with Retry-After; 0: no limit.",
        ),
    ] = 0
    body_bytes: Annotated[
        int, Field(ge=0, description="Most bytes of a request's body, unpacked; 0: as HUB_LIMITS__BODY_BYTES says.")
    ] = 0
    transitional: Annotated[
        bool,
        Field(description="Its events change profiles and go to destinations; they and their sessions are not kept."),
    ] = False
    permanent_profile_id: Annotated[
        bool,
        Field(
            description="A payload has to name its profile, and goes there even if its session belongs to another one."
        ),
    ] = False
    sessions: Annotated[
        Literal["client", "30m"],
        Field(
            description="client: what names no session has none. 30m: it gets one of its profile's, which ends with "
            "half an hour without an event (docs/sessions.md)."
        ),
    ] = "client"
    system_events: Annotated[
        bool,
        Field(
            description="Whether a profile, session or visit that begins is told by an event of the hub's own: "
            "profile-created, session-opened, visit-started (docs/sessions.md)."
        ),
    ] = False
    write_keys: Annotated[
        list[WriteKey],
        Field(
            description="By one of these a client of another vendor, which does not know our ids, says that it is this "
            "source (docs/doors.md). No secrets: each page that sends shows its own. Several: to change to a new one."
        ),
    ] = []
    allowed_origins: Annotated[
        list[Origin],
        Field(
            description="Pages that may send, such as https://shop.example. Empty: all. What comes without an Origin, "
            "from a server or an app, is not held up."
        ),
    ] = []


class Redirect(_Definition):
    """A link that counts: who follows /redirect/{id} goes to a page, and an event says so."""

    url: Annotated[
        str,
        Field(pattern=PAGE, max_length=2_000, description="Where people are sent; the same for everybody."),
    ]
    source: Annotated[str, Field(min_length=1, description="Event source id; its `type` must have redirect in it.")]
    event_type: Annotated[
        str, Field(min_length=1, max_length=256, pattern=r"[^\s]", description="Lower case, `-` for spaces.")
    ]
    properties: Annotated[
        dict[str, Any] | str,
        Field(
            description="Template on `{params, body, session}`: expressions by property, as in a mapping "
            "(docs/mapping.md). `params` is the query string, `session` has its id."
        ),
    ] = {}


class ConsentType(_Definition):
    """Something that customers may agree to; its id is that of the consent in their profiles."""

    revokable: Annotated[bool, Field(description="Whether the consent ends by itself after `auto_revoke`.")] = False
    default_value: Annotated[
        Literal["grant", "deny"], Field(description="What a form shows until somebody has decided.")
    ] = "deny"
    required: Annotated[bool, Field(description="Whether a form insists on it.")] = False
    auto_revoke: Annotated[
        str,
        Field(
            pattern=CONSENT_TIME,
            description="How long a consent holds, such as 15d or 1d12h: s, m, h, d, w. Needed if `revokable`.",
        ),
    ] = ""
    tags: list[str] = []

    @model_validator(mode="after")
    def _ends(self) -> ConsentType:
        if self.revokable and not self.auto_revoke:
            raise ValueError("a consent that is revokable needs auto_revoke, such as 365d")
        return self


class Mapping(_Definition):
    """Copies event properties into profile fields when an event of a type is stored."""

    event_type: Annotated[str, Field(min_length=1, description="The event type, lower case, `-` for spaces.")]
    when: Annotated[
        str | None,
        Field(
            min_length=1,
            description="JMESPath on the event, with `profile` in it: the mapping is used when true. Unset: always.",
        ),
    ] = None
    fields: Annotated[list[FieldMapping], Field(min_length=1)]


class EventType(_Definition, serialize_by_alias=True, validate_by_name=True, validate_by_alias=True):
    """What events of a type have in common; its id is the type, lower case, `-` for spaces."""

    tags: Annotated[list[str], Field(description="Labels that its events get, besides their own.")] = []
    journey: Annotated[str, Field(description="Where on their way customers are then, as `journey.state`.")] = ""
    journey_again: Annotated[
        str, Field(description="The same from the second visit of a profile on. Empty: as `journey`.")
    ] = ""
    copied: Annotated[
        dict[IndexField, EventPath],
        Field(
            alias="copy",  # which is a method of pydantic's models
            description="Index fields (below data, traits, hit or device), each with its place in the event.",
        ),
    ] = {}
    defaults: Annotated[
        dict[IndexField, Any], Field(description="What index fields hold where `copy` has found nothing.")
    ] = {}
    profile: Annotated[
        list[ShortFieldMapping],
        Field(
            description="What goes into the profile, as the fields of a mapping. A text, such as data.pii.firstname, "
            "takes that index field into the profile's field of the same name, if it is newer."
        ),
    ] = []

    @model_validator(mode="after")
    def _apart(self) -> EventType:
        paths = sorted({*self.copied, *self.defaults})
        for path in paths:
            below = next((other for other in paths if other.startswith(f"{path}.")), None)
            if below is not None:
                raise ValueError(f"{path} and {below} cannot both be copied: one is in the other")
        return self


class IdentifierField(BaseModel, frozen=True, extra="forbid"):
    """One event property that says who the customer is."""

    event: Annotated[str, Field(pattern=SENT, description="Path in the event.")]
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


class Rule(_Definition):
    """What filters, validators, reshapers and data-compliance have in common: docs/rules.md."""

    event_type: Annotated[
        str, Field(min_length=1, description="The event type, lower case, `-` for spaces; `*` for every type.")
    ] = "*"
    source: Annotated[str, Field(description="Only events of this event source. Empty: of any.")] = ""
    when: Annotated[
        str | None,
        Field(min_length=1, description="JMESPath on the event: the rule is used when it is true. Unset: always."),
    ] = None


class Filter(Rule):
    """Keeps traffic out that nobody wants, or marks it: an event is met by all that is said here."""

    bots: Annotated[bool, Field(description="Only events whose user agent is a robot's.")] = False
    networks: Annotated[
        list[Network],
        Field(description="Only events from an address in one of these, such as 10.0.0.0/8 or 2001:db8::/32."),
    ] = []
    action: Annotated[
        Literal["drop", "flag"],
        Field(description="drop: it is counted and not stored. flag: it is marked as filtered."),
    ] = "drop"

    @model_validator(mode="after")
    def _says_something(self) -> Filter:
        if not (self.bots or self.networks or self.when or self.source or self.event_type != "*"):
            raise ValueError("a filter for every event: say bots, networks, when, source or event_type")
        return self


class Validator(Rule):
    """What events have to be like: JSON Schemas, draft 2020-12."""

    properties: Annotated[dict[str, Any] | bool | None, Field(description="JSON Schema of `properties`.")] = None
    context: Annotated[dict[str, Any] | bool | None, Field(description="JSON Schema of `context`.")] = None
    mode: Annotated[
        Literal["flag", "dead-letter", "off"],
        Field(
            description="Of an event that is not so. flag: it is kept and marked as invalid, and goes into no profile. "
            "dead-letter: it is not stored, and can be replayed. off: nobody looks."
        ),
    ] = "flag"

    @model_validator(mode="after")
    def _says_something(self) -> Validator:
        if self.properties is None and self.context is None:
            raise ValueError("a validator needs a schema of properties, or of context")
        return self


class Reshaper(Rule):
    """Brings events into the shape that all the rest works with. The first one that fits is used."""

    properties: Annotated[
        dict[str, Any] | str | None,
        Field(
            description="Template on the event: expressions by property, or one that gives an object. Unset: as sent."
        ),
    ] = None
    context: Annotated[dict[str, Any] | str | None, Field(description="Template, as properties.")] = None

    @model_validator(mode="after")
    def _says_something(self) -> Reshaper:
        if self.properties is None and self.context is None:
            raise ValueError("a reshaper needs a template of properties, or of context")
        return self


class GuardedField(BaseModel, frozen=True, extra="forbid"):
    """A place in an event that may be kept only with somebody's consent."""

    event: Annotated[
        str,
        Field(
            pattern=GUARDED,
            description="Path in the event as it was sent; digits are a position where it has a list.",
        ),
    ]
    consents: Annotated[
        list[str], Field(min_length=1, description="Ids of the consents that its profile must have given, all of them.")
    ]
    action: Annotated[
        Literal["remove", "hash"],
        Field(description="Without them: remove it, or put a hash in its place that only this hub can make."),
    ] = "remove"


class DataCompliance(Rule):
    """What may be kept of an event, by what its customer has agreed to."""

    fields: Annotated[list[GuardedField], Field(min_length=1)]


class Retention(_Definition):
    """How long events are kept. Without one they are for ever."""

    event_type: Annotated[
        str,
        Field(
            min_length=1,
            description="The event type, lower case, `-` for spaces; `*` for every type that has none of its own.",
        ),
    ]
    days: Annotated[
        int,
        Field(ge=1, le=36_500, description="Since the hub received it, whatever its own time is. Then it is removed."),
    ]


class PseudonymField(BaseModel, frozen=True, extra="forbid"):
    """A place in an event whose value nobody shall know."""

    event: Annotated[str, Field(pattern=SENT, description="Path in the event.")]
    kind: Annotated[
        Literal["email", "phone", "id"],
        Field(description="How it is normalised before, as of an identification point: then that still works."),
    ] = "id"
    name: Annotated[str, Field(pattern="^[a-z0-9_.-]{0,64}$", description="Of an id: whose, such as crm.")] = ""
    region: Annotated[
        str, Field(pattern="^([A-Z]{2})?$", description="Of a phone: country of numbers without a +.")
    ] = ""


class Pseudonym(_Definition):
    """Puts a hash that only this hub can make in the place of values, before they are on the log."""

    event_type: Annotated[
        str, Field(min_length=1, description="The event type, lower case, `-` for spaces; `*` for every type.")
    ] = "*"
    source: Annotated[str, Field(description="Only events of this event source. Empty: of any.")] = ""
    fields: Annotated[list[PseudonymField], Field(min_length=1)]


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
        Start,
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
    sends: Annotated[
        Literal["events", "flows"],
        Field(
            description="events: stored events that match, and what flows send by it. flows: only what flows send "
            "(docs/flows.md)."
        ),
    ] = "events"

    @model_validator(mode="after")
    def _fits(self) -> Destination:
        of_events = [name for name in ("condition", "mapping", "key") if getattr(self, name)]
        if self.sends == "flows" and of_events:
            raise ValueError(f"{of_events[0]}: it is of events, and this destination sends none: the flow says what")
        return self


class Segment(_Definition):
    """
    Which profiles belong together: those that meet a condition, or whom lists and flows let in (docs/segments.md).

    Switched off, nobody enters or leaves it; deleted, everybody has left it.
    """

    condition: Annotated[
        str | None,
        Field(
            min_length=1,
            description="On the profile (docs/segments.md): who meets it is in. Unset: who is in is said by lists and "
            "flows.",
        ),
    ] = None


class Unless(BaseModel, frozen=True, extra="forbid"):
    """Who has had such an event lately is left out."""

    event_type: Annotated[str, Field(min_length=1, max_length=256, description="Of the event.")]
    within: Annotated[str, Field(pattern=DURATION, description="How long before the due time, such as 30m or 7d.")]


class Heartbeat(_Definition):
    """An event of every profile, or of some, whenever it is due (docs/heartbeats.md)."""

    event_type: Annotated[
        str, Field(min_length=1, max_length=256, pattern=r"^\S(.*\S)?$", description="Lower case, `-` for spaces.")
    ]
    properties: Annotated[dict[str, Any], Field(description="Of each event.")] = {}
    condition: Annotated[
        str, Field(description="Query on the profile (docs/query.md): only those that match. Empty: all.")
    ] = ""
    cron: Annotated[
        str,
        Field(
            description="When: minute, hour, day of the month, month and day of the week, such as `0 9 * * MON`. "
            "Empty: `every` says it."
        ),
    ] = ""
    time_zone: Annotated[str, Field(description="On whose wall clock `cron` is, such as Europe/London.")] = "UTC"
    every: Annotated[
        str,
        Field(
            pattern=rf"{DURATION}|^$",
            description="How often, counted from 1970 in UTC, such as 15m: s, m, h, d, w. Empty: `cron` says it.",
        ),
    ] = ""
    unless: Annotated[Unless | None, Field(description="Who is left out. Unset: nobody.")] = None
    catch_up: Annotated[
        Literal["all", "last", "none"],
        Field(
            description="Due times that passed while no agent ran, or while a run took longer: all are made up one "
            "after the other, the last one alone, or none."
        ),
    ] = "last"
    jitter: Annotated[
        str,
        Field(pattern=rf"{DURATION}|^$", description="Over how long a run is spread, such as 10m. Empty: it is not."),
    ] = ""
    rate_limit: Annotated[
        float, Field(ge=0, le=1_000_000, description="Most events a second of a run; 0: as live events leave room.")
    ] = 0

    @property
    def schedule(self) -> Schedule:
        """When it is due."""
        return Schedule(duration_ms(self.every) or None, self.cron, self.time_zone)

    @model_validator(mode="after")
    def _is_due(self) -> Heartbeat:
        if bool(self.cron) == bool(self.every):
            raise ValueError("write either `cron`, such as `0 9 * * MON`, or `every`, such as 15m")
        if self.cron:
            check_cron(self.cron, self.time_zone)
        return self


class Flow(_Definition):
    """What is done because of an event, a segment or a time: nodes, one after the other (docs/flows.md)."""

    triggers: Annotated[list[FlowTrigger], Field(max_length=50, description="What lets it run.")] = []
    nodes: Annotated[
        dict[NodeId, FlowNode], Field(min_length=1, max_length=MOST_NODES, description="By id, in any order.")
    ]
    limits: Annotated[FlowLimits, Field(description="Of each run.")] = FlowLimits()


class FlowDraft(Flow):
    """A flow that is being worked on: it may be wrong, and nothing runs by it until it is deployed."""


class ApiKey(_Definition):
    """
    Who may call the API, and what for (docs/security.md); its id is the key's name in the audit log.

    Of the key itself only a hash is kept: `POST /api-keys` makes one and shows it once.
    """

    roles: Annotated[
        list[ApiRole],
        Field(
            min_length=1,
            description="collect: send events, no more. read: look at everything but keys and the audit log. operate: "
            "read, and start, pause, rewind, replay, run, merge. admin: everything.",
        ),
    ]
    hash: Annotated[
        str, Field(pattern=KEY_HASH, description="Of the key, never shown. `sealed`, or left out: as it is.")
    ] = ""
    expires_at: Annotated[
        AwareDatetime | None, Field(description="From then on it opens nothing; RFC 3339. Unset: never.")
    ] = None
    also: Annotated[
        str, Field(pattern=KEY_HASH, description="Of the key before it, which is good until `also_until`.")
    ] = ""
    also_until: Annotated[
        AwareDatetime | None, Field(description="When the key before it is over. Unset: it is over.")
    ] = None


KINDS: Final[dict[str, type[_Definition]]] = {
    "source": Source,
    "redirect": Redirect,
    "consent-type": ConsentType,
    "filter": Filter,
    "validator": Validator,
    "reshaper": Reshaper,
    "data-compliance": DataCompliance,
    "event-type": EventType,
    "mapping": Mapping,
    "identification-point": IdentificationPoint,
    "pseudonym": Pseudonym,
    "retention": Retention,
    "bridge": Bridge,
    "destination": Destination,
    "segment": Segment,
    "heartbeat": Heartbeat,
    "flow": Flow,
    "flow-draft": FlowDraft,
    "api-key": ApiKey,
}
Definition: TypeAlias = (
    Source
    | Redirect
    | ConsentType
    | Filter
    | Validator
    | Reshaper
    | DataCompliance
    | EventType
    | Mapping
    | IdentificationPoint
    | Pseudonym
    | Retention
    | Bridge
    | Destination
    | Segment
    | Heartbeat
    | Flow
    | FlowDraft
    | ApiKey
)
