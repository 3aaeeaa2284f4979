"""From a stored event to the message that a destination sends of it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from bridges.outward.base import Message
from hub.conditions import moves
from hub.conditions.python import compile_python
from hub.definitions.kinds import Destination
from hub.edge.mapping.template import CompiledTemplate
from hub.errors import InvalidPayload
from hub.store.query import QueryError, for_kind, parse
from schemas.records import Stored

_LEFT_OUT: Final = "left_out"
_encode: Final = msgspec.json.Encoder().encode


class Told(NamedTuple):
    """What stored.v1 says of an event beside its document, which has no source, profile and time in one place."""

    id: str
    type: str
    source: str
    profile_id: str
    profile_version: int
    time_ms: int
    segments_entered: list[str]
    segments_left: list[str]

    def meta(self) -> dict[str, Any]:
        """What `meta(…)` gives."""
        return self._asdict()


class Shape:
    """A destination's condition, mapping and key, compiled."""

    def __init__(self, definition: Destination) -> None:
        """Raises QueryError, MappingError."""
        condition = for_kind(parse(definition.condition), "events")
        if moves(condition):  # what is sent again after a crash has to be the same
            raise QueryError("the condition of a destination cannot ask for now: it would differ from time to time")
        self._matches = compile_python(condition) if definition.condition.strip() else None
        mapping, key = definition.mapping, definition.key
        self._mapping = None if mapping is None else CompiledTemplate("mapping", mapping)
        self._key = None if key is None else CompiledTemplate("key", key)

    def message(self, told: Told, document: bytes) -> Message | None:
        """
        What is sent of an event.

        Args:
            document: The event as the store has it, JSON.

        Returns: None: the condition does not hold, or the mapping gives nothing.
        Raises: InvalidPayload: no message can be made of it.
        """
        content: Any = msgspec.json.decode(document)
        if _LEFT_OUT in content:
            raise InvalidPayload(
                "event_too_large", f"the event does not fit into a record: GET /events/{told.id} has it"
            )
        if self._matches is not None and not self._matches(content):
            return None
        meta = told.meta()
        key = told.profile_id if self._key is None else _text("key", self._key(content, meta))
        body = document
        if self._mapping is not None:
            content = self._mapping(content, meta)
            if content is None:
                return None
            body = _json(content)
        return Message(
            id=told.id,
            key=key,
            body=body,
            content=content,
            type=told.type,
            source=told.source,
            profile_id=told.profile_id,
            time_ms=told.time_ms,
        )


def told_of(stored: Stored) -> Told:
    """Of a record of stored.v1."""
    return Told(
        stored["id"],
        stored["type"],
        stored["source"],
        stored["profile_id"],
        stored["profile_version"],
        stored["time_ms"],
        stored["segments_entered"],
        stored["segments_left"],
    )


def told_by(document: Mapping[str, Any], time_ms: int) -> Told:
    """Of an event of the store, as far as its document says. Args: time_ms: its own time, else its receipt's."""
    profile = document["profile"]
    return Told(
        document["id"],
        document["type"],
        document["source"]["id"],
        "" if profile is None else profile["id"],
        document["outcome"]["profile_version"],
        time_ms,
        [],
        [],
    )


def _text(where: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return _json(value).decode()
    raise InvalidPayload("mapping_failed", f"{where}: expected a text or a number, not {value!r:.80}", where)


def _json(value: Any) -> bytes:
    try:
        return _encode(value)
    except (OverflowError, UnicodeEncodeError, TypeError) as exc:
        raise InvalidPayload("mapping_failed", f"the mapping made something that is no JSON: {exc}") from exc
