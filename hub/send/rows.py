"""The rows of a file: CSV, whitespace-separated, JSON lines or just lines, plain or gzip, or standard input."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple, Self, TypeAlias

import msgspec

Format: TypeAlias = Literal["auto", "csv", "jsonl", "lines"]
"""lines: nothing is read into them, a mapping will."""
SPACES: Final = " "
"""As a delimiter: any run of spaces and tabs."""
_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_DELIMITERS: Final = ",;\t|"
_FIELD_BYTES: Final = 16 * 1024 * 1024
_PEEK_BYTES: Final = 65_536


class RowsError(ValueError):
    """The file as a whole cannot be read; the message says what to change."""


class Row(NamedTuple):
    """
    One data row.

    Attributes:
        line: Where it begins in the file, from 1.
        number: Which data row it is, from 0.
        value: An object by header name, or whatever the JSON line holds; None for `lines`, and when `error` is set.
        raw: The line's bytes; None for a table.
        error: Why it cannot be read.
    """

    line: int
    number: int
    value: Any
    raw: bytes | None = None
    error: str | None = None


class Rows:
    """A context manager and an iterator of Row. Raises RowsError, or OSError when the file cannot be opened."""

    def __init__(self, path: Path, format: Format = "auto", delimiter: str | None = None) -> None:
        """
        Args:
            path: `-` is standard input.
            delimiter: One character; SPACES for any white space; None: taken from the header line.
        """
        self._path = path
        self._format = format
        self._delimiter = delimiter
        self._stack = ExitStack()
        self._file: IO[bytes]
        self.size = 0
        """Bytes on disk; 0 when that is not known."""

    def __enter__(self) -> Self:
        if self._path == Path("-"):
            self._file = sys.stdin.buffer
        else:
            self._file = self._stack.enter_context(self._path.open("rb"))
            self.size = self._path.stat().st_size
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def position(self) -> int:
        """How many of `size` bytes have been read."""
        return self._file.tell() if self.size else 0

    def __iter__(self) -> Iterator[Row]:
        lines = _peekable(self._file)
        if lines.peek(2)[:2] == _GZIP:
            lines = _peekable(self._stack.enter_context(gzip.GzipFile(fileobj=lines)))
        start = lines.peek(_PEEK_BYTES)[:_PEEK_BYTES].removeprefix(_BOM)
        format = self._format
        if format == "auto":
            format = "jsonl" if start.lstrip()[:1] in (b"{", b"[") else "csv"
        try:
            if format == "jsonl":
                yield from _json_lines(lines)
            elif format == "lines":
                yield from _plain_lines(lines)
            else:
                yield from _table(lines, self._delimiter or _sniff(start))
        except (gzip.BadGzipFile, EOFError) as exc:
            raise RowsError(f"{self._path}: the gzip file is damaged: {exc}") from exc


def _peekable(file: Any) -> io.BufferedReader:
    return file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)


def _sniff(start: bytes) -> str:
    header = start.splitlines()[0].decode("utf-8", "replace") if start.strip() else ""
    best = max(_DELIMITERS, key=header.count)
    return best if best in header else SPACES


def _json_lines(lines: IO[bytes]) -> Iterator[Row]:
    number = 0
    for line, text in enumerate(lines, 1):
        raw = text.removeprefix(_BOM).strip()
        if not raw:
            continue
        try:
            yield Row(line, number, msgspec.json.decode(raw), raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            yield Row(line, number, None, raw, f"not JSON: {exc}")
        number += 1


def _plain_lines(lines: IO[bytes]) -> Iterator[Row]:
    number = 0
    for line, text in enumerate(lines, 1):
        raw = text.removeprefix(_BOM).rstrip(b"\r\n")
        if raw:
            yield Row(line, number, None, raw)
            number += 1


def _table(lines: IO[bytes], delimiter: str) -> Iterator[Row]:
    # bytes that are no UTF-8 become half surrogates, which make their own row fail, not the file
    text = io.TextIOWrapper(lines, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _rows(_split(text) if delimiter == SPACES else _separated(text, delimiter))
    finally:
        if not lines.closed:
            text.detach()  # else it closes the file, whose position is still asked for, when it is collected


def _rows(records: Iterator[tuple[int, list[str], str | None]]) -> Iterator[Row]:
    header: list[str] | None = None
    number = 0
    for line, cells, error in records:
        if header is None:
            header = _header(cells, error)
            continue
        if error is None and len(cells) != len(header):
            error = f"{len(cells)} cells, but the header has {len(header)}"  # noqa: PLW2901
        if error is None and any("\udc80" <= char <= "\udcff" for cell in cells if not cell.isascii() for char in cell):
            error = "not UTF-8"  # noqa: PLW2901
        yield Row(line, number, None if error else dict(zip(header, cells, strict=True)), None, error)
        number += 1


def _header(cells: list[str], error: str | None) -> list[str]:
    names = [cell.strip() for cell in cells]
    if error or not all(names) or len(set(names)) != len(names):
        raise RowsError(f"the first line must name each column, once: {error or names}")
    return names


def _split(text: IO[str]) -> Iterator[tuple[int, list[str], str | None]]:
    for line, row in enumerate(text, 1):
        cells = row.split()
        if cells:
            yield line, cells, None


def _separated(text: IO[str], delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    csv.field_size_limit(_FIELD_BYTES)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            yield line, [], str(exc)
            continue
        if cells:
            yield line, cells, None
