"""Values as texts of one notation or another: URLs, JSON, base64; and whether a value is such a text."""

from __future__ import annotations

import base64
import binascii
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec
from pydantic import Field

from hub.edge.identifiers import NotIdentifying, normalise
from hub.flows.arithmetic import number_of
from hub.flows.fields import Template
from hub.flows.node import THEN, Call, Config, NodeFault, Outcome, Valued, node
from hub.flows.nodes.texts import OfText
from hub.flows.notation import ValueFault
from hub.flows.times import moment_ms
from hub.ids import is_uuid

GROUP: Final = "Texts"

Check = Literal["email", "phone", "url", "ipv4", "ipv6", "uuid", "time", "number", "whole-number", "json"]


class Checked(Config):
    """A value, and what it should be."""

    value: Annotated[Template, Field(description="Such as event@properties.email.")]
    kind: Check


@node("check-value", group=GROUP, ports=THEN)
def check_value(config: Checked, call: Call) -> Outcome:
    """Whether a value is an e-mail address, a phone number (with +), URL, IP address, UUID, time, number, JSON."""
    value = config.value(call.scope)
    return call.asked(value is not None and _is(config.kind, value))


class Url(Valued):
    """A URL."""

    url: Annotated[Template, Field(description="Such as event@context.page.url.")]


@node("parse-url", group=GROUP, gives="object")
def parse_url(config: Url, call: Call) -> dict[str, Any]:
    """Take a URL apart: scheme, host, port, path, query (by parameter), fragment."""
    url = call.text(config.url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise NodeFault(f"{url!r:.80} is no URL: {exc}") from exc
    try:
        query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=1_000))
    except ValueError as exc:
        raise NodeFault(f"{url!r:.80} has too many parameters") from exc
    return {
        "scheme": parts.scheme,
        "host": parts.hostname or "",
        "port": port,
        "path": parts.path,
        "query": query,
        "fragment": parts.fragment,
    }


class Encoded(OfText):
    """A text, and in which notation."""

    notation: Literal["base64", "base64url", "hex", "url"] = "base64"


@node("encode", group=GROUP, gives="text")
def encode(config: Encoded, call: Call) -> str:
    """Write a text in base64, hexadecimal, or as it may stand in a URL."""
    found = call.text(config.text)
    if config.notation == "url":
        return quote(found, safe="")
    data = found.encode()
    if config.notation == "hex":
        return data.hex()
    return (base64.urlsafe_b64encode(data) if config.notation == "base64url" else base64.b64encode(data)).decode()


@node("decode", group=GROUP, gives="text")
def decode(config: Encoded, call: Call) -> str:
    """Read a text from base64, hexadecimal, or from a URL."""
    found = call.text(config.text)
    try:
        if config.notation == "url":
            return unquote(found, errors="strict")
        if config.notation == "hex":
            return bytes.fromhex(found).decode()
        padded = found + "=" * (-len(found) % 4)
        alternative = b"-_" if config.notation == "base64url" else None
        return base64.b64decode(padded, alternative, validate=True).decode()
    except (binascii.Error, ValueError) as exc:
        raise NodeFault(f"{found!r:.80} is no text in {config.notation}: {exc}") from exc


@node("parse-json", group=GROUP, gives="any")
def parse_json(config: OfText, call: Call) -> Any:
    """Read JSON from a text."""
    try:
        return msgspec.json.decode(call.text(config.text))
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NodeFault(f"{config.text}: no JSON: {exc}") from exc


class Json(Valued):
    """A value."""

    value: Annotated[Template, Field(description="Any.")] = Template("payload@...")


@node("write-json", group=GROUP, gives="text")
def write_json(config: Json, call: Call) -> str:
    """Write a value as JSON."""
    return msgspec.json.encode(config.value(call.scope)).decode()


def _is(kind: Check, value: Any) -> bool:
    if kind in ("number", "whole-number"):
        try:
            number = number_of(value, "")
        except ValueFault:
            return False
        return kind == "number" or number == int(number)
    if not isinstance(value, str):
        return False
    try:
        return _is_text(kind, value)
    except (ValueError, NotIdentifying, ValueFault, RecursionError):
        return False


def _is_text(kind: Check, value: str) -> bool:
    if kind in ("email", "phone"):
        return bool(normalise(kind, "", value))
    if kind == "url":
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(map(str.isspace, value))
    if kind in ("ipv4", "ipv6"):
        return ip_address(value).version == (4 if kind == "ipv4" else 6)
    if kind == "time":
        return bool(moment_ms(value, "") or True)
    if kind == "json":
        msgspec.json.decode(value)
        return True
    return is_uuid(value)
