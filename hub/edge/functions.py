"""The functions that a mapping's expressions may call besides those of JMESPath."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from jmespath import functions
from jmespath.exceptions import JMESPathError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_META: Final[Mapping[str, Any]] = {}


class FunctionError(JMESPathError):  # type: ignore[misc,unused-ignore]
    """A function was given what it cannot work with; the message is for the person who wrote the mapping."""


class Functions(functions.Functions):  # type: ignore[misc,unused-ignore]
    """JMESPath's own functions and ours. Null in gives null out, except in `require`."""

    def __init__(self, meta: Mapping[str, Any] = NO_META) -> None:
        """Args: meta: what `meta(…)` looks names up in: the message's coordinates, key, headers."""
        super().__init__()
        self.meta = meta

    @functions.signature({"types": ["string"]})
    def _func_meta(self, name: str) -> Any:
        return self.meta.get(name)

    @functions.signature({"types": ["string", "number", "null"]}, {"types": ["string"], "variadic": True})
    def _func_parse_time(self, value: Any, pattern: str, zone: Any = "UTC", *more: Any) -> str | None:
        if more or not isinstance(zone, str):
            raise FunctionError("parse_time takes a text, a format and, if you like, the name of a time zone")
        return None if value is None or value == "" else _rfc3339(value, pattern, zone)

    @functions.signature({"types": ["string", "number", "null"]})
    def _func_number(self, value: Any) -> int | float | None:
        if value is None or value == "":
            return None
        found = _number(value)
        if found is None:
            raise FunctionError(f"number({value!r}): not a number")
        return found

    @functions.signature({"types": []})
    def _func_to_number(self, value: Any) -> int | float | None:
        # as JMESPath defines it, except that `nan`, `inf` and `1_000` are no JSON numbers either
        return _number(value)

    @functions.signature({"types": []})
    def _func_require(self, value: Any) -> Any:
        if value is None or value == "":
            raise FunctionError("required, but the message has no value here")
        return value

    @functions.signature({"types": ["string", "null"]})
    def _func_lower(self, text: str | None) -> str | None:
        return text if text is None else text.lower()

    @functions.signature({"types": ["string", "null"]})
    def _func_upper(self, text: str | None) -> str | None:
        return text if text is None else text.upper()

    @functions.signature({"types": ["string", "null"]})
    def _func_trim(self, text: str | None) -> str | None:
        return text if text is None else text.strip()

    @functions.signature({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_split(self, text: str | None, separator: str) -> list[str] | None:
        if not separator:
            raise FunctionError("split: the separator is empty")
        return text if text is None else text.split(separator)

    @functions.signature({"types": ["string", "null"]})
    def _func_from_json(self, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as exc:
            raise FunctionError(f"from_json: {exc}") from exc


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str):
        if "_" in value:
            return None
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    return value if math.isfinite(value) else None


# files and queues repeat their days and hours: most calls are answered from here
@lru_cache(maxsize=8192)
def _rfc3339(value: str | float, pattern: str, zone: str) -> str:
    try:
        moment = _moment(value, pattern)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
        return moment.astimezone(UTC).isoformat(timespec="auto").replace("+00:00", "Z")
    except (ValueError, OverflowError, ZoneInfoNotFoundError) as exc:
        raise FunctionError(f"parse_time({value!r}, {pattern!r}): {exc}") from exc


def _moment(value: str | float, pattern: str) -> datetime:
    if pattern in ("unix", "unix_ms"):
        number = _number(value)
        if number is None:
            raise ValueError("not a number")
        # through a timedelta: exact to the microsecond, and defined before 1970 on every platform
        return EPOCH + (timedelta(seconds=number) if pattern == "unix" else timedelta(milliseconds=number))
    text = str(value)
    return datetime.fromisoformat(text) if pattern == "iso" else datetime.strptime(text, pattern)  # noqa: DTZ007 (zone follows)
