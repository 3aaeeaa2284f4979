"""CSV: a header line, then a row a record; what is wrong with one row costs only that row."""

from __future__ import annotations

import csv
import io
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Final, NamedTuple

from hub.imports.bytes_of import DAMAGED, PEEK_BYTES, Blob, damaged
from hub.imports.detect import (
    LINES,
    UTF8,
    Type,
    checked_encoding,
    delimiter_of,
    encoding_of,
    is_wide,
    reader_of,
    type_of,
)
from hub.imports.rows import LONGEST_ROW, Column, Position, Row, Shape, unreadable
from hub.imports.streamed import Streamed

MOST_COLUMNS: Final = 10_000
LONGEST_QUOTED: Final = 1024 * 1024
"""Bytes of a row over several lines: a quote that nobody closes would take in the rest of the file."""
KEPT_BYTES: Final = 65_536
"""Of a row that is too long to be kept whole."""
_BOM: Final = b"\xef\xbb\xbf"


class CsvOptions(NamedTuple):
    """What is known beforehand; all else is seen from the first bytes. `types`: by column."""

    delimiter: str = ""
    encoding: str = ""
    columns: Sequence[str] = ()
    types: Mapping[str, Type] = {}
    all_text: bool = False


class _TooLong(ValueError):
    """A row that is longer than any row should be."""


class CsvFile(Streamed):
    """See Source. The position is the byte behind the row, the row's number and the line's."""

    def __init__(self, blob: Blob, options: CsvOptions) -> None:
        """Opens nothing yet."""
        super().__init__(blob)
        self._options = options
        self._misfits: Counter[str] = Counter()

    @property
    def shape(self) -> Shape:
        """Delimiter, encoding, columns."""
        delimiter = {"\t": "tab", " ": "space"}.get(self._delimiter, self._delimiter)
        facts = {
            "format": "csv, gzip" if self._stream.packed else "csv",
            "encoding": f"{self._encoding} ({self._why})",
            "delimiter": delimiter,
        }
        return Shape(facts, self._columns)

    @property
    def misfits(self) -> Mapping[str, int]:
        """By column, how many cells stayed texts since they are not what the first rows had made it look like."""
        return self._misfits

    def _look(self) -> None:
        start = self._stream.start
        if not start.strip():
            raise unreadable(f"{self._blob.name} is empty: there is no header line, and no row")
        whole = len(start) < PEEK_BYTES
        self._encoding, self._why = encoding_of(start, whole=whole)
        if self._options.encoding:
            self._encoding, self._why = checked_encoding(self._options.encoding), "as told"
        self._wide = is_wide(self._encoding)
        text = start.decode(self._encoding, "replace").removeprefix("\ufeff")
        if not whole:
            text = text[: text.rfind("\n") + 1] or text
        if "\r" in text.rstrip() and "\n" not in text:
            raise unreadable(
                f"{self._blob.name}: its lines end as on an old Macintosh, in a carriage return alone: save it with "
                "line feeds, such as with `tr '\\r' '\\n'`"
            )
        lines = [line for line in text.splitlines()[:LINES] if line.strip()]
        if not lines:
            raise unreadable(f"{self._blob.name} is empty: there is no header line, and no row")
        self._delimiter = self._options.delimiter or delimiter_of(lines)
        if not whole and "\n" not in text:
            raise unreadable(
                f"{self._blob.name}: its first line has more than {PEEK_BYTES:,} bytes, so it is no header line of a "
                f"CSV file (most columns: {MOST_COLUMNS:,})"
            )
        self._columns = self._typed(text)
        self._names = [column.name for column in self._columns]

    def _typed(self, text: str) -> list[Column]:
        """The columns, by the first rows."""
        sample: list[list[str]] = []
        try:
            for cells in csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True):
                sample += [cells] if cells else []
                if len(sample) > LINES:
                    break
        except csv.Error as exc:
            if not sample and not self._options.columns:
                raise unreadable(f"{self._blob.name}: the header line cannot be read: {exc}") from exc
        named = [*self._options.columns] or _header(self._blob.name, sample[0] if sample else [])
        body = [cells for cells in sample[0 if self._options.columns else 1 :] if len(cells) == len(named)]
        told = self._options.types
        unknown = sorted(set(told) - set(named))
        if unknown:
            raise unreadable(f"there is no column {', '.join(unknown)}; there are {', '.join(named[:50])}")
        return [
            Column(name, told.get(name) or self._guess([cells[place] for cells in body]), name in told)
            for place, name in enumerate(named)
        ]

    def _guess(self, cells: Sequence[str]) -> Type:
        return "text" if self._options.all_text else type_of(cells)

    def _rows(self, position: Position) -> Iterator[tuple[Row, Position, int]]:
        offset, number, line = position or (0, 0, 1)
        stream = self._stream
        try:
            file = stream.decoded(self._encoding, offset) if self._wide else stream.at(offset)
            encoding = UTF8 if self._wide else self._encoding
            has_mark = offset == 0 and encoding == UTF8
            records = _Records(file, encoding, self._delimiter, has_mark=has_mark, told=self._encoding)
            skip_header = position is None and not self._options.columns
            fit, names, columns, time_ms = self._fit(), self._names, len(self._names), self._blob.time_ms
            for cells, raw, fault in records:
                begins, size = line, records.bytes
                offset += size
                line += records.lines
                if skip_header and (cells or fault):
                    skip_header = False
                    continue
                if not cells and not fault:
                    continue
                number += 1
                value = None
                error = fault or ("" if len(cells) == columns else self._problem(cells))
                if not error:
                    value = dict(zip(names, cells, strict=True))
                    error = fit(value)
                name = f"row {number}"
                where = {"line": begins}
                if error:
                    row = Row(name, number, None, b"".join(raw), error, time_ms, where)
                else:
                    row = Row(name, number, value, None, "", time_ms, where)
                yield row, (offset, number, line), size
        except DAMAGED as exc:
            raise damaged(self._blob.name, exc) from exc
        except OSError as exc:
            raise unreadable(f"{self._blob.name} cannot be read any further: {exc}") from exc

    def _problem(self, cells: Sequence[str]) -> str:
        return f"the row has {len(cells)} cells, but the header has {len(self._names)}"

    def _fit(self) -> Callable[[dict[str, Any]], str]:
        """What makes values of a row's cells, and says what is wrong with them."""
        readers = [
            (column.name, column.type, column.sure, reader)
            for column in self._columns
            if (reader := reader_of(column.type)) is not None  # type: ignore[arg-type]
        ]
        misfits = self._misfits

        def fit(value: dict[str, Any]) -> str:
            for name, kind, sure, read in readers:
                cell = value[name]
                if not cell:
                    value[name] = None
                    continue
                try:
                    value[name] = read(cell)
                except ValueError:
                    if sure:
                        return f"{name}: expected {kind}, not {cell[:80]!r}"
                    misfits[name] += 1
            return ""

        return fit


