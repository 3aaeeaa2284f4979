"""
What somebody has asked for, as a batch has it: what is void, who is erased.

Such a batch is alone: all others have their documents, so that what is looked for here is found, and none begins before
this one is over. Doing it again finds what is left, and counts what was removed by what it has left: `cause`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.model import FOREVER_MS, Batch, Person, Privacy, Void
from hub.store.elastic import documents as made
from hub.store.elastic.changes import Change, WholeError, is_done, is_there
from hub.store.elastic.client import Engine
from hub.store.elastic.documents import Fields
from hub.store.elastic.facts import facts
from hub.store.elastic.flow_runs import erase_runs
from hub.store.elastic.indices import PROFILES, ROWS, SESSIONS
from hub.store.elastic.paging import every, sources, term
from hub.store.elastic.tasks import forget_samples
from hub.store.forgotten import forgotten, joinable

VOIDS: Final = "voids"
ORDERS: Final = "orders"

_decode: Final = msgspec.json.Decoder().decode
Run = Callable[[Sequence[Change]], object]


def carry_out(engine: Engine, run: Run, batch: Batch, at: int, seq: int) -> None:
    """
    All of a batch that is about privacy, after everything else in it.

    Args: run: makes changes. at: number of the batch. seq: running number of the order.

    Raises: Unavailable: some of it may be done.
    """
    order = batch.privacy
    is_new = order is not None and engine.get(ROWS, made.row_id(ORDERS, order.id)) is None
    run(void_changes([*batch.voids, *(order.voids if order is not None and is_new else ())], at))
    if order is None or not is_new:
        return
    counts: dict[str, int] = {}
    if order.kind == "lift":
        _lift(engine, run, order, at)
    elif order.kind == "erase":
        counts = _erase(engine, run, order, at)
    run([Change(ROWS, made.row_id(ORDERS, order.id), _order(order, counts, at, seq))])


def void_changes(voids: Iterable[Void], at: int | None) -> list[Change]:
    """
    That these are void: of two that begin alike the longer one counts.

    Args: at: number of the batch; None: they are of none.
    """
    longest: dict[tuple[str, int], Void] = {}
    for void in voids:
        kept = longest.setdefault((void.mark, void.since_ms), void)
        longest[void.mark, void.since_ms] = kept._replace(until_ms=max(kept.until_ms, void.until_ms))
    return [Change(ROWS, made.row_id(VOIDS, *key), _void(void, at)) for key, void in longest.items()]


def _void(void: Void, at: int | None) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        if at is not None and is_done(old, at):
            return None
        kept = old if old is not None else {"table": VOIDS, "at": 0, **void._asdict()}
        written = kept["at"] if at is None else at
        return {**kept, "at": written, "until_ms": max(kept["until_ms"], void.until_ms)}

    return of


def _lift(engine: Engine, run: Run, order: Privacy, at: int) -> None:
    engine.refresh(ROWS)
    lasting = [term("table", VOIDS), term("until_ms", FOREVER_MS)]
    sort = ["mark", "since_ms"]
    causes = {row["cause"] for row in _rows(engine, [*lasting, term("mark", list(order.marks))], sort)}
    rows = list(_rows(engine, [*lasting, term("cause", sorted(causes))], sort))

    def lifted(old: Fields | None) -> Fields | None:
        if old is None or is_done(old, at) or old["until_ms"] != FOREVER_MS:
            return None
        return {**old, "at": at, "until_ms": max(old["since_ms"], order.at_ms)}

    # those that tell which others there are last: whoever does this again has to find them
    for is_named in (False, True):
        some = [row for row in rows if (row["mark"] in order.marks) == is_named]
        run([Change(ROWS, made.row_id(VOIDS, row["mark"], row["since_ms"]), lifted) for row in some])


def _order(order: Privacy, counts: Mapping[str, int], at: int, seq: int) -> Callable[[Fields | None], Fields | None]:
    is_open = order.kind == "erase"
    source = {
        "table": ORDERS,
        "key": order.id,
        "seq": seq,
        "at": at,
        "kind": order.kind,
        "mark": order.mark,
        "at_ms": order.at_ms,
        "reason": order.reason,
        "is_suppressed": order.is_suppressed,
        "until_ms": max((void.until_ms for void in order.voids if not void.since_ms), default=0),
        "done_ms": None if is_open else order.at_ms,
        "removed": dict(counts),
        "person": msgspec.json.encode(order.person).decode() if is_open else None,
        "open": is_open,
    }
    return lambda old: None if old is not None else source


def _erase(engine: Engine, run: Run, order: Privacy, at: int) -> dict[str, int]:
    """All of the person at once but what there may be much of. Returns how many of what."""
    engine.refresh(f"{PROFILES},{SESSIONS},{ROWS}")
    person = order.person
    ids = list(person.ids)
    erase = _Erasing(order, at)
    changes = [Change(PROFILES, id, erase.profile) for id in ids]
    held = every(engine, SESSIONS, [term("profile_id", ids)], source=["id"])
    changes += [Change(SESSIONS, source["id"], erase.session) for source in sources(held)]
    claims = {row["key"] for row in _rows(engine, [term("table", made.CLAIMS), term("profile_id", ids)])}
    names = dict.fromkeys((*claims, *person.identifiers, *order.shared))
    changes += [Change(ROWS, made.row_id(made.CLAIMS, name), erase.claim) for name in names]
    changes += [Change(ROWS, made.row_id(made.MERGES, id), erase.merge) for id in _merges(engine, person)]
    for side in ("asked", "asker"):
        asks = _rows(engine, [term("table", made.ASKS), term(side, ids)], [side, "key"])
        changes += [Change(ROWS, made.row_id(made.ASKS, row["key"]), erase.ask) for row in asks]
    changes += [Change(PROFILES, id, erase.host) for id in _hosts(engine, person)]
    run(list({change[:2]: change for change in changes}.values()))
    runs = erase_runs(engine, person)
    forget_samples(engine)
    engine.refresh(f"{SESSIONS},{ROWS}")
    cause = term("cause", order.id)
    was = [one.source.get("was", ()) for one in engine.many(PROFILES, ids).values()]
    return {
        "profiles": sum("profile" in one for one in was),
        "sessions": engine.count(SESSIONS, cause),
        "identifiers": engine.count(ROWS, {"bool": {"filter": [term("table", made.CLAIMS), cause]}}),
        "aliases": sum("alias" in one for one in was),
        "merges": engine.count(ROWS, {"bool": {"filter": [term("table", made.MERGES), cause]}}),
        "flow_runs": runs,
        "events": 0,
        "dead_letters": 0,
        "records_to_send": 0,
    }


class _Erasing:
    """What becomes of each document."""

    def __init__(self, order: Privacy, at: int) -> None:
        self._person = order.person
        self._shared = frozenset(order.shared)
        self._id = order.id
        self._at = at

    def profile(self, old: Fields | None) -> Fields | None:
        if old is None or is_done(old, self._at):
            return None
        was = [name for name, is_so in (("profile", is_there(old)), ("alias", "into" in old)) if is_so]
        return {**self._gone(), "was": was} if was else None

    def session(self, old: Fields | None) -> Fields | None:
        if old is None or is_done(old, self._at) or not is_there(old) or old["profile_id"] not in self._person.ids:
            return None
        return self._gone()

    def claim(self, old: Fields | None) -> Fields | None:
        if old is None or is_done(old, self._at) or not is_there(old) or not old["profile_id"]:
            return None
        if old["key"] in self._shared:
            return {**old, "at": self._at, "profile_id": "", "event_id": ""}
        return {**self._gone(), "table": made.CLAIMS}

    def merge(self, old: Fields | None) -> Fields | None:
        if old is None or is_done(old, self._at) or not is_there(old):
            return None
        entry = made.merge_of(old)
        ids = self._person.ids
        if not old["undone"] and (entry.survivor_id in ids or entry.loser_id in ids):
            return {**self._gone(), "table": made.MERGES}
        left = forgotten(entry, ids)
        if left is entry:
            return None
        if left is None:
            return {**self._gone(), "table": made.MERGES}
        kept = made.merge_source(left, old["seq"], self._at)
        return {**kept, "undone": old["undone"], "undone_ms": old["undone_ms"], "cause": self._id}

    def ask(self, old: Fields | None) -> Fields | None:
        if old is None or is_done(old, self._at) or not is_there(old):
            return None
        asked, asker = ("" if old[side] in self._person.ids else old[side] for side in ("asked", "asker"))
        if (asked, asker) == (old["asked"], old["asker"]):
            return None
        return {**old, "at": self._at, "asked": asked, "asker": asker, "cause": self._id}

    def host(self, old: Fields | None) -> Fields | None:
        """Who they were part of does not know of them any more."""
        if old is None or is_done(old, self._at) or not is_there(old):
            return None
        if "doc" not in old:
            raise WholeError
        document = joinable(_decode(old["doc"]), self._person.ids)
        if document is None:
            return None
        doc = msgspec.json.encode(document).decode()
        return {**old, "at": self._at, "facts": facts(document, "profiles"), "doc": doc}

    def _gone(self) -> Fields:
        return {"gone": True, "at": self._at, "cause": self._id}


def _merges(engine: Engine, person: Person) -> Iterator[str]:
    either = [term(side, [*person.ids, *person.hosts]) for side in ("survivor_id", "loser_id")]
    query = [term("table", made.MERGES), {"bool": {"should": either, "minimum_should_match": 1}}]
    return (row["key"] for row in _rows(engine, query))


def _hosts(engine: Engine, person: Person) -> list[str]:
    """The profiles that those are part of now that they were part of once."""
    found: dict[str, None] = {}
    for host in person.hosts:
        id = host
        while (at := engine.many(PROFILES, [id], ["into"]).get(id)) is not None and "into" in at.source:
            id = at.source["into"]
        found[id] = None
    return [id for id in found if id not in person.ids]


def _rows(
    engine: Engine, query: Sequence[dict[str, Any]], sort: Sequence[str] = ("seq",)
) -> Iterator[Mapping[str, Any]]:
    return sources(every(engine, ROWS, query, sort))
