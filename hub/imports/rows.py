"""What a source of rows is to the importer: the port that each kind of source implements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from hub.errors import Refused

Position: TypeAlias = Any
"""Where a source goes on: any JSON value of its own. None: the beginning."""

PAGE: Final = 1_000
"""Rows that are converted, sent and acknowledged together."""
PAGE_BYTES: Final = 4 * 1024 * 1024
"""A page ends sooner when its rows have so many bytes."""
LONGEST_ROW: Final = 16 * 1024 * 1024
"""Bytes of a row that are kept in memory at most."""


class Row(NamedTuple):
    """
    One row.

    Attributes:
        name: What no other row of the import is called, as people read it, such as `row 17`; the same each time. Ids
            are made from it.
        number: Which row of its part of the source it is, from 1.
        value: What a mapping gets; None when `raw` is still to be read, or when `error` is set.
        raw: Its bytes, as far as it has some of its own.
        error: Why it cannot be read; "": it can.
        time_ms: When it happened as far as the source knows, for events without a time; None: it does not.
        meta: What `meta(…)` gives besides `row`, `position` and `file`.
    """

    name: str
    number: int
    value: Any
    raw: bytes | None = None
    error: str = ""
    time_ms: int | None = None
    meta: Mapping[str, Any] | None = None


class Page(NamedTuple):
    """
    Some rows in the order of the source, and where it goes on behind them.

    Attributes:
        done: How much of `Source.total` has been read.
    """

    rows: Sequence[Row]
    position: Position
    done: int


class Column(NamedTuple):
    """
    A column as it was found.

    Attributes:
        type: integer, number, boolean, time, text, or what a database calls it.
        sure: Whether somebody has said so; else it was seen from the first rows.
    """

    name: str
    type: str
    sure: bool = True


class Shape(NamedTuple):
    """
    What a source looks like.

    Attributes:
        facts: By name, such as the delimiter; for people.
        columns: None where each row has its own.
    """

    facts: Mapping[str, str]
    columns: Sequence[Column] = ()


class Source(Protocol):
    """Something that has rows. For one thread; a context manager, which opens and closes it."""

    def __enter__(self) -> Source:
        """Raises Refused (a person has to change something) or Unavailable (worth another try)."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close it."""
        ...

    @property
    def shape(self) -> Shape:
        """What was found."""
        ...

    @property
    def total(self) -> int:
        """How much there is, in bytes or rows, as `Page.done` counts; 0: not known."""
        ...

    @property
    def mark(self) -> str:
        """What tells this content from other content under the same name; "": nothing does."""
        ...

    def continues(self, mark: str) -> bool:
        """Whether rows that had this mark are the first of this content: so its positions are good here."""
        ...

    def pages(self, position: Position) -> Iterator[Page]:
        """
        All that comes behind a position. Never more than a page in memory.

        Raises: Refused: from here on it cannot be read. Unavailable: not now.
        """
        ...


class Unmarked:
    """Of a source whose rows are told by names that stay with them, whatever else is there by then: see Source."""

    @property
    def mark(self) -> str:
        """None."""
        return ""

    def continues(self, mark: str) -> bool:  # noqa: ARG002 - nothing to compare
        """Always."""
        return True


def unreadable(detail: str) -> Refused:
    """The source as a whole cannot be read. Args: detail: what is wrong with it, and how to mend it."""
    return Refused("import", detail)


def check_columns(name: str, shape: Shape, wanted: Iterable[str]) -> None:
    """Args: name: of the source, for people. Raises Refused: its rows have all the same columns, and not these."""
    there = [column.name for column in shape.columns]
    missing = [each for each in wanted if each not in there]
    if there and missing:
        raise unreadable(f"{name}: there is no column {', '.join(missing)}; there are {', '.join(there[:50])}")


def paged(rows: Iterator[tuple[Row, Position, int]], done: Callable[[], int], size: int = PAGE) -> Iterator[Page]:
    """Rows as pages. Args: rows: each with the position behind it, and its bytes. done: how much has been read."""
    page: list[Row] = []
    position: Position = None
    weight = 0
    for row, position, bytes_ in rows:
        page.append(row)
        weight += bytes_
        if len(page) >= size or weight >= PAGE_BYTES:
            yield Page(page, position, done())
            page, weight = [], 0
    if page:
        yield Page(page, position, done())
