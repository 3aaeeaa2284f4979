"""What it takes to undo a merge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from hub.model import MergeEntry, Session, Stay, Undo
from hub.pipeline.documents import CLAIMED_BY
from hub.store.elastic import documents as made
from hub.store.elastic.client import Engine
from hub.store.elastic.indices import ALIVE, EVENTS, PROFILES, ROWS, SESSIONS
from hub.store.elastic.paging import Query, every, sources, term
from hub.store.port import MOST_LATER
from hub.store.stays import stays
from hub.store.told_apart import Row, beginning

_decode: Final = msgspec.json.Decoder().decode


def undo(engine: Engine, merge_id: str) -> Undo | None:
    """See the port. Raises Unavailable."""
    engine.refresh(f"{ROWS},{EVENTS},{SESSIONS}")
    entry = _read(engine, merge_id)
    if entry is None or entry[1]:
        return None
    merge = entry[0]
    into = term("survivor_id", merge.survivor_id)
    rows = [
        Row(source["key"], source["loser_id"], source["version"], source["undone"])
        for source in sources(
            every(engine, ROWS, [*_MERGES, into, {"range": {"version": {"lt": merge.version}}}], ["version", "seq"])
        )
    ]
    first = beginning(merge, rows, partial(_entry, engine))
    if first is None:
        return None
    later = entries(engine, [into, {"range": {"version": {"gte": first.version}}}], ["version", "seq"])
    merges, undone = (
        [one for one, is_over in later if is_over == is_undone and one.id != merge_id] for is_undone in (False, True)
    )
    away = stays(first, partial(_ended, engine))
    events = _later_events(engine, first, away)
    if events is None:
        return None
    ids = [merge.survivor_id, *parts_of(engine, merge.survivor_id)]
    named = {source["session_id"] for source in events}
    sessions: dict[str, Session] = {}
    for source in sources(every(engine, SESSIONS, [ALIVE, term("profile_id", ids)])):
        session = made.session_of(source["id"], source)
        is_named = session.profile_id == merge.survivor_id and session.id in named
        if is_named or CLAIMED_BY in session.doc.get("metadata", {}):
            sessions[session.id] = session
    copied = copied_events(engine, ids)
    return Undo(merge, first, merges, undone, [source["doc"].encode() for source in events], sessions, away, copied)


def entries(engine: Engine, query: Sequence[Query], sort: Sequence[str] = ("seq",)) -> list[tuple[MergeEntry, bool]]:
    """Merges of the journal that match, and whether each is undone. Raises Unavailable."""
    found = sources(every(engine, ROWS, [*_MERGES, *query], sort))
    return [(made.merge_of(source), source["undone"]) for source in found]


def parts_of(engine: Engine, id: str) -> list[str]:
    """The ids that a profile's document has. Raises Unavailable."""
    found = engine.many(PROFILES, [id], ["doc", "gone"]).get(id)
    if found is None or "doc" not in found.source:
        return []
    ids: list[str] = _decode(found.source["doc"]).get("ids") or []
    return ids


def copied_events(engine: Engine, ids: Sequence[str]) -> list[bytes]:
    """Documents of the events of these profiles that were copied into them after they were stored, in their order."""
    query = [ALIVE, term("copied", True), term("profile_id", [id for id in ids if id])]
    found = list(sources(every(engine, EVENTS, query, source=["partition", "seq", "doc"])))
    return [source["doc"].encode() for source in sorted(found, key=lambda one: (one["partition"], one["seq"]))]


_MERGES: Final[list[Query]] = [term("table", made.MERGES), ALIVE]


def _read(engine: Engine, id: str) -> tuple[MergeEntry, bool] | None:
    found = engine.get(ROWS, made.row_id(made.MERGES, id))
    if found is None or "gone" in found.source:
        return None
    return made.merge_of(found.source), found.source["undone"]


def _entry(engine: Engine, id: str) -> MergeEntry:
    found = _read(engine, id)
    assert found is not None, f"the merge {id} of the journal is gone"
    return found[0]


def _ended(engine: Engine, loser_id: str) -> list[MergeEntry]:
    return [entry for entry, _ in entries(engine, [term("loser_id", loser_id), term("undone", True)])]


def _later_events(engine: Engine, first: MergeEntry, away: Sequence[Stay]) -> list[dict[str, Any]] | None:
    """What came to the survivor after a merge: documents of the index; None when there is too much."""
    found: list[dict[str, Any]] = []
    since = {first.survivor_id: first.version}
    for stay in away:
        since[stay.host] = min(stay.since, since.get(stay.host, stay.since))
    for id, version in since.items():
        query = [ALIVE, term("profile_id", id), {"range": {"profile_version": {"gt": version}}}]
        for source in sources(every(engine, EVENTS, query if id else [], source=["session_id", "doc"])):
            # what came to a host for somebody else was handed on to it
            handed = id == first.survivor_id or _decode(source["doc"]).get("metadata", {}).get("sent_as") is not None
            if handed:
                found.append(dict(source))
            if len(found) > MOST_LATER:
                return None
    return found
