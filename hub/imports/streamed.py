"""Files that are read byte after byte, a row at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from hub.imports.bytes_of import Blob, Stream
from hub.imports.rows import Page, Position, Row, paged


class Streamed:
    """What such sources have in common: see Source. Their position is the byte behind the row, and what they add."""

    def __init__(self, blob: Blob) -> None:
        """Opens nothing yet."""
        self._blob = blob
        self._stream = Stream(blob)

    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""
        self._stream.__enter__()
        try:
            self._look()
        except BaseException:
            self._stream.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.__exit__()

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return self._blob.size

    @property
    def mark(self) -> str:
        """Of this content."""
        return self._blob.mark

    def continues(self, mark: str) -> bool:
        """See Source."""
        return self._blob.is_that_of(mark, grown=True)

    def pages(self, position: Position) -> Iterator[Page]:
        """See Source."""
        return paged(self._rows(position), lambda: self._stream.done)

    def _look(self) -> None:
        """At how it begins. Raises Refused."""
        raise NotImplementedError

    def _rows(self, position: Position) -> Iterator[tuple[Row, Position, int]]:
        """Those behind a position, each with the position behind it, and its bytes."""
        raise NotImplementedError
