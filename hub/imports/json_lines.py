"""JSON lines: a JSON value a line; lines without anything are no rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hub.imports.bytes_of import DAMAGED, damaged
from hub.imports.detect import UTF8, encoding_of
from hub.imports.rows import LONGEST_ROW, Position, Row, Shape, unreadable
from hub.imports.streamed import Streamed

KEPT_BYTES: Final = 65_536
"""Of a line that is too long to be kept whole."""
_BOM: Final = b"\xef\xbb\xbf"


class JsonLines(Streamed):
    """See Source. The position is the byte behind the row, the row's number and the line's."""

    @property
    def shape(self) -> Shape:
        """Its format."""
        return Shape({"format": "jsonl, gzip" if self._stream.packed else "jsonl", "encoding": UTF8})

    def _look(self) -> None:
        start = self._stream.start
        if not start.strip():
            raise unreadable(f"{self._blob.name} is empty: there is no row")
        encoding, _ = encoding_of(start, whole=False)
        if encoding.startswith(("utf-16", "utf-32")):
            raise unreadable(f"{self._blob.name} is {encoding}: JSON lines are UTF-8, so write it anew")
        if start.lstrip(_BOM + b" \t\r\n")[:1] == b"[":
            raise unreadable(
                f"{self._blob.name} begins with a list: JSON lines are one value a line. `jq -c '.[]'` makes them "
                "of a list"
            )

    def _rows(self, position: Position) -> Iterator[tuple[Row, Position, int]]:
        offset, number, line = position or (0, 0, 0)
        try:
            file = self._stream.at(offset)
            while text := file.readline(LONGEST_ROW):
                line += 1
                offset += len(text)
                error = ""
                if len(text) >= LONGEST_ROW and not text.endswith(b"\n"):
                    error = f"the line has more than {LONGEST_ROW:,} bytes; its first {KEPT_BYTES:,} are kept"
                    text, more = text[:KEPT_BYTES], file
                    while rest := more.readline(LONGEST_ROW):
                        offset += len(rest)
                        if rest.endswith(b"\n"):
                            break
                raw = text.strip() if line > 1 else text.removeprefix(_BOM).strip()
                if not raw:
                    continue
                number += 1
                row = Row(f"row {number}", number, None, raw, error, self._blob.time_ms, {"line": line})
                yield row, (offset, number, line), len(raw)
        except DAMAGED as exc:
            raise damaged(self._blob.name, exc) from exc
        except OSError as exc:
            raise unreadable(f"{self._blob.name} cannot be read any further: {exc}") from exc
