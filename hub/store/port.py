"""The port that every store passes through: what the collector and the API ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from hub.model import Batch, CounterKey, Counts, Known, Wanted

Kind: TypeAlias = Literal["profiles", "events", "sessions", "dead-letters"]

MAX_PAGE: Final = 1_000
"""Most items in one page of a search."""


class Page(NamedTuple):
    """Some of the matches, and where the next ones begin (None: that was all)."""

    items: list[dict[str, Any]]
    next: str | None


def check_size(size: int) -> None:
    """Raises ValueError for a page of no size that a search gives."""
    if not 1 <= size <= MAX_PAGE:
        raise ValueError(f"a page has 1 to {MAX_PAGE} items, not {size}")


class Writing(Protocol):
    """What the collector needs. One caller a connection; calls block."""

    def epoch(self, topic_id: str) -> int:
        """
        The number of this topic, from 1. A topic id that the store has not seen gets the next number, once.

        Raises: Unavailable.
        """
        ...

    def progress(self, epoch: int) -> dict[int, int]:
        """Next offset to apply, by partition of the events topic. Partitions never written are absent."""
        ...

    def known(self, wanted: Wanted) -> Known:
        """Profiles, sessions and event ids, in one round."""
        ...

    def outcomes(self, ids: Sequence[tuple[str, str]]) -> Mapping[str, bytes]:
        """Documents of stored events by id. Args: ids: (event id, time partition)."""
        ...

    def write(self, batch: Batch) -> None:
        """
        Write a batch, once: events and dead letters under their id (a second write changes nothing), profiles and
        sessions only over a lower version, counters added, progress moved on.

        Raises:
            Fenced: The store's progress is not `before`: someone else wrote. Nothing is written.
            Unavailable: Nothing of the batch can be assumed written; the same batch may be given again.
        """
        ...


class Reading(Protocol):
    """What the API needs. Thread-safe; never blocks the collector."""

    def ping(self) -> None:
        """Raises Unavailable when the store cannot answer."""
        ...

    def get(self, kind: Kind, id: str) -> dict[str, Any] | None:
        """One document by id; None if there is none."""
        ...

    def search(self, kind: Kind, query: str, size: int, cursor: str | None) -> Page:
        """
        Documents that match, newest first. Args: query: `field = value AND …`, empty for all; size: 1 to 1,000.

        Raises: hub.store.query.QueryError: the query or the cursor is not valid; says where.
        """
        ...

    def count(self, kind: Kind, query: str) -> int:
        """How many documents match."""
        ...

    def counters(self) -> Iterable[tuple[CounterKey, Counts]]:
        """Every counter, oldest minute first."""
        ...

    def latest_progress(self) -> tuple[int, dict[int, int]]:
        """The newest epoch and its progress; (0, {}) for a new store."""
        ...

    def dead_letter_body(self, id: str) -> bytes | None:
        """The original bytes of a dead letter, wherever they are kept."""
        ...


class Blobs(Protocol):
    """Bytes that are too large for a Kafka record."""

    def put_blob(self, data: bytes) -> str:
        """Keep `data`; returns its SHA-256 in hex. Putting it twice keeps one."""
        ...

    def get_blob(self, sha256: str) -> bytes | None:
        """The bytes, or None."""
        ...


class Store(Writing, Reading, Blobs, Protocol):
    """All three in one, as `open_store` gives it."""

    def close(self) -> None:
        """Give back files and connections; nothing may be called afterwards."""
        ...
