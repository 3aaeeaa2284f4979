"""From a message's body to the value that a mapping's expressions are about."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any, Final, TypeAlias

import msgspec

from hub.edge.json_check import check, check_depth, surely_clean
from hub.edge.mapping.spec import MappingSpec
from hub.errors import InvalidPayload
from hub.settings import Limits

Reader: TypeAlias = Callable[[bytes, Limits], Any]
"""Raises InvalidPayload: the body is not what the mapping says it is."""

_decode: Final = msgspec.json.Decoder().decode
_SNOWPLOW: Final[list[tuple[str, str]]] = msgspec.json.decode(
    (files(__package__) / "snowplow_fields.json").read_bytes(), type=list[tuple[str, str]]
)
"""Name and kind of each field of an enriched event, in their order."""


def reader(spec: MappingSpec) -> Reader:
    """What reads the bodies that a mapping is for."""
    match spec.format:
        case "json":
            return read_json
        case "text":
            return partial(_text, charset=spec.charset)
        case "csv":
            return partial(_row, spec=spec)
        case "snowplow":
            return _snowplow
        case "bytes":
            return lambda body, _: base64.b64encode(body).decode()


def read_json(body: bytes, limits: Limits) -> Any:
    """
    A message's JSON, any value, as strictly as a payload's.

    Raises: InvalidPayload: not_json, duplicate_key, too_deep and what else `check` knows.
    """
    try:
        message = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        check(body)
        raise InvalidPayload("not_json", f"the message cannot be read as JSON: {exc}") from exc
    check_depth(body, message, limits.depth)
    if not surely_clean(body, message):
        check(body)
    return message


def _text(body: bytes, _: Limits, charset: str) -> str:
    try:
        return body.decode(charset)
    except UnicodeError as exc:
        place = f", at byte {exc.start}" if isinstance(exc, UnicodeDecodeError) else ""
        raise _refusal(f"the body is not {charset}{place}: set the mapping's `charset`, or `format: bytes`") from exc


def _row(body: bytes, limits: Limits, spec: MappingSpec) -> dict[str, str]:
    lines = io.StringIO(_text(body, limits, spec.charset), newline="")
    try:
        rows = list(csv.reader(lines, delimiter=spec.delimiter, strict=True))
    except csv.Error as exc:
        raise _refusal(f"the body is no row of csv: {exc}") from exc
    if len(rows) != 1:
        raise _refusal(f"the body has {len(rows)} rows of csv; a message is one")
    if len(rows[0]) != len(spec.columns):
        raise _refusal(f"the row has {len(rows[0])} cells, but the mapping {len(spec.columns)} columns")
    return dict(zip(spec.columns, rows[0], strict=True))


def _snowplow(body: bytes, limits: Limits) -> dict[str, Any]:
    cells = _text(body, limits, "utf-8").rstrip("\r\n").split("\t")
    if len(cells) != len(_SNOWPLOW):
        raise _refusal(f"the body has {len(cells)} fields; an enriched Snowplow event has {len(_SNOWPLOW)}")
    event = {}
    for (name, kind), cell in zip(_SNOWPLOW, cells, strict=True):
        if cell:
            try:
                event[name] = _KINDS[kind](cell, limits)
            except (ValueError, KeyError) as exc:
                raise _refusal(f"the field {name} is no {kind}: {cell!r:.80}") from exc
            except InvalidPayload as exc:
                raise InvalidPayload(exc.reason, f"the field {name}: {exc.detail}", "format") from exc
    return event


def _refusal(detail: str) -> InvalidPayload:
    return InvalidPayload("mapping_failed", detail, "format")


_KINDS: Final[dict[str, Callable[[str, Limits], Any]]] = {
    "text": lambda cell, _: cell,
    "integer": lambda cell, _: int(cell),
    "number": lambda cell, _: float(cell),
    "boolean": lambda cell, _: {"1": True, "0": False}[cell],
    "time": lambda cell, _: cell.replace(" ", "T") + "Z",
    "json": lambda cell, limits: read_json(cell.encode(), limits),
}
