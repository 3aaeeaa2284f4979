"""Values of databases and columnar files as JSON has them: what a mapping can work with."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec


def _other(value: Any) -> Any:
    if isinstance(value, (memoryview, bytearray)):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


_encode: Final = msgspec.json.Encoder(enc_hook=_other, decimal_format="number").encode
_decode: Final = msgspec.json.Decoder().decode
_SCALARS: Final = frozenset({str, int, bool, type(None)})


def plain(value: Any) -> Any:
    """
    Times as RFC 3339 (without a zone if they have none), bytes in base64, decimals as numbers, NaN as null, all else
    that JSON has no word for as its text.
    """
    return _decode(_encode(value))


def plain_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row, as `plain` makes it; quick where there is nothing to do."""
    for value in row.values():
        if type(value) not in _SCALARS:
            made: dict[str, Any] = plain(row)
            return made
    return row


def exact(value: Any) -> Any:
    """A key's value as a checkpoint can hold it: whole numbers as they are, bytes as `{"hex": …}`, else its text."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"hex": bytes(value).hex()}
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)


def bound(value: Any) -> Any:
    """What `exact` made, for a statement."""
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value


def shown(value: Any) -> str:
    """What `exact` made, for people."""
    return str(value["hex"] if isinstance(value, dict) else value)
