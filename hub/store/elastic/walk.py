"""
What a replay asks of the store: everything in it, page by page.

Events are walked by their running numbers. A batch has its numbers before it has its documents, and a search sees these
a refresh later: so a walk ends before the first number of a batch that is not through, and refreshes before it believes
that nothing was in between (`Settled`). Identifiers are claimed outside of batches: a number of one that was taken
just now may come behind a higher one. A shadow, of which they are asked, has one writer, which claims before it asks.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from hub.model import Position
from hub.pipeline.histories import SOURCE as SEGMENTS
from hub.store.elastic import documents as made
from hub.store.elastic.changes import is_there
from hub.store.elastic.client import Engine
from hub.store.elastic.head import HeadDocument
from hub.store.elastic.indices import ALIVE, PROFILES, ROWS, events_index
from hub.store.elastic.rows import PAGE
from hub.store.port import AliasRow, EventPlace, EventSpan, Owned


class Settled:
    """Up to which running number a search sees all events that there will ever be. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        """Has not looked yet."""
        self._engine = engine
        self._known: dict[str, int] = {}  # by partition
        self._turn = threading.Lock()

    def before(self, partition: str) -> int:
        """As far as is known: the first number of which it is not certain."""
        return self._known.get(partition, 0)

    def look(self, partition: str) -> int:
        """The same as of now. Raises Unavailable."""
        head = HeadDocument(self._engine).read()
        limit = min((entry.seq for entry in head.pending), default=head.seq)
        self._engine.refresh(events_index(partition))  # after that: what was through by then is seen
        with self._turn:
            self._known[partition] = max(limit, self._known.get(partition, 0))
            return self._known[partition]

    def reach(self, partition: str, until: int) -> None:
        """See to it that all up to this number are seen, but of batches that are not through. Raises Unavailable."""
        if self.before(partition) <= until:
            self.look(partition)


