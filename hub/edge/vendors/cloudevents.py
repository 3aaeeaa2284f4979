"""
CloudEvents 1.0 over HTTP: binary (attributes in headers), structured, and batches.

What becomes of an event is what the ready-made mapping `cloudevents` makes of it (hub/edge/mapping/ready), the same ids
included: one that comes through a queue as well is stored once. Besides, its subject may be its profile, and its
extension attributes are kept.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from hub.edge.payload import Payload
from hub.edge.vendors.wire import Converted, document, id_at, messages, payload, placed, time_at, type_at
from hub.errors import InvalidPayload
from hub.settings import Limits

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
PREFIX: Final = b"ce-"

_PROFILE_ATTRIBUTES: Final = ("profileid", "userid")
_PROFILE_DATA: Final = ("profile_id", "user_id", "userId")
_SESSION_DATA: Final = ("session_id", "sessionId")
_NOT_KEPT: Final = frozenset({"specversion", "type", "time", "data", "data_base64"})
"""Attributes that the context does not repeat."""


def media_type(content_type: str) -> str:
    """`application/json` of `Application/JSON; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def convert(headers: Iterable[tuple[bytes, bytes]], body: bytes, *, source_id: str, limits: Limits) -> Converted:
    """
    The payloads of a request; one an event.

    Args:
        headers: Their names in lower case.

    Raises:
        InvalidPayload: One of the events cannot be taken; `where` names it.
    """
    named = {name: value.decode("latin-1") for name, value in headers}
    content_type = media_type(named.get(b"content-type", ""))
    if content_type == BATCH:
        payloads = []
        for index, event in enumerate(messages(document(body, limits), "", limits)):
            try:
                payloads.append(_payload(event, source_id, limits))
            except InvalidPayload as exc:
                raise placed(exc, f"[{index}]") from exc
        return Converted(payloads, {})
    if content_type == STRUCTURED:
        event = document(body, limits)
        if type(event) is not dict:
            raise InvalidPayload("not_json", "the body is JSON, but not an object")
    elif content_type.startswith("application/cloudevents"):
        raise InvalidPayload("wrong_type", f"CloudEvents are taken in JSON, not as {content_type}", "Content-Type")
    else:
        event = _binary(named, body, content_type, limits)
    return Converted([_payload(event, source_id, limits)], {})


def _binary(named: Mapping[bytes, str], body: bytes, content_type: str, limits: Limits) -> Mapping[str, Any]:
    event: dict[str, Any] = {
        name[len(PREFIX) :].decode("latin-1"): _text(value, name.decode("latin-1"))
        for name, value in named.items()
        if name.startswith(PREFIX)
    }
    if content_type:
        event["datacontenttype"] = named[b"content-type"]
    if not body:
        return event
    if content_type in ("", "application/json", "text/json") or content_type.endswith("+json"):
        event["data"] = document(body, limits)
    elif content_type.startswith("text/") or content_type.endswith("xml"):
        try:
            event["data"] = body.decode()
        except UnicodeDecodeError:
            event["data_base64"] = base64.b64encode(body).decode()
    else:
        event["data_base64"] = base64.b64encode(body).decode()
    return event


def _text(value: str, where: str) -> str:
    # what is no ASCII is percent-encoded UTF-8 (HTTP binding, 3.1.3.2)
    try:
        text = unquote(value, errors="strict") if "%" in value else value
    except UnicodeDecodeError as exc:
        raise InvalidPayload("wrong_type", "expected percent-encoded UTF-8", where) from exc
    if "\0" in text:
        raise InvalidPayload("nul_character", "the text holds the character U+0000", where)
    return text


def _payload(event: Mapping[str, Any], source_id: str, limits: Limits) -> Payload:
    version = event.get("specversion")
    if version != "1.0":
        raise InvalidPayload(
            "missing_field" if version is None else "wrong_type",
            "expected 1.0: this is no CloudEvent 1.0",
            "specversion",
        )
    source, id = _required(event, "source"), _required(event, "id")
    type_name = type_at(event, "type", limits)
    data = event.get("data")
    inside = data if type(data) is dict else {}
    return payload(
        source_id=source_id,
        # as the function `hash` of mappings does it: ids of two sources do not meet
        payload_id=hashlib.sha256(msgspec.json.encode((source, id))).hexdigest(),
        profile_id=_first(event, _PROFILE_ATTRIBUTES, limits)
        or _first(inside, _PROFILE_DATA, limits)
        or id_at(event, "subject", limits),
        session_id=id_at(event, "sessionid", limits) or _first(inside, _SESSION_DATA, limits),
        event_id=None,
        type=type_name,
        time_ms=time_at(event, "time"),
        properties=_properties(event, data),
        context={"cloudevents": {name: value for name, value in event.items() if name not in _NOT_KEPT}},
        options={},
        limits=limits,
    )


def _required(event: Mapping[str, Any], name: str) -> str:
    found = event.get(name)
    if found is None or found == "":
        raise InvalidPayload("missing_field", f"the attribute {name} is missing", name)
    if type(found) is not str:
        raise InvalidPayload("wrong_type", "expected text", name)
    return found


def _first(holder: Mapping[str, Any], names: Iterable[str], limits: Limits) -> str | None:
    return next((found for name in names if (found := id_at(holder, name, limits)) is not None), None)


def _properties(event: Mapping[str, Any], data: Any) -> Mapping[str, Any]:
    if event.get("data_base64") is not None:
        return {"data_base64": event["data_base64"]}
    if data is None:
        return {}
    return data if type(data) is dict else {"data": data}
