"""The one way in: bytes that a client or a broker sent become a checked Payload, or an error that says why not."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec

from hub.edge.json_check import check, check_depth, surely_clean
from hub.edge.payload import Event, Payload
from hub.edge.times import time_ms
from hub.errors import InvalidPayload
from hub.settings import Limits

_EMPTY: Final = msgspec.Raw(b"{}")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_AT: Final = re.compile(r"(?P<what>.*) - at `\$\.?(?P<where>.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>.*)`")
_WORDS: Final = {
    "str": "text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


class _Ref(msgspec.Struct):
    id: str | None = None


class _Times(msgspec.Struct):
    create: str | int | float | None = None
    insert: str | int | float | None = None


class _Metadata(msgspec.Struct):
    time: _Times | None = None


class _Event(msgspec.Struct):
    type: str
    id: str | None = None
    time: _Times | None = None
    metadata: _Metadata | None = None
    properties: msgspec.Raw = _EMPTY
    context: msgspec.Raw = _EMPTY
    options: msgspec.Raw = _EMPTY
    tags: list[str] | None = None


class _Payload(msgspec.Struct):
    events: list[_Event]
    source: str | _Ref | None = None
    id: str | None = None
    messageId: str | None = None  # noqa: N815 - the field's name on the wire
    sentAt: str | int | float | None = None  # noqa: N815 - as before
    sent_at: str | int | float | None = None
    session: _Ref | None = None
    profile: _Ref | None = None
    profile_less: bool = False
    context: msgspec.Raw = _EMPTY
    properties: msgspec.Raw = _EMPTY
    options: msgspec.Raw = _EMPTY
    request: msgspec.Raw = _EMPTY


# Two decoders: the first makes plain values to look through, the second keeps free-form parts as bytes, which go into
# the record as they came. That is faster than to convert the plain values and encode them again.
_plain: Final = msgspec.json.Decoder().decode
_typed: Final = msgspec.json.Decoder(_Payload).decode


def admit(raw: bytes, limits: Limits, source: str | None = None) -> Payload:
    """
    Read and check a payload of the `/track` shape (docs/api.md); 800 bytes take about 10 µs.

    Args:
        raw: The body, not compressed.
        limits: What it may be at most.
        source: Event source id of a payload that names none; a bridge has one.

    Raises:
        InvalidPayload: With a reason of `hub.errors.REASONS`, the field, and the source as far as it was readable.
    """
    if len(raw) > limits.body_bytes:
        raise InvalidPayload("body_too_large", f"the body has {len(raw)} bytes; the limit is {limits.body_bytes}")
    try:
        document = _plain(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        _explain(raw, exc)
    if type(document) is not dict:
        raise InvalidPayload("not_json", "the body is JSON, but not an object")
    try:
        check_depth(raw, document, limits.depth)
        if not surely_clean(raw, document):
            check(raw)
        events = document.get("events")
        if type(events) is list and len(events) > limits.events:
            raise InvalidPayload(
                "too_many_events", f"the payload has {len(events)} events; the limit is {limits.events}", "events"
            )
        return _payload(_typed(raw), limits, source)
    except msgspec.ValidationError as exc:
        raise _in_words(str(exc), _source_of(document, limits)) from exc
    except InvalidPayload as exc:
        exc.source = _source_of(document, limits)
        raise


def clean_id(text: str, where: str, limit: int) -> str:
    """
    An id without the space around it.

    Raises:
        InvalidPayload: bad_id: empty, longer than `limit` characters, or with control characters.
    """
    text = text.strip()
    if not text:
        raise InvalidPayload("bad_id", "it is empty", where)
    if len(text) > limit:
        raise InvalidPayload("bad_id", f"it has {len(text)} characters; the limit is {limit}", where)
    if not text.isprintable() and _CONTROL.search(text):
        raise InvalidPayload("bad_id", "it holds control characters", where)
    return text


def event_type(text: str) -> str:
    """An event's type as events have it: lower case, `-` for spaces. Args: text: a clean id."""
    return text.lower().replace(" ", "-")


