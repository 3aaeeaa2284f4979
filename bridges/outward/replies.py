"""What a flow sees of an HTTP answer: bounded, unpacked, without secrets."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
import msgspec

from hub.api.body import unpack
from hub.definitions.secrets import MASK, SHORTEST
from hub.errors import InvalidPayload
from hub.flows.effects import Answer

HEADERS_BYTES: Final = 16_384
"""Names and values together: what comes behind is left out."""
_NEVER: Final = frozenset({"set-cookie", "set-cookie2"})
_UTF8: Final = "utf-8"
# Python has others under such names that are no charsets, and slow
_CHARSETS: Final = frozenset({"ascii", "utf-16", "utf-32", "shift_jis", "euc_jp", "euc_kr", "gb18030", "gbk", "big5"})


def headers_of(headers: Mapping[str, str]) -> dict[str, str]:
    """By name in lower case; without those that let others in."""
    kept: dict[str, str] = {}
    left = HEADERS_BYTES
    for name, value in headers.items():
        lower = name.lower()
        left -= len(name) + len(value)
        if left < 0:
            break
        if lower not in _NEVER:
            kept[lower] = f"{kept[lower]}, {value}" if lower in kept else value
    return kept


async def read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, unpacked. Raises InvalidPayload: it is too large, packed as nobody has asked for, or damaged."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise InvalidPayload(
                "body_too_large", f"the answer is larger than {limit:,} bytes (HUB_FLOWS__ANSWER_BYTES)"
            )
        parts.append(part)
    body = b"".join(parts)
    encoding = response.headers.get("Content-Encoding", "")
    if not body or not encoding:
        return body
    try:
        return unpack(body, encoding.encode("latin-1", "replace"), limit)
    except InvalidPayload as exc:
        if exc.reason == "body_too_large":
            exc.detail = f"the answer is larger than {limit:,} bytes, unpacked (HUB_FLOWS__ANSWER_BYTES)"
        raise


def answer_of(status: int, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> Answer:
    """
    As flows see it: JSON as its values, any other body as a text.

    Args: headers: as of `headers_of`. secrets: that were sent; should the other side repeat them, they are left out.
    """
    shown = {name: _without(value, secrets) for name, value in headers.items()}
    kind, _, parameters = shown.get("content-type", "").partition(";")
    text = _without(body.decode(_charset(parameters), "replace"), secrets)
    kind = kind.strip().lower()
    if text and (not kind or kind.endswith(("/json", "+json"))):
        try:
            return Answer(status, shown, msgspec.json.decode(text))
        except (msgspec.DecodeError, RecursionError):
            pass  # it is a text, then
    return Answer(status, shown, text)


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            try:
                found = codecs.lookup(value.strip().strip('"')).name
            except (LookupError, ValueError):
                break
            return found if found in _CHARSETS or found.startswith(("cp125", "iso8859-")) else _UTF8
    return _UTF8


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    return text
