"""What is it? Encoding, delimiter and types of a table of text, guessed from its first bytes. Pure."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from hub.imports.rows import unreadable

Type: TypeAlias = Literal["integer", "number", "boolean", "time", "text"]
"""Of a column. A time stays the text that it is: a mapping knows its format."""

UTF8: Final = "utf-8"
FALLBACK: Final = "cp1252"
DELIMITERS: Final = ",;\t|"
ONE_COLUMN: Final = ","
"""A file of one column has no delimiter; this one then does no harm."""
LINES: Final = 200
_BOMS: Final = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHERS: Final = (
    (b"PK\x03\x04", "a zip archive or an Excel file", "say --format excel, or unpack it"),
    (b"PAR1", "a Parquet file", "say --format parquet"),
    (b"%PDF", "a PDF", "export the table as CSV"),
    (b"\x89PNG", "a picture", "is it the right file?"),
    (b"\xff\xd8\xff", "a picture", "is it the right file?"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls)", "save it as .xlsx or CSV"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"BZh", "packed with bzip2", "unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "packed with xz", "unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it, or pack it with gzip"),
)
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_BOOLEAN: Final = frozenset({"true", "false"})
_SHORTEST_TIME: Final = len("2026-01-01")


def encoding_of(start: bytes, *, whole: bool) -> tuple[str, str]:
    """
    The encoding, and how it is known.

    Args:
        start: The first bytes. whole: there are no more.

    Raises: Refused: this is no text at all.
    """
    for bom, name in _BOMS:
        if start.startswith(bom):
            return name, "its first bytes say so"
    for magic, what, mend in _OTHERS:
        if start.startswith(magic):
            raise unreadable(f"this is {what}, no text: {mend}")
    if b"\0" in start:
        return _wide(start)
    try:
        codecs.getincrementaldecoder(UTF8)().decode(start, final=whole)
    except UnicodeDecodeError as exc:
        line = start.count(b"\n", 0, exc.start) + 1
        return FALLBACK, f"guessed: line {line} is not UTF-8"
    return UTF8, "it reads so"


def checked_encoding(name: str) -> str:
    """The codec's own name. Raises Refused."""
    try:
        found = codecs.lookup(name)
        if not found._is_text_encoding:
            raise LookupError(name)
        "\n".encode(found.name)
    except (LookupError, UnicodeError) as exc:
        raise unreadable(f"there is no encoding {name!r}; such as utf-8, cp1252, latin-1, utf-16") from exc
    return found.name


def is_wide(encoding: str) -> bool:
    """Whether lines cannot be told from the bytes."""
    return "\n".encode(encoding) != b"\n"


def delimiter_of(lines: Sequence[str]) -> str:
    """The one by which most lines fall into as many cells as the first. Args: lines: the first ones, not empty."""
    best, most = ONE_COLUMN, (0, 0)
    for delimiter in DELIMITERS:
        cells = _outside_quotes(lines[0]).count(delimiter)
        alike = sum(_outside_quotes(line).count(delimiter) == cells for line in lines)
        if cells and (alike, cells) > most:
            best, most = delimiter, (alike, cells)
    return best


def type_of(cells: Sequence[str]) -> Type:
    """What all of these are that are not empty; a text if there are none, or they differ."""
    found: Type | None = None
    for cell in cells:
        if not cell:
            continue
        kind = _type(cell)
        if found is None or found == kind:
            found = kind
        elif {found, kind} == {"integer", "number"}:
            found = "number"
        else:
            return "text"
    return found or "text"


def reader_of(kind: Type) -> Callable[[str], Any] | None:
    """What makes a value of a cell that is not empty, raising ValueError; None: it stays as it is."""
    return _READERS.get(kind)


def _wide(start: bytes) -> tuple[str, str]:
    even, odd = start[0::2].count(0), start[1::2].count(0)
    half = len(start) // 2
    if max(even, odd) > half // 2 and min(even, odd) * 4 < max(even, odd):
        return ("utf-16-be" if even > odd else "utf-16-le"), "guessed: every other byte is zero"
    raise unreadable("this is no text: there are zero bytes in it. Is it the right file?")


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[0::2]) if '"' in line else line


def _type(cell: str) -> Type:
    if _INTEGER.fullmatch(cell):
        return "integer" if cell != "-0" else "text"
    if _NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
        # sixteen digits and more are a card's or an account's number, and would not stay the same
        return "number" if len(cell) <= 16 else "text"
    if cell.lower() in _BOOLEAN:
        return "boolean"
    if len(cell) >= _SHORTEST_TIME and "-" in cell:
        try:
            datetime.fromisoformat(cell)
        except ValueError:
            return "text"
        return "time"
    return "text"


def _integer(cell: str) -> int:
    value = int(cell)
    # `007`, `1_000` and ` 7` are texts: what they were could not be told any more
    if str(value) != cell or not -(2**63) <= value < 2**63:
        raise ValueError(cell)
    return value


def _number(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value) or "_" in cell:
        raise ValueError(cell)
    return value


def _boolean(cell: str) -> bool:
    word = cell.lower()
    if word not in _BOOLEAN:
        raise ValueError(cell)
    return word == "true"


_READERS: Final[dict[Type, Callable[[str], Any]]] = {"integer": _integer, "number": _number, "boolean": _boolean}