class WalkSide:
    """`Walking` of the port, but what is about voids."""

    _engine: Engine
    _settled: Settled

    def known_epoch(self, topic_id: str) -> int | None:
        """See the port. Raises Unavailable."""
        return HeadDocument(self._engine).read().topics.get(topic_id)

    def event_places(self, after: EventPlace | None, most: int) -> list[EventPlace]:
        """See the port. Raises Unavailable."""
        found: list[EventPlace] = []
        for partition in self.event_partitions():
            if after is not None and partition < after.partition:
                continue
            behind = after.seq if after is not None and partition == after.partition else 0
            fields = ["seq", "position", "received_at_ms"]
            for source in self._walk(partition, behind, most - len(found), fields):
                place = Position(*source["position"])
                found.append(EventPlace(partition, source["seq"], place, source["received_at_ms"]))
            if len(found) == most:
                break
        return found

    def event_documents(self, partition: str, seqs: Sequence[int]) -> list[bytes]:
        """See the port. Raises Unavailable."""
        found = {seq: doc for _, seq, doc in numbered(self._engine, self._settled, partition, seqs)}
        return [found[seq].encode() for seq in seqs]

    def profiles_after(self, id: str, most: int) -> list[tuple[str, bytes]]:
        """See the port. Raises Unavailable."""
        if not id:
            self._engine.refresh(PROFILES)  # who begins sees what all others have written by now
        body: dict[str, Any] = {"query": ALIVE, "sort": [{"id": "asc"}], "_source": ["doc"], "size": most}
        if id:
            body["search_after"] = [id]
        hits = self._engine.hits(PROFILES, body)
        return [(hit["sort"][0], hit["_source"]["doc"].encode()) for hit in hits]

    def event_partitions(self) -> list[str]:
        """See the port. Raises Unavailable."""
        return sorted(HeadDocument(self._engine).read().months)

    def events_since(self, partition: str, seq: int, most: int) -> list[Owned]:
        """See the port. Raises Unavailable."""
        others = {"bool": {"must_not": {"term": {"source": SEGMENTS}}}}
        found = self._walk(partition, seq, most, ["seq", "id", "profile_id"], others)
        return [Owned(source["seq"], source["id"], source["profile_id"]) for source in found]

    def event_owners(self, partition: str, ids: Sequence[str]) -> dict[str, str]:
        """See the port. Raises Unavailable."""
        found = self._engine.many(events_index(partition), ids, ["profile_id", "gone"])
        return {id: one.source["profile_id"] for id, one in found.items() if is_there(one.source)}

    def claims_since(self, seq: int, most: int) -> list[Owned]:
        """See the port, and the module. Raises Unavailable."""
        self._engine.refresh(ROWS)
        body = {
            "query": {"bool": {"filter": [{"term": {"table": made.CLAIMS}}, ALIVE, {"range": {"seq": {"gt": seq}}}]}},
            "sort": [{"seq": "asc"}],
            "_source": ["seq", "key", "profile_id"],
            "size": most,
        }
        sources = [hit["_source"] for hit in self._engine.hits(ROWS, body)]
        return [Owned(source["seq"], source["key"], source["profile_id"]) for source in sources]

    def aliases_after(self, id: str, most: int) -> list[AliasRow]:
        """See the port. Raises Unavailable."""
        self._engine.refresh(PROFILES)
        body: dict[str, Any] = {
            "query": {"exists": {"field": "into"}},
            "sort": [{"merged": "asc"}],
            "_source": made.ALIAS,
            "size": most,
        }
        if id:
            body["search_after"] = [id]
        sources = [hit["_source"] for hit in self._engine.hits(PROFILES, body)]
        rows = {source["merged"]: made.row_id(made.MERGES, source["merge_id"]) for source in sources}
        merges = self._engine.many(ROWS, rows.values(), ["undone", "gone"])
        settled = {row for row, one in merges.items() if is_there(one.source) and not one.source["undone"]}
        return [AliasRow(source["merged"], source["into"], rows[source["merged"]] in settled) for source in sources]

    def _walk(
        self, partition: str, after: int, most: int, fields: list[str], *filters: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The next `most` events behind a number, in the order of these, with these fields."""
        before = self._settled.before(partition)
        found: list[dict[str, Any]] = []
        if after + 1 < before:
            found = numbers_between(self._engine, EventSpan(partition, after, before - 1), most, fields, *filters)
        if len(found) < most and (limit := self._settled.look(partition)) > before:
            behind = found[-1]["seq"] if found else after
            span = EventSpan(partition, behind, limit - 1)
            found += numbers_between(self._engine, span, most - len(found), fields, *filters)
        return found


def numbers_between(
    engine: Engine, span: EventSpan, most: int, fields: list[str], *filters: dict[str, Any]
) -> list[dict[str, Any]]:
    """The first `most` events of these numbers that match, by number, with these fields."""
    found: list[dict[str, Any]] = []
    after = span.after
    while len(found) < most:
        size = min(most - len(found), PAGE)
        body = {
            "query": {"bool": {"filter": [{"range": {"seq": {"gt": after, "lte": span.until}}}, ALIVE, *filters]}},
            "sort": [{"seq": "asc"}],
            "_source": fields,
            "size": size,
        }
        page = [hit["_source"] for hit in engine.hits(events_index(span.partition), body)]
        found += page
        if len(page) < size:
            break
        after = page[-1]["seq"]
    return found


def numbered(engine: Engine, settled: Settled, partition: str, numbers: Sequence[int]) -> list[tuple[str, int, str]]:
    """Those events of these running numbers that are there, by number: (id, number, document)."""
    if not numbers:
        return []
    settled.reach(partition, max(numbers))
    found: list[tuple[str, int, str]] = []
    ordered = sorted(numbers)
    for begin in range(0, len(ordered), PAGE):
        some = ordered[begin : begin + PAGE]
        body = {
            "query": {"bool": {"filter": [{"terms": {"seq": some}}, ALIVE]}},
            "sort": [{"seq": "asc"}],
            "_source": ["id", "seq", "doc"],
            "size": len(some),
        }
        sources = [hit["_source"] for hit in engine.hits(events_index(partition), body)]
        found += [(source["id"], source["seq"], source["doc"]) for source in sources]
    return found
