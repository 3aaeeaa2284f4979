"""What the API asks of the store: one document, pages of a search, counts, histograms, values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from hub.conditions.ast import And
from hub.model import Position
from hub.store.cursor import Cursor, decode_cursor, encode_cursor
from hub.store.documents import OPEN, SHOWN_BYTES, body_view
from hub.store.elastic import documents as made
from hub.store.elastic import figures
from hub.store.elastic.asked import INDICES, Asked, Match
from hub.store.elastic.changes import is_there
from hub.store.elastic.head import HEAD, HeadDocument
from hub.store.elastic.indices import BATCHES, LETTERS, events_index
from hub.store.elastic.paging import Query, term
from hub.store.elastic.people import PeopleSide
from hub.store.port import (
    MOST_GROUPS,
    CountedValue,
    Histogram,
    Kind,
    Neighbour,
    Page,
    Span,
    check_size,
)
from hub.store.query import field_for, prepare

_LETTER: Final = ("doc", "body", "body_sha256", "body_size")
_NEIGHBOUR: Final = ("doc", "id", "type", "time_ms", "position")


class ReadSide(PeopleSide):
    """`Reading` of the port, but the balance sheet, identity and privacy."""

    _head: HeadDocument
    get_blob: Callable[[str], bytes | None]

    def ping(self) -> None:
        """See the port. Raises Unavailable."""
        self._engine.probe(BATCHES, HEAD)

    def get(self, kind: Kind, id: str) -> dict[str, Any] | None:
        """See the port. Raises Unavailable."""
        if kind == "profiles":
            id = self._survivors([id])[id]
        names = map(events_index, self._head.read().months) if kind == "events" else (INDICES[kind],)
        for found in self._engine.pick([(name, id) for name in names]).values():
            if is_there(found.source):
                return self._shown(kind, msgspec.json.decode(found.source["doc"]), found.source)
        return None

    def search(self, kind: Kind, query: str, size: int, cursor: str | None, span: Span | None = None) -> Page:
        """See the port. Raises QueryError, Unavailable, and ValueError for a size outside 1 to 1,000."""
        check_size(size)
        asked = self._asked(kind, query, span)
        after = None if cursor is None else decode_cursor(cursor, kind)
        place = None if after is None else (after.partition, _place_of(after))
        found = asked.newest(size + 1, place, _LETTER if kind == "dead-letters" else ("doc",))
        items = [self._shown(kind, one.document, one.fields) for one in found[:size]]
        return Page(items, encode_cursor(_cursor_of(kind, found[size - 1])) if len(found) > size else None)

    def count(self, kind: Kind, query: str, span: Span | None = None) -> int:
        """See the port. Raises QueryError, Unavailable."""
        return self._asked(kind, query, span).count()

    def histogram(
        self, kind: Kind, query: str, edges: Sequence[int], group_by: str = "", groups: int = MOST_GROUPS
    ) -> Histogram:
        """See the port. Raises QueryError, Unavailable."""
        field = field_for(group_by, kind) if group_by else None
        return figures.histogram(self._asked(kind, query, Span(edges[0], edges[-1])), edges, field, groups)

    def values(self, kind: Kind, query: str, field: str, prefix: str = "", most: int = 20) -> list[CountedValue]:
        """See the port. Raises QueryError, Unavailable."""
        place = field_for(field, kind)
        return figures.values(self._asked(kind, query), place, prefix, most)

    def neighbours(self, id: str, most: int) -> tuple[list[Neighbour], list[Neighbour]]:
        """See the port. Raises Unavailable."""
        months = self._head.read().months
        found = self._engine.pick([(events_index(month), id) for month in months])
        there = [(name, one.source) for (name, _), one in found.items() if is_there(one.source)]
        if not there or not there[0][1]["profile_id"]:
            return [], []
        ((name, own), *_) = there
        of_profile = [term("profile_id", own["profile_id"])]
        asked = Asked(self._engine, "events", And(()), self._ids_of, months=months, more=of_profile)
        after = name.removeprefix(events_index("")), [own["time_ms"], own["seq"]]
        older = asked.newest(most, after, _NEIGHBOUR)
        newer = asked.oldest(most, after, _NEIGHBOUR)
        return [_neighbour(one) for one in older], [_neighbour(one) for one in newer]

    def open_dead_letters(self, query: str, size: int, after: int) -> tuple[list[dict[str, Any]], int | None]:
        """See the port. Raises QueryError, Unavailable."""
        check_size(size)
        head = self._head.read()
        # a batch has its numbers before it has its documents
        until = min((entry.seq for entry in head.pending), default=head.seq)
        self._engine.refresh(LETTERS)
        between = {"range": {"seq": {"gt": after, "lt": until}}}
        found = self._open(query, [between]).oldest(size + 1)
        return [one.document for one in found[:size]], found[size - 1].place[0] if len(found) > size else None

    def count_open_dead_letters(self, query: str) -> int:
        """See the port. Raises QueryError, Unavailable."""
        return self._open(query, []).count()

    def dead_letter_body(self, id: str) -> bytes | None:
        """See the port. Raises Unavailable."""
        found = self._engine.get(LETTERS, id)
        return None if found is None or not is_there(found.source) else self._body(found.source)

    def _asked(self, kind: Kind, query: str, span: Span | None = None) -> Asked:
        condition = prepare(query, kind)
        months = self._head.read().months if kind == "events" else ()
        return Asked(self._engine, kind, condition, self._ids_of, months=months, span=span)

    def _open(self, query: str, more: list[Query]) -> Asked:
        condition = prepare(query, "dead-letters")
        more = [term("status", OPEN), *more]
        return Asked(self._engine, "dead-letters", condition, self._ids_of, more=more, order=["seq"])

    def _shown(self, kind: Kind, document: dict[str, Any], fields: Any) -> dict[str, Any]:
        if kind != "dead-letters":
            return document
        return document | body_view(self._body(fields)[:SHOWN_BYTES], fields["body_size"])

    def _body(self, fields: Any) -> bytes:
        """A large one lies in the blobs."""
        sha256 = fields["body_sha256"]
        found = None if sha256 is None else self.get_blob(sha256)
        return made.bytes_of(fields["body"]) if found is None else found


def _place_of(cursor: Cursor) -> list[int]:
    return [cursor.time_ms, cursor.seq] if cursor.kind in {"events", "dead-letters"} else [cursor.seq]


def _cursor_of(kind: Kind, match: Match) -> Cursor:
    return Cursor(kind, match.partition, match.place[0] if len(match.place) > 1 else 0, match.place[-1])


def _neighbour(match: Match) -> Neighbour:
    fields = match.fields
    return Neighbour(fields["id"], fields["type"], fields["time_ms"], Position(*fields["position"]))