def _payload(wire: _Payload, limits: Limits, default_source: str | None) -> Payload:
    chars = limits.id_chars
    source = wire.source
    source_id = source.id if isinstance(source, _Ref) else source
    if source_id is None:
        source_id = default_source
    if source_id is None:
        raise InvalidPayload(
            "missing_field", "the payload names no event source", "source" if source is None else "source.id"
        )
    payload_id = wire.id if wire.id is not None else wire.messageId
    session_id = wire.session.id if wire.session is not None else None
    profile_id = wire.profile.id if wire.profile is not None else None
    event_bytes = limits.event_bytes
    sent_at, sent_where = (wire.sent_at, "sent_at") if wire.sentAt is None else (wire.sentAt, "sentAt")
    return Payload(
        id=None if payload_id is None else clean_id(payload_id, "id" if wire.id is not None else "messageId", chars),
        source_id=_source_id(source_id, chars),
        session_id=None if session_id is None else clean_id(session_id, "session.id", chars),
        profile_id=None if profile_id is None else clean_id(profile_id, "profile.id", chars),
        profile_less=wire.profile_less,
        context=_object(wire.context, "context"),
        properties=_object(wire.properties, "properties"),
        options=_object(wire.options, "options"),
        request=_object(wire.request, "request"),
        events=[_event(event, index, chars, event_bytes) for index, event in enumerate(wire.events)],
        sent_ms=None if sent_at is None else time_ms(sent_at, sent_where),
    )


def _event(wire: _Event, index: int, chars: int, event_bytes: int) -> Event:
    try:
        event = Event(
            client_id=None if wire.id is None else clean_id(wire.id, "id", chars),
            type=_type(wire.type, chars),
            time_ms=_own_time(wire),
            properties=_object(wire.properties, "properties"),
            context=_object(wire.context, "context"),
            options=_object(wire.options, "options"),
            tags=wire.tags or [],
        )
    except InvalidPayload as exc:
        raise InvalidPayload(exc.reason, exc.detail, f"events[{index}].{exc.where}") from exc
    size = len(event.properties) + len(event.context)
    if size > event_bytes:
        raise InvalidPayload(
            "event_too_large",
            f"properties and context of the event have {size} bytes; the limit is {event_bytes}",
            f"events[{index}]",
        )
    return event


# of these there are a few, which come again and again; what raises is not kept
@lru_cache(1024)
def _type(text: str, limit: int) -> str:
    return event_type(clean_id(text, "type", limit))


@lru_cache(1024)
def _source_id(text: str, limit: int) -> str:
    return clean_id(text, "source.id", limit)


def _own_time(event: _Event) -> int | None:
    times, where = event.time, "time"
    if times is None and event.metadata is not None:  # as stored events have it
        times, where = event.metadata.time, "metadata.time"
    if times is None:
        return None
    # when it happened goes before when the client wrote it down; a malformed one is refused even if it is not used
    inserted = None if times.insert is None else time_ms(times.insert, f"{where}.insert")
    return inserted if times.create is None else time_ms(times.create, f"{where}.create")


def _object(raw: msgspec.Raw, where: str) -> bytes:
    if raw is _EMPTY:
        return b"{}"
    text = bytes(raw)
    if text[0] == 0x7B:
        return text
    if text == b"null":
        return b"{}"
    raise InvalidPayload("wrong_type", "expected an object", where)


def _explain(raw: bytes, error: Exception) -> NoReturn:
    # the slow check knows better words for most of what the decoder stumbles over
    if isinstance(error, RecursionError):
        raise InvalidPayload("too_deep", "objects and lists are nested too deeply to be read") from error
    check(raw)
    raise InvalidPayload("not_json", f"the body cannot be read as JSON: {error}") from error


def _in_words(message: str, source: str) -> InvalidPayload:
    match = _AT.fullmatch(message)
    what, where = (match["what"], match["where"]) if match else (message, "")
    missing = _MISSING.fullmatch(what)
    if missing:
        field = missing["field"]
        return InvalidPayload(
            "missing_field", f"the field {field} is missing", f"{where}.{field}" if where else field, source
        )
    return InvalidPayload("wrong_type", _spelled(what), where, source)


def _spelled(what: str) -> str:
    names = re.findall("`([^`]*)`", what)
    if len(names) != 2:
        return what
    wanted, got = ([_WORDS.get(name, name) for name in part.split(" | ")] for part in names)
    return f"expected {' or '.join(wanted)}, got {got[0]}"


def _source_of(document: dict[str, Any], limits: Limits) -> str:
    source = document.get("source")
    if isinstance(source, dict):
        source = source.get("id")
    if not isinstance(source, str):
        return ""
    try:
        return clean_id(source, "", limits.id_chars)
    except InvalidPayload:
        return ""  # no id that could be named
