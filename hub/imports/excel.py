"""Excel (.xlsx): one sheet, whose first row names the columns."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, Self
from xml.etree.ElementTree import ParseError

from hub.imports.bytes_of import Blob
from hub.imports.plain import plain_row
from hub.imports.rows import Column, Page, Position, Row, Shape, paged, unreadable

INSTALL: Final = "Excel needs openpyxl: pip install 'thamesthrive-hub[excel]'"
_BROKEN: Final = (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, ParseError, zipfile.error)


class Excel:
    """See Source. The position is the number of rows that were read."""

    def __init__(self, blob: Blob, sheet: str = "") -> None:
        """Opens nothing yet. Args: sheet: "": the first."""
        self._blob = blob
        self._wanted = sheet
        self._stack = ExitStack()
        self._sheet: Any = None
        self._read = 0

    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""
        try:
            import openpyxl  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise unreadable(INSTALL) from exc
        try:
            file = self._stack.enter_context(self._blob.open())
            # what a formula gave when the file was saved; row by row
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            self._stack.callback(book.close)
            names = book.sheetnames
        except _BROKEN as exc:
            self._stack.close()
            raise unreadable(f"{self._blob.name} is no whole Excel file (.xlsx): {exc}") from exc
        if self._wanted and self._wanted not in names:
            self._stack.close()
            raise unreadable(f"there is no sheet {self._wanted!r}; there are {', '.join(names)}")
        self._name = self._wanted or names[0]
        self._sheet = book[self._name]
        try:
            self._header = self._named()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def shape(self) -> Shape:
        """Sheet and columns."""
        return Shape({"format": "excel", "sheet": self._name}, [Column(name, "cell") for name in self._header])

    @property
    def total(self) -> int:
        """Rows, as far as the file says."""
        return max(0, (self._sheet.max_row or 1) - 1)

    @property
    def mark(self) -> str:
        """Of this sheet of this content."""
        return f"{self._blob.mark} {self._name}"

    def continues(self, mark: str) -> bool:
        """See Source."""
        return mark == self.mark

    def pages(self, position: Position) -> Iterator[Page]:
        """See Source."""
        return paged(self._rows(position), lambda: self._read)

    def _rows(self, position: Position) -> Iterator[tuple[Row, Position, int]]:
        done = number = position or 0
        try:
            for cells in self._sheet.iter_rows(min_row=done + 2, values_only=True):
                self._read = number = number + 1
                if all(cell is None for cell in cells):
                    continue
                value = plain_row(dict(zip(self._header, cells, strict=False)))
                extra = [cell for cell in cells[len(self._header) :] if cell is not None]
                error = "the row has more cells than the first row has names" if extra else ""
                raw = repr(cells).encode() if error else None
                row = Row(f"row {number}", number, None if error else value, raw, error, self._blob.time_ms)
                yield row, number, 0
        except _BROKEN as exc:
            raise unreadable(f"{self._blob.name} cannot be read behind row {number:,}: {exc}") from exc

    def _named(self) -> list[str]:
        first = next(self._sheet.iter_rows(max_row=1, values_only=True), ())
        names = ["" if cell is None else str(cell).strip() for cell in first]
        while names and not names[-1]:
            names.pop()
        twice = [name for name, count in Counter(names).items() if count > 1 or not name]
        if not names or twice:
            raise unreadable(
                f"sheet {self._name!r}: its first row has to name each column, once"
                + (f": there is {twice[0]!r} twice, or one without a name" if twice else "")
            )
        return names
