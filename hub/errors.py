"""What can go wrong, by what to do about it.

HubError
├─ EventError     one event is at fault: 4xx, or a dead letter
│  └─ InvalidPayload(reason, detail, where)
│     └─ OverLimit   more than its event source may send
└─ PortError      the world is at fault
   ├─ Unavailable   back off and try again; 503
   ├─ Refused       it will say no again; stop and tell a person
   └─ Fenced        another process has taken over this partition; drop what is in hand
"""

from __future__ import annotations

from typing import Final

REASONS: Final[dict[str, tuple[int, str]]] = {
    "not_json": (422, "The body is not a JSON object in UTF-8."),
    "duplicate_key": (422, "An object has the same key twice, so one of the values would be lost."),
    "nul_character": (422, "A text holds the character U+0000, which stores and databases cannot keep."),
    "lone_surrogate": (422, "A text holds half of a UTF-16 surrogate pair, which is no character."),
    "number_out_of_range": (422, "A number is NaN, infinite, or an integer outside 64 bits."),
    "too_deep": (422, "Objects and lists are nested deeper than the limit."),
    "missing_field": (422, "A required field is missing."),
    "wrong_type": (422, "A field has a value of the wrong type."),
    "bad_time": (422, "A time is no RFC 3339 time between the years 1 and 9998."),
    "bad_id": (422, "An id or event type is empty, longer than the limit, or holds control characters."),
    "body_too_large": (413, "The body is larger than the limit."),
    "too_many_events": (413, "The payload has more events than the limit."),
    "event_too_large": (413, "One event is larger than the limit."),
    "bad_encoding": (400, "The Content-Encoding is unknown, or the compressed body is damaged."),
    "bad_signature": (401, "The request is not signed as its webhook demands, or was signed too long ago."),
    "unknown_source": (401, "No event source has this id."),
    "unknown_write_key": (401, "The request has no write key, or no event source has it."),
    "origin_not_allowed": (403, "The event source does not take events from pages of this origin."),
    "disabled_source": (401, "The event source is switched off."),
    "source_type": (401, "The event source does not take events from this door."),
    "rate_limited": (429, "The event source sends more events a second than it may."),
    "not_their_session": (403, "The session is not one of this profile, or not known."),
    "unknown_consent": (422, "No consent type that is in force has this id."),
    "mapping_failed": (422, "The bridge's mapping could not make a payload of the message."),
    "undecodable_message": (422, "The message is not in the format that its bridge was told of."),
    "unreadable_row": (422, "A row of an import cannot be read, or is not as its columns say."),
    "undecodable_record": (422, "A record on the hub's own topic is not one of its Avro records."),
    "unsupported_record": (422, "This version of the collector does not know this kind of record."),
    "schema_violation": (422, "An event is not as a validator of mode dead-letter says."),
    "undeliverable": (422, "A destination's target will never take the message, or has not for too long."),
    "mapping_type": (422, "An event mapping met a value that it cannot work with."),
}
"""Every reason for which an event is refused: its HTTP status and what it means. The codes are metric labels."""


class HubError(Exception):
    """Base of everything that the hub raises on purpose."""


class EventError(HubError):
    """One event is at fault, not the system."""


class InvalidPayload(EventError):
    """A payload or message that the hub cannot take.

    Attributes:
        reason: A key of REASONS.
        detail: A sentence for the person who has to mend it.
        where: The field, such as `events[3].type`; empty for the whole body.
        source: The event source id, as far as it could be read; else empty.
    """

    def __init__(self, reason: str, detail: str, where: str = "", source: str = "") -> None:
        """Args: see the attributes."""
        super().__init__(f"{reason}: {detail}" + (f" (at {where})" if where else ""))
        self.reason = reason
        self.detail = detail
        self.where = where
        self.source = source

    @property
    def status(self) -> int:
        """The HTTP status that answers it."""
        return REASONS[self.reason][0]


class OverLimit(InvalidPayload):
    """More than the definition of its event source allows.

    Attributes:
        limit: Which member of the source.
        value: What it says.
        retry_after_s: When the same payload may be sent again; 0: never.
    """

    def __init__(
        self, reason: str, detail: str, source: str, *, limit: str, value: float, retry_after_s: int = 0
    ) -> None:
        """Args: see the attributes, and those of InvalidPayload."""
        super().__init__(reason, detail, "", source)
        self.limit = limit
        self.value = value
        self.retry_after_s = retry_after_s


class PortError(HubError):
    """Something outside is at fault. `port` names it, as in `kafka` or `store`."""

    def __init__(self, port: str, detail: str) -> None:
        """Args: port: what failed. detail: what happened and how to mend it."""
        super().__init__(f"{port}: {detail}")
        self.port = port
        self.detail = detail


class Unavailable(PortError):
    """It may work later: back off, keep the data where it is."""


class Refused(PortError):
    """It will say no again: a person has to act."""


class Fenced(PortError):
    """Another process writes this partition now; nothing of this batch was written."""
