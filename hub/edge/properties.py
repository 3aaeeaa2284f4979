"""An event's properties from a body that is no payload (an object in JSON, a form, a text), or from a query string."""

from __future__ import annotations

from email.message import Message
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from hub.edge.json_check import check
from hub.edge.vendors.wire import document
from hub.errors import InvalidPayload
from hub.settings import Limits

MOST_FIELDS: Final = 1_000
"""Of a form or a query string."""
_FORM: Final = "application/x-www-form-urlencoded"
_PARTS: Final = "multipart/form-data"
_encode: Final = msgspec.json.Encoder().encode


def of_body(body: bytes, content_type: str, limits: Limits) -> dict[str, Any]:
    """
    The properties in a body; an empty one has none.

    JSON has to be an object, whatever it is called. A text that is none becomes the property `text`.

    Args:
        content_type: The Content-Type header; empty is JSON.

    Raises:
        InvalidPayload: not_json, wrong_type, too_deep, or what `hub.edge.json_check.check` does not let pass.
    """
    if not body:
        return {}
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _FORM:
        return of_query(body.strip())
    if kind == _PARTS:
        return _of_parts(body, content_type)
    if not kind or kind == "application/json" or kind.endswith("+json"):
        return _of_json(body, limits)
    if kind.startswith("text/"):
        # beacons send JSON under this name, or a browser would ask first whether it may
        return _of_json(body, limits) if body.lstrip()[:1] == b"{" else _clean({"text": _text(body)})
    raise InvalidPayload("wrong_type", f"expected JSON, a form or a text, not {kind}", "Content-Type")


def of_query(query: bytes) -> dict[str, Any]:
    """
    The fields of a query string: a text each, or a list of texts where one comes several times.

    Raises:
        InvalidPayload: wrong_type (too many) or nul_character.
    """
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except UnicodeDecodeError as exc:
        raise InvalidPayload("wrong_type", f"byte {exc.start} of the form is not UTF-8") from exc
    except ValueError as exc:
        raise InvalidPayload("wrong_type", f"there are more than {MOST_FIELDS} fields") from exc
    return _collected(pairs)


def _of_json(body: bytes, limits: Limits) -> dict[str, Any]:
    found = document(body, limits)
    if type(found) is not dict:
        raise InvalidPayload("not_json", "the body is JSON, but not an object")
    return found


def _of_parts(body: bytes, content_type: str) -> dict[str, Any]:
    """A form as RFC 7578 has it, without files."""
    head = Message()
    head["Content-Type"] = content_type
    boundary = head.get_boundary()
    if not boundary:
        raise InvalidPayload("wrong_type", "the form says no boundary", "Content-Type")
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))
    # before the first boundary and behind the last one, which ends with two dashes, there is nothing
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise InvalidPayload("wrong_type", "the form breaks off, or its boundary is not the one that it says")
    if len(parts) > MOST_FIELDS + 2:
        raise InvalidPayload("wrong_type", f"there are more than {MOST_FIELDS} fields")
    return _collected([_part(part) for part in parts[1:-1]])


def _part(part: bytes) -> tuple[str, str]:
    head, _, content = part.partition(b"\r\n\r\n")
    said = Message()
    for line in _text(head).split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            said["Content-Disposition"] = value.strip()
    name_of = said.get_param("name", None, "content-disposition")
    if not isinstance(name_of, str):
        raise InvalidPayload("wrong_type", "a part of the form has no name")
    if said.get_filename() is not None:
        raise InvalidPayload("wrong_type", "files are not taken", name_of)
    return name_of, _text(content)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidPayload("wrong_type", f"byte {exc.start} of the text is not UTF-8") from exc


def _collected(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return _clean({name: values[0] if len(values) == 1 else values for name, values in found.items()})


def _clean(found: dict[str, Any]) -> dict[str, Any]:
    text = _encode(found)
    if b"\\u0000" in text:
        check(text)
    return found
