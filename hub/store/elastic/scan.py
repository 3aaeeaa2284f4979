"""What agents ask of the store: profiles and sessions by id, in slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from hub.conditions.ast import And, Compare, Condition, Constant, Field, Moment, Not
from hub.store.elastic import documents as made
from hub.store.elastic.asked import Asked
from hub.store.elastic.indices import ALIVE, EVENTS, PROFILES, SESSIONS
from hub.store.elastic.paging import Query, every, term
from hub.store.elastic.people import PeopleSide
from hub.store.port import Cut, IdleSession, Scope, check_size, ended_ms
from hub.store.query import prepare

_AT_ONCE: Final = 5_000
_END: Final = Field(("metadata", "time", "end"))
_IS_ENDED: Final = Compare(Field(("metadata", "status")), "=", Constant("ended", "ended"))


class ScanSide(PeopleSide):
    """`Scanning` of the port."""

    def next_cut(self, scope: Scope, after: str, size: int, query: str = "") -> Cut:
        """See the port. Raises QueryError, Unavailable."""
        condition = prepare(query, "profiles") if query else And(())
        if not after:
            self._engine.refresh(PROFILES if scope == "profiles" else SESSIONS)  # see profiles_after
        found = self._slice(scope, condition, after, "").ids(size)
        return Cut(found[-1], size) if len(found) == size else Cut("", len(found))

    def profile_ids(self, query: str, after: str, until: str, most: int) -> list[str]:
        """See the port. Raises QueryError, Unavailable."""
        check_size(most)
        return self._slice("profiles", prepare(query, "profiles"), after, until).ids(most)

    def active(self, ids: Sequence[str], event_type: str, since_ms: int) -> set[str]:
        """See the port. Raises Unavailable."""
        whose: dict[str, set[str]] = {id: {id} for id in ids if id}
        new = whose
        while new:
            parts: dict[str, set[str]] = {}
            for alias in self._into(list(new)):
                for id in new[alias[1]] - whose.get(alias[0], set()):
                    parts.setdefault(alias[0], set()).add(id)
            for id, owners in parts.items():
                whose.setdefault(id, set()).update(owners)
            new = parts
        found: set[str] = set()
        query = [ALIVE, term("type", event_type), {"range": {"time_ms": {"gte": since_ms}}}]
        for some in _parts(list(whose)):
            about = {"terms": {"field": "profile_id", "size": len(some)}}
            for bucket in self._buckets([*query, term("profile_id", some)], about):
                found |= whose.get(bucket["key"], set())
        return found

    def idle_sessions(self, after: str, until: str, since_ms: int, before_ms: int, most: int) -> list[IdleSession]:
        """See the port. Raises Unavailable."""
        check_size(most)
        idle = And(
            (
                Compare(_END, ">=", Moment(since_ms * 1_000)),
                Compare(_END, "<", Moment(before_ms * 1_000)),
                Not(_IS_ENDED, or_unknown=True),
            )
        )
        asked = self._slice("sessions", idle, after, until, {"bool": {"must_not": [term("profile_id", "")]}})
        found = asked.oldest(most, fields=("doc", "profile_id"))
        ends = {one.document["id"]: ended_ms(one.document["metadata"]["time"]["end"]) for one in found}
        sources = dict(self._sources(ends))
        return [
            IdleSession(id, one.fields["profile_id"], ends[id], sources.get(id, ""))
            for one in found
            if (id := one.document["id"])
        ]

    def _slice(self, scope: Scope, condition: Condition, after: str, until: str, *more: Query) -> Asked:
        limits = {"gt": after, **({"lte": until} if until else {})}
        within = {"range": {"id": limits}}
        return Asked(self._engine, scope, condition, self._ids_of, more=[within, *more], order=["id"])

    def _into(self, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Profiles that were merged into these, and into which."""
        for some in _parts(ids):
            hits = every(self._engine, PROFILES, [term("into", some)], ["merged"], made.ALIAS)
            yield from ((hit["_source"]["merged"], hit["_source"]["into"]) for hit in hits)

    def _sources(self, ends: dict[str, int]) -> Iterator[tuple[str, str]]:
        """By session, what its last event came from, but for the hub's own. Args: ends: when that was."""
        if not ends:
            return
        last = {"size": 1, "sort": [{"time_ms": "desc"}, {"seq": "desc"}], "_source": ["source", "time_ms"]}
        query = [
            ALIVE,
            term("session_id", list(ends)),
            {"range": {"time_ms": {"gte": min(ends.values())}}},
            {"bool": {"must_not": [{"prefix": {"source": "@"}}]}},
        ]
        for bucket in self._buckets(
            query, {"terms": {"field": "session_id", "size": len(ends)}}, {"last": {"top_hits": last}}
        ):
            (hit,) = bucket["last"]["hits"]["hits"]
            if hit["_source"]["time_ms"] >= ends[bucket["key"]]:
                yield bucket["key"], hit["_source"]["source"]

    def _buckets(self, query: list[Query], about: dict[str, Any], more: dict[str, Any] | None = None) -> list[Any]:
        by = {**about, **({"aggs": more} if more is not None else {})}
        body = {"query": {"bool": {"filter": query}}, "size": 0, "track_total_hits": False, "aggs": {"by": by}}
        found = self._engine.search(EVENTS, body)
        buckets: list[Any] = found.get("aggregations", {}).get("by", {}).get("buckets", [])
        return buckets


def _parts(ids: Sequence[str]) -> Iterator[list[str]]:
    for begin in range(0, len(ids), _AT_ONCE):
        yield list(ids[begin : begin + _AT_ONCE])