class _Records:
    """
    The records of a file, one after the other, with their bytes.

    Iterating gives cells, the bytes of their lines, and what is wrong. A record that cannot be read is its first line:
    the next one is tried for itself.
    """

    def __init__(self, file: IO[bytes], encoding: str, delimiter: str, *, has_mark: bool, told: str) -> None:
        """Args: has_mark: the first line may begin with a byte order mark. told: the file's encoding, for people."""
        self._told = told
        csv.field_size_limit(LONGEST_ROW)
        self._has_mark = has_mark
        self._file = file
        self._encoding = encoding
        self._delimiter = delimiter
        self._taken: list[bytes] = []
        self._again: deque[bytes] = deque()
        self.bytes = 0
        """Of the record in hand."""
        self.lines = 0

    def __iter__(self) -> Iterator[tuple[list[str], Sequence[bytes], str]]:
        reader = self._reader()
        taken = self._taken
        while True:
            taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnicodeError, _TooLong) as exc:
                self._again.extendleft(reversed(taken[1:]))
                del taken[1:]
                self.lines = 1
                self.bytes = len(taken[0])
                error = self._words(exc, taken[0])
                yield [], self._cut_off(), error
                reader = self._reader()
                continue
            self.lines = len(taken)
            self.bytes = len(taken[0]) if self.lines == 1 else sum(map(len, taken))
            yield cells, taken, ""

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._lines(), delimiter=self._delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        taken, again, encoding, readline = self._taken, self._again, self._encoding, self._file.readline
        size = 0
        while True:
            line = again.popleft() if again else readline(LONGEST_ROW)
            if not line:
                return
            if not taken:
                size = 0
            taken.append(line)
            size += len(line)
            if (size > LONGEST_QUOTED and len(taken) > 1) or len(line) >= LONGEST_ROW:
                raise _TooLong
            if self._has_mark:
                line, self._has_mark = line.removeprefix(_BOM), False
            yield line.decode(encoding)

    def _cut_off(self) -> Sequence[bytes]:
        """What is kept of a record; of a line that is too long, the rest is read past."""
        line = self._taken[0]
        if len(line) < LONGEST_ROW or line.endswith(b"\n"):
            return [line]
        while rest := self._file.readline(LONGEST_ROW):
            self.bytes += len(rest)
            if rest.endswith(b"\n"):
                break
        return [line[:KEPT_BYTES]]

    def _words(self, exc: Exception, line: bytes) -> str:
        if isinstance(exc, _TooLong):
            if len(line) >= LONGEST_ROW:
                return f"the line has more than {LONGEST_ROW:,} bytes; its first {KEPT_BYTES:,} are kept"
            return (
                "a quote is opened here and not closed within "
                f"{LONGEST_QUOTED:,} bytes; a quote inside a cell is written twice"
            )
        if isinstance(exc, UnicodeError):
            return f"the line is not {self._told}: say which encoding it is (--encoding), or mend it"
        return f"no row of CSV: {exc}"


def _header(name: str, cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(names) > MOST_COLUMNS:
        raise unreadable(
            f"{name} has {len(names):,} columns, more than the {MOST_COLUMNS:,} that a row may have: is it the right "
            "delimiter, and does each row stand on a line of its own?"
        )
    empty = [place for place, each in enumerate(names, 1) if not each]
    if not names or empty:
        what = f"column {empty[0]} has no name" if empty else "it is empty"
        raise unreadable(
            f"{name}: the first line has to name each column, and {what}: name them yourself if there is no header "
            "line (--columns)"
        )
    twice = [each for each, count in Counter(names).items() if count > 1]
    if twice:
        raise unreadable(
            f"{name}: two columns are called {twice[0]!r}: rename one, or name all yourself if there is no header line "
            "(--columns)"
        )
    return names
