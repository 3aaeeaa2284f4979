"""Events of PostHog's clients: one, a list, or a batch; and those of its newer protocol, which is answered by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hub.edge.clocks import corrected
from hub.edge.payload import Payload
from hub.edge.vendors.wire import Converted, clock, id_at, messages, object_at, payload, placed, time_at, type_at
from hub.errors import InvalidPayload
from hub.settings import Limits

_KEYS: Final = ("api_key", "token")
_IN_PROPERTIES: Final = {
    "$set": "$set",
    "$set_once": "$set_once",
    "$unset": "$unset",
    "session_id": "$session_id",
    "window_id": "$window_id",
}
"""Members of an event that belong to its properties, where most clients have them, and what they are called there."""
_USED: Final = frozenset(
    {
        "event",
        "uuid",
        "distinct_id",
        "properties",
        "options",
        "timestamp",
        "offset",
        "sent_at",
        *_KEYS,
        *_IN_PROPERTIES,
    }
)
"""Members of an event that go elsewhere, or nowhere; all others are its options."""


def write_key(found: Any) -> str:
    """The project's key in a body, which may also be in its first event; empty if there is none."""
    if type(found) is list:
        return write_key(found[0]) if found else ""
    if type(found) is not dict:
        return ""
    for holder in (found, found.get("properties")):
        if type(holder) is dict:
            for name in _KEYS:
                key = holder.get(name)
                if type(key) is str and key:
                    return key
    batch = found.get("batch")
    return write_key(batch) if type(batch) is list else ""


def convert(
    found: Any, *, sent_at: str | None, by_event: bool, source_id: str, now_ms: int, limits: Limits
) -> Converted:
    """
    The payloads of a body.

    Args:
        found: The JSON value in it.
        sent_at: What the client's clock showed when it sent them, if that is not in the body.
        by_event: Whether the answer tells of each event: then one that is at fault is left out.
        now_ms: Receive time, milliseconds since 1970.

    Raises:
        InvalidPayload: One of the events cannot be taken; `where` names it.
    """
    if type(found) is not dict and type(found) is not list:
        raise InvalidPayload("not_json", "the body is JSON, but neither an object nor a list")
    body: Mapping[str, Any] = found if type(found) is dict else {}
    is_one = type(found) is dict and "batch" not in body
    place = "batch" if body else ""
    events = [body] if is_one else messages(body["batch"] if body else found, place, limits)
    sent_ms = clock(body.get("sent_at") or sent_at)
    converted = Converted([], {})
    for index, event in enumerate(events):
        try:
            converted.payloads.append(_payload(event, sent_ms, source_id, now_ms, limits))
        except InvalidPayload as exc:
            error = exc if is_one else placed(exc, f"{place}[{index}]")
            name = event.get("uuid")
            if not by_event or type(name) is not str:
                raise error from exc
            converted.refused[name] = error
    return converted


def _payload(event: Mapping[str, Any], sent_ms: int | None, source_id: str, now_ms: int, limits: Limits) -> Payload:
    properties = dict(object_at(event, "properties"))
    properties.pop("token", None)
    for outside, inside in _IN_PROPERTIES.items():
        if event.get(outside) is not None:
            properties.setdefault(inside, event[outside])
    person = id_at(event, "distinct_id", limits) or id_at(properties, "distinct_id", limits)
    if person is None:
        raise InvalidPayload("missing_field", "the field distinct_id is missing", "distinct_id")
    options = dict(object_at(event, "options"))
    options |= {name: value for name, value in event.items() if name not in _USED}
    if properties.get("$ignore_sent_at") or options.get("disable_skew_correction"):
        sent_ms = None
    id = id_at(event, "uuid", limits) or id_at(properties, "$insert_id", limits)
    return payload(
        source_id=source_id,
        payload_id=id,
        profile_id=person,
        session_id=id_at(properties, "$session_id", limits),
        event_id=id,
        type=type_at(event, "event", limits),
        time_ms=_time_ms(event, sent_ms, now_ms),
        properties=properties,
        context={"distinct_id": person},
        options=options,
        limits=limits,
    )


def _time_ms(event: Mapping[str, Any], sent_ms: int | None, now_ms: int) -> int | None:
    happened = time_at(event, "timestamp")
    if happened is not None:
        return corrected(happened, sent_ms, now_ms)
    waited_ms = event.get("offset")
    if type(waited_ms) is not int and type(waited_ms) is not float:
        return None
    if not 0 <= waited_ms <= now_ms:
        raise InvalidPayload("bad_time", "the event had waited for less than nothing, or since before 1970", "offset")
    return now_ms - int(waited_ms)
