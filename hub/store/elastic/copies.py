"""Stored events that are copied into profiles, or get their index fields anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.conditions.python import compile_python
from hub.store.elastic.changes import is_there
from hub.store.elastic.client import Action, Engine
from hub.store.elastic.dsl import compile_dsl
from hub.store.elastic.facts import facts
from hub.store.elastic.indices import events_index
from hub.store.elastic.people import PeopleSide
from hub.store.elastic.rows import PAGE
from hub.store.elastic.walk import Settled, numbered, numbers_between
from hub.store.port import EventSpan, Removal
from hub.store.query import prepare
from hub.store.query.people import of_people
from hub.store.stays import is_theirs, way_of

_RECORD_MOST: Final = 4_096
"""Events behind a cut that are looked at for the end of the record: a payload has a thousand, and what they caused."""
_DOCUMENT: Final = ["doc", "profile_id", "received_at_ms", "profile_version", "gone"]


class CopySide(PeopleSide):
    """`Copies` of the port, but `event_partitions` and `promoted`; and `events_to_copy`."""

    _settled: Settled
    removals: Callable[[], list[Removal]]

    def events_to_copy(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """See the port. Raises Unavailable."""
        return documents_of(self._engine, keys, self.removals)

    def events_cut(self, partition: str, after: int, size: int) -> int:
        """See the port. Raises Unavailable."""
        before = self._settled.look(partition)
        rows = self._numbers(partition, after, before, size)
        if len(rows) < size:
            return int(rows[-1]["seq"]) if rows else 0
        until, record = rows[-1]["seq"], rows[-1]["position"][:3]
        for row in self._numbers(partition, until, before, _RECORD_MOST):
            if row["position"][:3] != record:
                break
            until = row["seq"]
        return int(until)

    def count_between(self, span: EventSpan, query: str, types: Sequence[str]) -> int:
        """See the port. Raises QueryError, Unavailable."""
        return sum(1 for _ in self._between(span, query, types, ["doc"]))

    def events_between(self, span: EventSpan, query: str, types: Sequence[str], most: int) -> list[tuple[int, bytes]]:
        """See the port. Raises QueryError, Unavailable."""
        found: list[tuple[int, bytes]] = []
        if most > 0:
            for source in self._between(span, query, types, ["doc"], most):
                found.append((source["seq"], source["doc"].encode()))
                if len(found) == most:
                    break
        return found

    def owners_between(self, span: EventSpan, query: str, types: Sequence[str]) -> list[tuple[str, int]]:
        """See the port. Raises QueryError, Unavailable."""
        found = self._between(span, query, types, ["doc", "profile_id"])
        return sorted((source["profile_id"], source["seq"]) for source in found)

    def events_at(self, partition: str, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        """See the port. Raises Unavailable."""
        return [(seq, doc.encode()) for _, seq, doc in numbered(self._engine, self._settled, partition, numbers)]

    def rewrite_events(self, partition: str, documents: Sequence[tuple[int, bytes, bytes]]) -> int:
        """See the port. Raises Unavailable: some of them may be written."""
        wanted = {seq: (old.decode(), new.decode()) for seq, old, new in documents}
        rows = numbered(self._engine, self._settled, partition, list(wanted))
        left = {id: wanted[seq] for id, seq, _ in rows}
        index, written = events_index(partition), 0
        while left:
            actions: list[Action] = []
            for id, found in self._engine.many(index, left).items():  # as they are, whatever the search has seen
                old, new = left[id]
                if is_there(found.source) and found.source["doc"] == old:
                    # `at` stays: it is still the same batch that has written the rest of it
                    source = {**found.source, "doc": new, "facts": facts(msgspec.json.decode(new), "events")}
                    actions.append(Action("index", index, id, source, if_=found))
            conflicts = {action.id for action in self._engine.bulk(actions)}
            written += len(actions) - len(conflicts)
            left = {id: one for id, one in left.items() if id in conflicts}
        return written

    def _numbers(self, partition: str, after: int, before: int, most: int) -> list[dict[str, Any]]:
        return numbers_between(self._engine, EventSpan(partition, after, before - 1), most, ["seq", "position"])

    def _between(
        self, span: EventSpan, query: str, types: Sequence[str], fields: list[str], most: int = PAGE
    ) -> Iterator[Mapping[str, Any]]:
        """Sources of those that match, by number, `seq` among them. Args: most: so many are read at once."""
        condition = of_people(prepare(query, "events"), self._ids_of)
        if not types:
            return
        self._settled.reach(span.partition, span.until)
        found, matches = compile_dsl(condition, "events"), compile_python(condition)
        # the engine says which it is certain of; of the others Python is asked
        sure = {"bool": {"filter": [found.sure], "_name": "sure"}}
        query_of = {"bool": {"filter": [found.maybe], "should": [sure]}}
        after, size = span.after, min(most, PAGE)
        while True:
            of_span = {"range": {"seq": {"gt": after, "lte": span.until}}}
            hits = self._engine.hits(
                events_index(span.partition),
                {
                    "query": {"bool": {"filter": [of_span, {"terms": {"type": list(types)}}], "must": [query_of]}},
                    "sort": [{"seq": "asc"}],
                    "_source": ["seq", "gone", *fields],
                    "size": size,
                },
            )
            for hit in hits:
                source = hit["_source"]
                if not is_there(source):
                    continue
                if "sure" in hit.get("matched_queries", ()) or matches(msgspec.json.decode(source["doc"])):
                    yield source
            if len(hits) < size:
                return
            after = hits[-1]["_source"]["seq"]


def documents_of(
    engine: Engine, keys: Sequence[tuple[str, str]], removals: Callable[[], Sequence[Removal]]
) -> dict[str, bytes]:
    """
    Documents of events that are there by id, without those that are to be removed and are there only because nobody has
    come to it.

    Args: keys: (time partition, id). removals: asked after they were read, so that nothing of before slips through.
    """
    names = {events_index(partition): _DOCUMENT for partition, _ in keys}
    found = engine.pick([(events_index(partition), id) for partition, id in keys], names)
    rows = {id: one.source for (_, id), one in found.items() if is_there(one.source)}
    void = removals() if rows else ()
    return {id: source["doc"].encode() for id, source in rows.items() if not any(_is_void(source, one) for one in void)}


def _is_void(source: Mapping[str, Any], removal: Removal) -> bool:
    owner = source["profile_id"]
    is_late = source["profile_version"] <= removal.person.ids.get(owner, -1)
    if source["received_at_ms"] > removal.until_ms and not is_late:
        return False
    return is_theirs(removal.person, owner, *way_of(msgspec.json.decode(source["doc"])))
