"""Parquet: read row group by row group, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, Self

from hub.imports.bytes_of import Blob
from hub.imports.plain import plain_row
from hub.imports.rows import PAGE, Column, Page, Position, Row, Shape, unreadable

INSTALL: Final = "Parquet needs pyarrow: pip install 'thamesthrive-hub[parquet]'"


class Parquet:
    """See Source. The position is the row group, the row in it, and the row's number."""

    def __init__(self, blob: Blob) -> None:
        """Opens nothing yet."""
        self._blob = blob
        self._stack = ExitStack()
        self._file: Any = None

    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError as exc:
            raise unreadable(INSTALL) from exc
        self._arrow = pa
        self._broken = (pa.ArrowException, OSError)
        try:
            file = self._stack.enter_context(self._blob.open())
            self._file = self._stack.enter_context(pq.ParquetFile(file, pre_buffer=False))
        except self._broken as exc:
            self._stack.close()
            raise unreadable(
                f"{self._blob.name} is no whole Parquet file: {_first_line(exc)}. Its end says where all else is, so "
                "one that is cut off cannot be read at all: get a whole copy"
            ) from exc
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def shape(self) -> Shape:
        """Its columns, as the file has them."""
        metadata = self._file.metadata
        facts = {"format": "parquet", "rows": f"{metadata.num_rows:,}", "row groups": f"{metadata.num_row_groups:,}"}
        return Shape(facts, [Column(field.name, str(field.type)) for field in self._file.schema_arrow])

    @property
    def total(self) -> int:
        """Rows."""
        return int(self._file.metadata.num_rows)

    @property
    def mark(self) -> str:
        """Of this content."""
        return self._blob.mark

    def continues(self, mark: str) -> bool:
        """See Source."""
        return self._blob.is_that_of(mark, grown=False)

    def pages(self, position: Position) -> Iterator[Page]:
        """See Source."""
        group, within, number = position or (0, 0, 0)
        try:
            for place in range(group, self._file.metadata.num_row_groups):
                skip, seen = (within if place == group else 0), 0
                for batch in self._file.iter_batches(PAGE, row_groups=[place], use_threads=False):
                    before, seen = seen, seen + batch.num_rows
                    if seen <= skip:
                        continue
                    rows = []
                    for value in self._coarse(batch.slice(max(0, skip - before))).to_pylist():
                        number += 1
                        rows.append(Row(f"row {number}", number, plain_row(value), None, "", self._blob.time_ms))
                    yield Page(rows, (place, seen, number), number)
        except self._broken as exc:
            raise unreadable(
                f"{self._blob.name} cannot be read behind row {number:,}: {_first_line(exc)}. All rows before are "
                "imported"
            ) from exc

    def _coarse(self, batch: Any) -> Any:
        """Times to the microsecond: Python has no finer ones."""
        pa = self._arrow
        for place, field in enumerate(batch.schema):
            if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
                column = batch.column(place).cast(pa.timestamp("us", field.type.tz), safe=False)
                batch = batch.set_column(place, field.name, column)
        return batch


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
