"""Does JSON text hold what a decoder would take but a store could not keep, or would silently lose?"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

from hub.errors import InvalidPayload

_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**63 - 1
_ZEROS: Final = bytes(b"0"[0] if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_LONG_NUMBER: Final = b"0" * 19
_CONTAINERS: Final = frozenset({dict, list})
_encode: Final = msgspec.json.Encoder().encode


class _Object(list[tuple[str, Any]]):
    """A JSON object with every key that the text has, also those that are there twice."""


class _TooLong:
    """An integer of so many digits that making an int of it would be work for nothing."""


def check_depth(text: bytes, document: Any, limit: int) -> None:
    """
    Raise for nesting deeper than `limit` levels; the outermost object is level 1.

    Args:
        document: What the text decodes to.

    Raises:
        InvalidPayload: too_deep.
    """
    if text.count(b"{") + text.count(b"[") <= limit:
        return  # however they are nested
    level: list[Any] = [document]
    for _ in range(limit):
        below = [
            value
            for node in level
            for value in (node.values() if type(node) is dict else node)
            if type(value) in _CONTAINERS
        ]
        if not below:
            return
        level = below
    raise InvalidPayload("too_deep", f"objects and lists are nested deeper than {limit} levels")


def surely_clean(text: bytes, document: Any) -> bool:
    """
    Whether a cheap look can rule out what `check` looks for. False means: look closely.

    The decoder has refused half surrogates already. Decoding drops a pair whose key comes again, and with it at least
    the pair's colon: as many colons after decoding and encoding as before, and no pair is gone, unless one was written
    as an escape. An integer past 64 bits has 19 digits or more.

    Args:
        document: What the text decodes to.
    """
    # one byte is found in half the time of six, and most texts have no escape at all
    if b"\\" in text and (b"\\u0000" in text or b"\\u003" in text):
        return False
    if _LONG_NUMBER in text.translate(_ZEROS):
        return False
    again = _encode(document)
    # programs write JSON as we would, without spaces: then there is nothing to count
    return again == text or text.count(b":") == again.count(b":")


def check(text: bytes) -> None:
    """
    Raise for a key that is there twice, U+0000, half a surrogate pair, NaN, infinity, an integer outside 64 bits.

    Raises:
        InvalidPayload: With the reason and where; not_json or too_deep when it cannot be read at all.
    """
    try:
        document = json.loads(
            text.decode(),
            object_pairs_hook=_Object,
            parse_int=lambda digits: int(digits) if len(digits) <= 20 else _TooLong(),
            parse_constant=float,
        )
    except UnicodeDecodeError as exc:
        raise InvalidPayload("not_json", f"byte {exc.start} is not UTF-8") from exc
    except RecursionError as exc:
        raise InvalidPayload("too_deep", "objects and lists are nested too deeply to be read") from exc
    except ValueError as exc:
        raise InvalidPayload("not_json", f"the body cannot be read as JSON: {exc}") from exc
    _check_tree(document)


def _check_tree(document: Any) -> None:
    # a stack of our own: a document may be deeper than Python's
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        where, node = waiting.pop()
        if isinstance(node, _Object):
            _check_keys(node, where)
            waiting += [(f"{where}.{key}" if where else key, value) for key, value in reversed(node)]
        elif isinstance(node, list):
            waiting += [(f"{where}[{index}]", value) for index, value in reversed(list(enumerate(node)))]
        elif isinstance(node, str):
            _check_text(node, where)
        else:
            _check_number(node, where)


def _check_keys(pairs: _Object, where: str) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        _check_text(key, where)
        if key in seen:
            raise InvalidPayload(
                "duplicate_key", "the object has this key more than once", f"{where}.{key}" if where else key
            )
        seen.add(key)


def _check_text(text: str, where: str) -> None:
    if "\0" in text:
        raise InvalidPayload("nul_character", "the text holds the character U+0000", where)
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidPayload("lone_surrogate", "the text holds half of a surrogate pair", where) from exc


def _check_number(value: Any, where: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidPayload("number_out_of_range", "the number is NaN, or too large for 64 bits", where)
    elif isinstance(value, _TooLong) or (isinstance(value, int) and not _SMALLEST <= value <= _LARGEST):
        raise InvalidPayload("number_out_of_range", "the integer does not fit into 64 bits", where)
