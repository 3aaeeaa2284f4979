"""Segments in the store: who is in them, who differs from their conditions, when time alone may change that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.conditions.ast import Condition
from hub.conditions.code import write_out_all
from hub.conditions.walk import settled
from hub.store.elastic import documents as made
from hub.store.elastic.asked import Asked
from hub.store.elastic.changes import is_there
from hub.store.elastic.client import Action
from hub.store.elastic.facts import facts
from hub.store.elastic.indices import ALIVE, EVENTS, PROFILES, ROWS
from hub.store.elastic.paging import Query, every, term
from hub.store.elastic.people import PeopleSide
from hub.store.elastic.rows import Table, between, equal
from hub.store.port import Differing, Removal, Rule
from hub.store.stays import is_theirs, way_of

SIZES: Final = "segment-sizes"
_PAGE: Final = 1_000
_decode: Final = msgspec.json.Decoder().decode


class SegmentSide(PeopleSide):
    """`Segments` of the port."""

    removals: Callable[[], list[Removal]]

    def due(self, until_ms: int, limit: int, after: tuple[int, str] = (-1, "")) -> list[tuple[str, int]]:
        """See the port. Raises Unavailable."""
        query = [ALIVE, {"range": {"due_ms": {"lte": until_ms}}}]
        found: list[tuple[str, int]] = []
        for hit in every(self._engine, PROFILES, query, ["due_ms", "id"], ["id"], size=min(limit, _PAGE), after=after):
            found.append((hit["sort"][1], hit["sort"][0]))
            if len(found) == limit:
                break
        return found

    def note_due(self, rows: Sequence[tuple[str, int]]) -> None:
        """See the port. Raises Unavailable."""
        left: dict[str, int] = {}
        for id, at_ms in rows:
            left[id] = min(at_ms, left.get(id, at_ms))
        while left:
            actions = []
            for id, found in self._engine.many(PROFILES, left).items():
                due_ms = found.source.get("due_ms") if is_there(found.source) else None
                if is_there(found.source) and (due_ms is None or left[id] < due_ms):
                    # `at` stays: it is still the same batch that has written the rest of it
                    source = {
                        **found.source,
                        "due_ms": left[id],
                        "facts": facts(_decode(found.source["doc"]), "profiles"),
                    }
                    actions.append(Action("index", PROFILES, id, source, if_=found))
            conflicts = {action.id for action in self._engine.bulk(actions)}
            left = {id: at_ms for id, at_ms in left.items() if id in conflicts}

    def differing(self, rules: Sequence[Rule], after: str, until: str, most: int, now_us: int) -> Differing:
        """See the port. Raises Unavailable."""
        holds = write_out_all(rule.condition for rule in rules)
        query = [ALIVE, {"range": {"id": {"lte": until}}}] if until else [ALIVE]
        rows: list[tuple[str, list[str]]] = []
        overdue: set[str] = set()
        last, looked = None, 0
        behind = [after] if after else None
        for hit in every(self._engine, PROFILES, query, ["id"], ["doc", "due_ms"], size=min(most, _PAGE), after=behind):
            last, looked = str(hit["sort"][0]), looked + 1
            document = _decode(hit["_source"]["doc"])
            within = document.get("segments") or ()
            answers = zip(rules, holds(document, now_us), strict=True)
            differs = [rule.segment for rule, is_met in answers if is_met != (rule.segment in within)]
            if differs:
                rows.append((last, differs))
                due_ms = hit["_source"].get("due_ms")
                if due_ms is not None and due_ms <= now_us // 1_000:
                    overdue.add(last)
            if looked == most:
                break
        return Differing(rows, last, looked, frozenset(overdue))

    def with_events(self, ids: Sequence[str], types: Sequence[str]) -> set[str]:
        """See the port. Raises Unavailable."""
        if not ids:
            return set()
        asked = list(ids)
        undone = [term("table", made.MERGES), ALIVE, term("undone", True), term("loser_id", asked)]
        found = {hit["_source"]["into"] for hit in every(self._engine, PROFILES, [term("into", asked)], ["merged"])}
        found |= {hit["_source"]["loser_id"] for hit in every(self._engine, ROWS, undone, source=["loser_id"])}
        whose = [ALIVE, term("profile_id", [id for id in asked if id]), term("type", list(types))]
        about = {"by": {"terms": {"field": "profile_id", "size": len(asked)}}}
        body = {"query": {"bool": {"filter": whose}}, "size": 0, "track_total_hits": False, "aggs": about}
        buckets = self._engine.search(EVENTS, body).get("aggregations", {}).get("by", {}).get("buckets", [])
        return found | {bucket["key"] for bucket in buckets}

    def history(self, id: str, types: Sequence[str]) -> list[bytes]:
        """See the port. Raises Unavailable."""
        self._engine.refresh(f"{PROFILES},{ROWS},{EVENTS}")  # whoever is judged by it is judged by all of it
        ids = self._parts(id)
        query = [ALIVE, term("profile_id", ids), term("type", list(types))]
        fields = ["profile_id", "received_at_ms", "profile_version", "time_ms", "seq", "doc"]
        rows = [hit["_source"] for hit in every(self._engine, EVENTS, query, ["seq"], fields)]
        void = self.removals() if rows else []
        kept = [row for row in rows if not any(_is_void(row, one) for one in void)]
        return [row["doc"].encode() for row in sorted(kept, key=lambda row: (row["time_ms"], row["seq"]))]

    def satisfying(self, condition: Condition, size: int, now_us: int) -> tuple[int, list[dict[str, Any]]]:
        """See the port. Raises Unavailable."""
        asked = Asked(self._engine, "profiles", settled(condition, now_us), self._ids_of)
        return asked.count(), [one.document for one in asked.newest(size)] if size else []

    def members(self, segment: str, size: int, before: int | None) -> tuple[list[dict[str, Any]], int | None]:
        """See the port. Raises Unavailable."""
        query: list[Query] = [ALIVE, term("segments", segment)]
        if before is not None:
            query.append({"range": {"seq": {"lt": before}}})
        body = {"query": {"bool": {"filter": query}}, "sort": [{"seq": "desc"}], "size": size + 1, "_source": ["doc"]}
        hits = self._engine.hits(PROFILES, body)
        documents = [_decode(hit["_source"]["doc"]) for hit in hits[:size]]
        return documents, hits[size - 1]["sort"][0] if len(hits) > size else None

    def segment_sizes(self) -> dict[str, int]:
        """See the port. Raises Unavailable."""
        about: dict[str, Any] = {"size": _PAGE, "sources": [{"segment": {"terms": {"field": "segments"}}}]}
        sizes: dict[str, int] = {}
        while True:
            body = {"query": ALIVE, "size": 0, "track_total_hits": False, "aggs": {"by": {"composite": about}}}
            found = self._engine.search(PROFILES, body)["aggregations"]["by"]
            sizes |= {bucket["key"]["segment"]: bucket["doc_count"] for bucket in found["buckets"]}
            if len(found["buckets"]) < _PAGE:
                return sizes
            about["after"] = found["after_key"]

    def keep_sizes(self, hour: int, sizes: Mapping[str, int], oldest: int) -> None:
        """See the port. Raises Unavailable."""
        table = Table(self._engine, SIZES)
        rows = {segment: {"id": segment, "number": hour, "members": members} for segment, members in sizes.items()}
        table.apply(table.creating(f"{segment}/{hour}", row) for segment, row in rows.items())
        old = table.every([between("number", lt=oldest)], ["number", "key"])
        table.apply([table.removing(row.key) for row in old])

    def kept_sizes(self, segment: str, since: int, until: int) -> list[tuple[int, int]]:
        """See the port. Raises Unavailable."""
        where = [equal("id", segment), between("number", gte=since, lt=until)]
        found = Table(self._engine, SIZES).every(where, ["number", "key"])
        return [(row.fields["number"], row.fields["members"]) for row in found]

    def _parts(self, id: str) -> list[str]:
        """A profile, all that were merged into it, and those that it was part of for a time."""
        found, new = {id}, {id}
        while new:
            asked = [one for one in new if one]
            more = {
                hit["_source"]["merged"] for hit in every(self._engine, PROFILES, [term("into", asked)], ["merged"])
            }
            new = (more | set(self._hosts(asked))) - found
            found |= new
        return [one for one in found if one]

    def _hosts(self, ids: Sequence[str]) -> Iterator[str]:
        query = [term("table", made.MERGES), ALIVE, term("undone", True), term("loser_id", list(ids))]
        for hit in every(self._engine, ROWS, query, source=["survivor_id"]):
            yield hit["_source"]["survivor_id"]


def _is_void(row: Mapping[str, Any], removal: Removal) -> bool:
    """Whether an event is to be removed, and is there only because nobody has come to it."""
    is_late = row["profile_version"] <= removal.person.ids.get(row["profile_id"], -1)
    if row["received_at_ms"] > removal.until_ms and not is_late:
        return False
    return is_theirs(removal.person, row["profile_id"], *way_of(_decode(row["doc"])))
