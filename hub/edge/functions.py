"""The functions that a mapping's expressions may call besides those of JMESPath."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from jmespath import functions
from jmespath.exceptions import JMESPathError
from jmespath.visitor import Options, TreeInterpreter

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_META: Final[Mapping[str, Any]] = {}
LONGEST_TEXT: Final = 4 * 1024 * 1024
"""Characters of a text that is put together: a long separator between many items is more than any memory holds."""
_UNITS: Final = {
    "unix": timedelta(seconds=1),
    "unix_ms": timedelta(milliseconds=1),
    "unix_us": timedelta(microseconds=1),
}
NUMBERS: Final = frozenset({int, float})
_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})


class FunctionError(JMESPathError):  # type: ignore[misc,unused-ignore]
    """A function was given what it cannot work with; the message is for the person who wrote the mapping."""


class Functions(functions.Functions):  # type: ignore[misc,unused-ignore]
    """JMESPath's own functions and ours. Null in gives null out, unless docs/mapping.md says otherwise."""

    def __init__(self, meta: Mapping[str, Any] = NO_META, message: Any = None) -> None:
        """
        Args:
            meta: What `meta(…)` looks names up in: the message's coordinates, key, headers.
            message: What `message()` gives.
        """
        super().__init__()
        self.meta = meta
        self.message = message

    @functions.signature({"types": ["string"]})
    def _func_meta(self, name: str) -> Any:
        return self.meta.get(name)

    @functions.signature()
    def _func_message(self) -> Any:
        return self.message

    # `if` and `default` are here for their signatures: the interpreter below, and the compiler, evaluate what counts
    @functions.signature({"types": []}, {"types": [], "variadic": True})
    def _func_if(self, condition: Any, then: Any, otherwise: Any = None) -> Any:
        return otherwise if is_false(condition) else then

    @functions.signature({"types": []}, {"types": []})
    def _func_default(self, value: Any, other: Any) -> Any:
        return other if value is None else value

    @functions.signature(
        {"types": ["string", "number", "boolean", "null"]}, {"types": ["object", "null"], "variadic": True}
    )
    def _func_lookup(self, value: Any, table: dict[str, Any] | None, other: Any = None) -> Any:
        return lookup(value, table, other)

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

    @functions.signature({"types": ["string", "number", "null"]})
    def _func_integer(self, value: Any) -> int | None:
        if value is None or value == "":
            return None
        found = _number(value)
        if found is None or found != int(found):
            raise FunctionError(f"integer({value!r}): not a whole number")
        return int(found)

    @functions.signature({"types": ["string", "number", "boolean", "null"]})
    def _func_boolean(self, value: Any) -> bool | None:
        if value is None or value == "" or type(value) is bool:
            return None if value == "" else value
        word = str(value).strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise FunctionError(f"boolean({value!r}): neither yes nor no")

    @functions.signature({"types": []})
    def _func_string(self, value: Any) -> str | None:
        return value if value is None or type(value) is str else msgspec.json.encode(value).decode()

    @functions.signature({"types": [], "variadic": True})
    def _func_hash(self, *values: Any) -> str:
        return hashlib.sha256(msgspec.json.encode(values)).hexdigest()

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

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, texts: list[str]) -> str:
        if len(separator) * len(texts) + sum(map(len, texts)) > LONGEST_TEXT:
            raise FunctionError(f"join: the text would have more than {LONGEST_TEXT:,} characters")
        return separator.join(texts)

    @functions.signature({"types": ["string", "null"]})
    def _func_from_json(self, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as exc:
            raise FunctionError(f"from_json: {exc}") from exc


class Interpreter(TreeInterpreter):  # type: ignore[misc,unused-ignore]
    """The library's own, except that `if` and `default` leave the branch alone that does not count."""

    def __init__(self, meta: Mapping[str, Any] = NO_META, message: Any = None) -> None:
        """Args: as Functions'."""
        super().__init__(Options(custom_functions=Functions(meta, message)))

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        """A call."""
        name, arguments = node["value"], node["children"]
        if name == "if":
            if not is_false(self.visit(arguments[0], value)):
                return self.visit(arguments[1], value)
            return self.visit(arguments[2], value) if len(arguments) == 3 else None
        if name == "default":
            found = self.visit(arguments[0], value)
            return self.visit(arguments[1], value) if found is None else found
        return super().visit_function_expression(node, value)


def is_false(value: Any) -> bool:
    """JMESPath's falsehood: null, false, and an empty text, list or object. Unlike in Python, 0 is true."""
    return not value and type(value) not in NUMBERS


def lookup(value: Any, table: dict[str, Any] | None, other: Any = None) -> Any:
    """What a table has for a value, whose keys are texts: `1` and `true` are looked for as they are in JSON."""
    if table is None or value is None:
        return other
    key = value if type(value) is str else msgspec.json.encode(value).decode()
    found = table.get(key)
    return other if found is None else found


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
    if pattern in _UNITS:
        number = _number(value)
        if number is None:
            raise ValueError("not a number")
        # through a timedelta: exact to the microsecond, and defined before 1970 on every platform
        return EPOCH + number * _UNITS[pattern]
    text = str(value)
    return datetime.fromisoformat(text) if pattern == "iso" else datetime.strptime(text, pattern)  # noqa: DTZ007 (zone follows)
