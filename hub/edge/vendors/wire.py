"""A vendor's JSON: read and checked as /track's is, and the few shapes that all vendors' fields have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from hub.edge.admit import clean_id, event_type
from hub.edge.json_check import check, check_depth, surely_clean
from hub.edge.payload import Event, Payload
from hub.edge.times import time_ms
from hub.errors import InvalidPayload
from hub.settings import Limits

EMPTY: Final = b"{}"
NOTHING: Final[Mapping[str, Any]] = {}

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class Converted(NamedTuple):
    """
    What a request says, in its order: one payload a message.

    `refused`: messages that were left out, by the client's id of them. Only a vendor whose answer can say so leaves
    one out; of all others, one message at fault refuses the request.
    """

    payloads: list[Payload]
    refused: dict[str, InvalidPayload]


def document(raw: bytes, limits: Limits) -> Any:
    """
    The JSON value in a body.

    Raises:
        InvalidPayload: body_too_large, not_json, too_deep, or what `hub.edge.json_check.check` does not let pass.
    """
    if len(raw) > limits.body_bytes:
        raise InvalidPayload("body_too_large", f"the body has {len(raw)} bytes; the limit is {limits.body_bytes}")
    try:
        found = _decode(raw)
    except RecursionError as exc:
        raise InvalidPayload("too_deep", "objects and lists are nested too deeply to be read") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        check(raw)  # knows better words for most of what the decoder stumbles over
        raise InvalidPayload("not_json", f"the body cannot be read as JSON: {exc}") from exc
    check_depth(raw, found, limits.depth)
    if not surely_clean(raw, found):
        check(raw)
    return found


def messages(found: Any, where: str, limits: Limits) -> list[Mapping[str, Any]]:
    """
    A list of messages.

    Raises:
        InvalidPayload: wrong_type or too_many_events.
    """
    if type(found) is not list:
        raise InvalidPayload("wrong_type", "expected a list", where)
    if len(found) > limits.events:
        raise InvalidPayload(
            "too_many_events", f"the request has {len(found)} messages; the limit is {limits.events}", where
        )
    for index, message in enumerate(found):
        if type(message) is not dict:
            raise InvalidPayload("wrong_type", "expected an object", f"{where}[{index}]")
    return found


def object_at(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object; missing or null is an empty one. Raises InvalidPayload: wrong_type."""
    found = message.get(name)
    if found is None:
        return NOTHING
    if type(found) is not dict:
        raise InvalidPayload("wrong_type", "expected an object", name)
    return found


def id_at(message: Mapping[str, Any], name: str, limits: Limits) -> str | None:
    """
    An id without the space around it; a whole number is written out, an empty text is none.

    Raises:
        InvalidPayload: wrong_type or bad_id.
    """
    found = message.get(name)
    if found is None or found == "":
        return None
    if type(found) is int:
        return str(found)
    if type(found) is not str:
        raise InvalidPayload("wrong_type", "expected text", name)
    return clean_id(found, name, limits.id_chars) if found.strip() else None


def type_at(message: Mapping[str, Any], name: str, limits: Limits) -> str:
    """An event type as the hub keeps it. Raises InvalidPayload: missing_field, wrong_type or bad_id."""
    found = message.get(name)
    if found is None:
        raise InvalidPayload("missing_field", f"the field {name} is missing", name)
    if type(found) is not str:
        raise InvalidPayload("wrong_type", "expected text", name)
    return event_type(clean_id(found, name, limits.id_chars))


def time_at(message: Mapping[str, Any], name: str) -> int | None:
    """Milliseconds since 1970; missing, null or empty is none. Raises InvalidPayload: wrong_type or bad_time."""
    return _time(message.get(name), name)


def clock(found: Any) -> int | None:
    """What the sender's clock showed, in milliseconds since 1970; one that cannot be read costs nothing."""
    try:
        return _time(found, "")
    except InvalidPayload:
        return None


def payload(
    *,
    source_id: str,
    payload_id: str | None,
    profile_id: str | None,
    session_id: str | None,
    event_id: str | None,
    type: str,
    time_ms: int | None,
    properties: Mapping[str, Any],
    context: Mapping[str, Any],
    options: Mapping[str, Any],
    limits: Limits,
) -> Payload:
    """
    A payload of one event. The arguments are those of `Payload` and `Event`.

    Raises:
        InvalidPayload: event_too_large.
    """
    said, around = _json(properties), _json(context)
    size = len(said) + len(around)
    if size > limits.event_bytes:
        raise InvalidPayload(
            "event_too_large",
            f"properties and context of the event have {size} bytes; the limit is {limits.event_bytes}",
        )
    event = Event(
        client_id=event_id,
        type=type,
        time_ms=time_ms,
        properties=said,
        context=around,
        options=_json(options),
        tags=[],
    )
    return Payload(
        id=payload_id,
        source_id=source_id,
        session_id=session_id,
        profile_id=profile_id,
        profile_less=False,
        context=EMPTY,
        properties=EMPTY,
        options=EMPTY,
        request=EMPTY,
        events=[event],
    )


def placed(error: InvalidPayload, place: str) -> InvalidPayload:
    """The same error of a message at `place`, such as `batch[3]`."""
    where = f"{place}.{error.where}" if place and error.where else place or error.where
    return InvalidPayload(error.reason, error.detail, where, error.source)


def _time(found: Any, where: str) -> int | None:
    if found is None or found == "":
        return None
    if type(found) is str or type(found) is int or type(found) is float:
        return time_ms(found, where)
    raise InvalidPayload("wrong_type", "expected a time", where)


def _json(value: Mapping[str, Any]) -> bytes:
    return _encode(value) if value else EMPTY
