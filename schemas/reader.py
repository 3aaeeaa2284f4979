"""Compiles an Avro schema to a Python function that reads its records: half of the time that fastavro takes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final

from schemas.writer import UnsupportedSchema

_MOST_BYTES: Final = 10
"""Of a number: 64 bits, seven a byte."""


def compile_reader(schema: dict[str, Any]) -> Callable[[bytes, int], tuple[Any, int]]:
    """
    A function from bytes, and the place where a record begins in them, to the record and the place behind it.

    The counterpart of `schemas.writer`: each schema is one straight function. The branch of a union of records comes as
    (full name, value). The place may be behind the end: then the bytes were cut off, which the caller finds out.

    The function raises ValueError or IndexError for bytes that are no such record.

    Raises: UnsupportedSchema.
    """
    reader = _Reader()
    found = reader.value(schema, 1, schema.get("namespace", ""))
    source = "\n".join(["def read(data, at):", *reader.lines, f"    return {found}, at"])
    scope: dict[str, Any] = {"long": _long, "size": _size, "block": _block}
    exec(compile(source, f"<reader of {schema['name']}>", "exec"), scope)  # noqa: S102 - made of our own schemas only
    read: Callable[[bytes, int], tuple[Any, int]] = scope["read"]
    return read


class _Reader:
    """Collects the lines of the function. `at` in them is the place of the next byte."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._number = count()

    def value(self, schema: Any, depth: int, namespace: str) -> str:
        """Lines that read a value. Returns the expression that it is in afterwards."""
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, list):
            return self._union(kind, depth, namespace)
        if kind == "record":
            return self._record(schema, depth, schema.get("namespace", namespace))
        if kind == "array":
            return self._array(schema["items"], depth, namespace)
        return self._simple(kind, depth)

    def _simple(self, kind: Any, depth: int) -> str:
        name = self._name()
        if kind in ("string", "bytes"):
            # nearly every size is one byte or two
            self._line(depth, "n = data[at]")
            self._line(depth, "if n & 129: n, at = size(data, at)")
            self._line(depth, "else: n, at = n >> 1, at + 1")
            self._line(depth, f"{name} = data[at:at + n]{'.decode()' if kind == 'string' else ''}; at += n")
        elif kind in ("long", "int"):
            self._line(depth, "n = data[at]")
            self._line(depth, f"if n & 128: {name}, at = long(data, at)")
            self._line(depth, f"else: {name} = n >> 1 ^ -(n & 1); at += 1")
        elif kind == "boolean":
            self._line(depth, f"{name} = data[at] != 0; at += 1")
        else:
            raise UnsupportedSchema(f"{kind!r}")
        return name

    def _record(self, schema: dict[str, Any], depth: int, namespace: str) -> str:
        fields = [f"{one['name']!r}: {self.value(one['type'], depth, namespace)}" for one in schema["fields"]]
        return f"{{{', '.join(fields)}}}"

    def _array(self, items: Any, depth: int, namespace: str) -> str:
        name, left = self._name(), self._name()
        self._line(depth, f"{name} = []")
        self._line(depth, "while data[at]:")
        self._line(depth + 1, f"{left}, at = block(data, at)")
        self._line(depth + 1, f"while {left}:")
        item = self.value(items, depth + 2, namespace)
        self._line(depth + 2, f"{name}.append({item}); {left} -= 1")
        self._line(depth, "at += 1")
        return name

    def _union(self, branches: list[Any], depth: int, namespace: str) -> str:
        name = self._name()
        is_optional = len(branches) == 2 and branches[0] == "null"
        if not is_optional and not all(isinstance(one, dict) and one.get("type") == "record" for one in branches):
            raise UnsupportedSchema("a union of other things than records")
        self._line(depth, "n = data[at]; at += 1")
        for number, branch in enumerate(branches):
            self._line(depth, f"{'el' if number else ''}if n == {number << 1}:")
            if branch == "null":
                self._line(depth + 1, f"{name} = None")
                continue
            value = self.value(branch, depth + 1, namespace)
            if not is_optional:
                full_name = f"{branch.get('namespace', namespace)}.{branch['name']}"
                value = f"({full_name!r}, {value})"
            self._line(depth + 1, f"{name} = {value}")
        self._line(depth, "else: raise ValueError(f'no branch {n}')")
        return name

    def _name(self) -> str:
        return f"v{next(self._number)}"

    def _line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)


def _long(data: bytes, at: int) -> tuple[int, int]:
    """A number, and the place behind it. Source: Avro 1.12 specification, binary encoding."""
    byte = data[at]
    raw, shift = byte & 0x7F, 7
    while byte & 0x80:
        at += 1
        byte = data[at]
        raw |= (byte & 0x7F) << shift
        shift += 7
        if shift > 7 * _MOST_BYTES:
            raise ValueError("a number of more than 64 bits")
    if raw >> 64:
        raise ValueError("a number of more than 64 bits")
    return raw >> 1 ^ -(raw & 1), at + 1


def _size(data: bytes, at: int) -> tuple[int, int]:
    """The size of a text, and the place behind it."""
    first, second = data[at], data[at + 1]
    if first & 1 == 0 and second < 0x80:
        return (first & 0x7F) >> 1 | second << 6, at + 2
    found, at = _long(data, at)
    if found < 0:
        raise ValueError(f"a size of {found} bytes")
    return found, at


def _block(data: bytes, at: int) -> tuple[int, int]:
    """How many items follow, and where. A count below 0 has the size of the block in bytes behind it."""
    found, at = _long(data, at)
    if found < 0:
        found, (_, at) = -found, _long(data, at)
    return found, at
