"""The index fields of a stored event, made anew by the event types in force. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hub.pipeline.copying import view_before_index
from hub.pipeline.event_types import Rules
from hub.pipeline.rules.enrichment import joined

OWN: Final[tuple[str, ...]] = ("data", "traits")
"""Objects of an event's document that its type alone makes."""
SHARED: Final[tuple[str, ...]] = ("hit", "device")
"""Those to which its type adds."""
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


def reindexed(document: bytes, types: Rules) -> bytes | None:
    """
    The document with its index fields as they are in force; None: they are so already, or its type has none.

    What else is in it stays as it is, to the byte.
    """
    event: dict[str, Any] = msgspec.json.decode(document)
    rule = types.get(event["type"])
    if rule is None or not rule.groups:
        return None
    made, _ = rule.indexed(view_before_index(event))
    after = {name: made[name] for name in OWN if name in made}
    after |= {name: joined(event.get(name, {}), made[name]) for name in SHARED if name in made}
    if all(event.get(name) == after.get(name) for name in OWN) and all(
        event.get(name) == after[name] for name in SHARED if name in after
    ):
        return None
    members = {name: value for name, value in _members(document).items() if name not in OWN}
    members |= {name: msgspec.Raw(_encode(value)) for name, value in after.items()}
    return _encode(members)


def shown(document: bytes) -> dict[str, Any]:
    """The index fields of a document, for people."""
    event: dict[str, Any] = msgspec.json.decode(document)
    return {name: event[name] for name in (*OWN, *SHARED) if name in event}
