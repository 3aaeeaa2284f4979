"""What every store promises about who is who, and what SQLite does with a file from before."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.errors import Fenced
from hub.model import Alias, Ask, Batch, Claim, Claimed, Identity, MergeEntry, Outgoing, Position, Profile, Wanted
from hub.store import Store
from hub.store.sqlite import SqliteStore, beside, schema
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, profile, session


def identity(**what: Any) -> Identity:
    nothing: dict[str, Any] = {name: [] for name in ("restored", "taken", "merges", "forwarded", "outbox")}
    return Identity(**{**nothing, "aliases": {}, "uses": {}, "undone": {}, **what})


def of(*documents: Any, progress: dict[int, tuple[int, int]] | None = None, **what: Any) -> Batch:
    return msgspec.structs.replace(batch(*documents, progress=progress), identity=identity(**what))


def claim(identifier: str, profile_id: str) -> Claim:
    return Claim(identifier, "email", profile_id, f"event-{profile_id}", NOW_MS)


def entry(
    id: str,
    loser: str = "b",
    survivor: str = "a",
    version: int = 5,
    left: int = 1,
    took: Sequence[str] = (),
    held: Sequence[str] = (),
) -> MergeEntry:
    """Args: left: the loser's version in it. took, held: ids that were the loser's, and the survivor's, by then."""
    return MergeEntry(
        id=id,
        loser_id=loser,
        survivor_id=survivor,
        version=version,
        at_ms=NOW_MS,
        reason=b'{"kind":"request"}',
        loser=msgspec.json.encode({"id": loser, "ids": [loser, *took], "metadata": {"version": left}}),
        survivor=msgspec.json.encode({"id": survivor, "ids": [survivor, *held]}),
        changes=b'[{"field":"traits.x"}]',
    )


def outgoing(offset: int, place: int = 0, partition: int = 0, epoch: int = 1) -> Outgoing:
    return Outgoing(Position(epoch, partition, offset, place), b"a", f"{offset}/{place}".encode(), b"letter")


def test_who_was_asked_to_join_whom_is_kept_with_whether_that_was_answered(store: Store) -> None:
    assert store.asks(["k1"]) == {}
    store.write(of(asks=[Ask("k1", "b", "a"), Ask("k2", "c", "a")]))
    store.write(of(asks=[Ask("k1", "b", "a")], answered=["k1", "by-hand"]))
    assert store.asks(["k1", "k2", "by-hand"]) == {"k1": Ask("k1", "b", "a", is_done=True), "k2": Ask("k2", "c", "a")}


def test_an_identifier_goes_to_the_first_and_stays_there(store: Store) -> None:
    assert store.claim([claim("x", "b"), claim("x", "a"), claim("y", "a")]) == {
        "x": Claimed("b", 0),
        "y": Claimed("a", 0),
    }
    assert store.claim([claim("x", "c"), claim("z", "c")]) == {"x": Claimed("b", 0), "z": Claimed("c", 0)}
    store.write(of(uses={"x": 2, "nobody's": 7}))
    store.write(of(uses={"x": 3}))
    assert store.identifier_uses(["x", "y", "nobody's"]) == {"x": Claimed("b", 5), "y": Claimed("a", 0)}
    assert store.claim([]) == {}


def test_a_merged_profile_is_none_and_leads_to_its_survivor(store: Store) -> None:
    store.write(batch(profile("a"), profile("b"), profile("c")))
    ab, bc = Alias("a", 3, "m1"), Alias("b", 4, "m2")
    store.write(of(aliases={"b": ab}))
    store.write(of(aliases={"c": bc}))
    assert store.aliases(["a", "b", "c"]) == {"b": ab, "c": bc}
    assert [store.survivor(id) for id in "abcd"] == ["a", "a", "a", "d"]
    assert [store.get("profiles", id)["id"] for id in "abc"] == ["a"] * 3  # type: ignore[index]
    assert store.count("profiles", "") == 1
    known = store.known(Wanted(["a", "b", "d"], [], []))
    assert (set(known.profiles), known.aliases) == ({"a"}, {"b": ab})


def test_a_profile_lives_again_whatever_its_version_was(store: Store) -> None:
    store.write(batch(profile("a"), profile("b", 9)))
    store.write(of(aliases={"b": Alias("a", 9, "m1")}))
    store.write(of(profile("b", 2, city="Rome"), restored=["b"]))
    assert store.aliases(["b"]) == {}
    assert store.get("profiles", "b") == {"id": "b", "traits": {"city": "Rome"}}
    store.write(of(aliases={"b": Alias("a", 11, "m2")}))
    assert store.aliases(["b"]) == {"b": Alias("a", 11, "m2")}


def test_a_session_stays_with_the_profile_that_was_stored_with_it_first(store: Store) -> None:
    """Of two collectors that came with it at once, the second learns of it; the rest of its batch is kept."""
    assert store.write(batch(session("s1", 3, "a"), session("s2", 3, "a"), session("s3", 3, "b"))) == []
    late = batch(session("s1", 9, "b", page=2), session("s2", 2, "b"), session("s3", 4, "b"), event("e1"))
    assert sorted(store.write(late)) == ["s1", "s2"]
    found = store.known(Wanted([], ["s1", "s2", "s3"], [])).sessions
    assert [(found[id].profile_id, found[id].version) for id in ("s1", "s2", "s3")] == [("a", 3), ("a", 3), ("b", 4)]
    assert found["s1"].doc["context"] == {}
    assert store.count("events", "") == 1
    assert store.write(batch(session("s1", 3, "a"))) == []


def test_a_session_may_be_claimed_before_anything_is_written_to_it(store: Store) -> None:
    store.write(batch(session("s1", 3, "a", page=1)))
    found = store.claim_sessions([session("s1", -1, "b"), session("s2", -1, "b")])
    assert {id: (one.profile_id, one.version) for id, one in found.items()} == {"s1": ("a", 3), "s2": ("b", -1)}
    assert store.known(Wanted([], ["s1", "s2"], [])).sessions == found
    assert store.write(batch(session("s2", 4, "c"))) == ["s2"]
    assert store.write(batch(session("s2", 0, "b", page=2))) == []
    assert store.get("sessions", "s2")["context"] == {"page": 2}  # type: ignore[index]


def test_a_search_for_a_profile_finds_what_came_for_the_person(store: Store) -> None:
    """Whatever id the events and sessions lie under, and by whichever is asked for."""
    held = [event(f"e-{id}", profile_id=id, session_id=f"s-{id}") for id in "abcx"]
    store.write(batch(*held, *(profile(id) for id in "abcx"), *(session(f"s-{id}", 1, id) for id in "abcx")))
    ab, bc = Alias("a", 3, "m1"), Alias("b", 4, "m2")
    store.write(of(aliases={"b": ab, "c": bc}))
    # the data of c is still on its way to a
    on_its_way = Profile("a", 5, {"id": "a", "ids": ["a", "b"], "traits": {}})
    store.write(batch(on_its_way))
    assert store.count("events", "profile.id = c") == 3
    store.write(batch(msgspec.structs.replace(on_its_way, version=6, doc={"id": "a", "ids": ["a", "b", "c"]})))
    for id in "abc":
        found = store.search("events", f"profile.id = {id}", 10, None).items
        assert sorted(one["id"] for one in found) == ["e-a", "e-b", "e-c"]
        assert store.count("events", f"profile@id = {id} AND type = purchase") == 3
        assert store.count("sessions", f"profile = {id}") == 3
    assert store.count("events", "profile.id = c AND session.id = s-a") == 1
    assert [store.count("events", f"profile.id = {id}") for id in ("x", "nobody")] == [1, 0]
    first = store.search("events", "profile.id = c", 2, None)
    second = store.search("events", "profile.id = c", 2, first.next)
    assert len({one["id"] for one in first.items + second.items}) == 3
    assert second.next is None
    assert store.count("profiles", "id = c") == 0


def test_a_session_that_was_taken_begins_its_versions_anew(store: Store) -> None:
    store.write(batch(session("s1", 9, "b"), session("s2", 9, "b")))
    store.write(of(session("s1", 2, "a"), session("s2", 2, "a"), taken=["s1"]))
    found = store.known(Wanted([], ["s1", "s2"], [])).sessions
    assert [(found[id].profile_id, found[id].version) for id in ("s1", "s2")] == [("a", 2), ("b", 9)]


def test_what_is_to_be_sent_is_kept_until_the_next_batch_of_its_partition(store: Store) -> None:
    first, second, other = outgoing(3, 1), outgoing(3, 0), outgoing(3, 0, partition=1)
    store.write(of(progress={0: (0, 5), 1: (0, 5)}, outbox=[first, second, other]))
    assert store.outbox(1, [0, 1]) == [second, first, other]
    assert store.outbox(1, [1]) == [other]
    assert (store.outbox(2, [0]), store.outbox(1, [])) == ([], [])
    store.write(batch(progress={1: (5, 6)}))
    assert store.outbox(1, [0, 1]) == [second, first]
    store.write(of(progress={0: (5, 9)}, outbox=[outgoing(7)]))
    assert store.outbox(1, [0, 1]) == [outgoing(7)]


def test_records_and_merges_that_are_done_are_known(store: Store) -> None:
    store.write(of(forwarded=["1/0/7"], merges=[entry("m1")]))
    store.write(of(forwarded=["1/0/7"], merges=[entry("m1", version=99)]))
    known = store.known(Wanted([], [], [], ["1/0/7", "1/0/8"], ["m1", "m2"]))
    assert (known.forwarded, known.merges) == ({"1/0/7"}, {"m1"})


def test_the_journal_is_read_by_either_profile(store: Store) -> None:
    store.write(of(merges=[entry("m1"), entry("m2", "c", "b", 7)]))
    assert [row.id for row in store.merges(["b"])] == ["m1", "m2"]
    assert [row.id for row in store.merges(["a", "x"])] == ["m1"]
    assert store.merge("m2") == (("m2", "c", "b", 7, NOW_MS, {"kind": "request"}, [{"field": "traits.x"}], None))
    assert store.merge("none") is None
    store.write(of(undone={"m2": 77}))
    assert [row.undone_ms for row in store.merges(["b"])] == [None, 77]


def test_what_an_undo_needs(store: Store) -> None:
    """
    Events and merges after it, over all months; of the sessions that the survivor holds those of these events, and
    those that others have claimed.
    """
    later = [
        msgspec.structs.replace(event(id, time_ms=time_ms, profile_id=who, session_id=s), profile_version=version)
        for id, time_ms, who, s, version in [
            ("before", NOW_MS, "a", "s0", 5),
            ("after", NOW_MS, "a", "s1", 6),
            ("old", NOW_MS - MONTH_MS, "a", "s2", 7),
            ("other", NOW_MS, "z", "s1", 8),
        ]
    ]
    held = [
        msgspec.structs.replace(session(id, 1, who), doc={"id": id, "metadata": {"claimed_by": by} if by else {}})
        for id, who, by in [("s0", "a", ""), ("s1", "a", ""), ("s2", "z", ""), ("s3", "a", "b"), ("s4", "z", "b")]
    ]
    merges = [entry("m0", "x", "a", 4), entry("m1"), entry("m2", "c", "a", 7), entry("m3", "d", "a", 8)]
    store.write(of(*later, *held, merges=merges, undone={"m3": 1}))
    undo = store.undo("m1")
    assert undo is not None
    assert (undo.entry, undo.first, undo.merges) == (entry("m1"), entry("m1"), [entry("m2", "c", "a", 7)])
    assert undo.undone == [entry("m3", "d", "a", 8)]
    assert sorted(msgspec.json.decode(doc)["id"] for doc in undo.events) == ["after", "old"]
    assert sorted(undo.sessions) == ["s1", "s3"]
    assert store.undo("none") is None
    store.write(of(undone={"m1": 2}))
    assert store.undo("m1") is None


def test_an_undo_finds_what_came_while_the_survivor_was_part_of_others(store: Store) -> None:
    """
    b took c; then b was in a for a while, and with it in A: what was handed on to those is looked at, too. That a was
    in Z later on, without b, does not matter.
    """

    def came(id: str, host: str, version: int, sent_as: str | None) -> Any:
        one = event(id, profile_id=host)
        metadata = {} if sent_as is None else {"sent_as": sent_as}
        return msgspec.structs.replace(
            one, profile_version=version, doc=msgspec.json.encode({"id": id, "metadata": metadata})
        )

    merges = [
        entry("earlier", "b", "a", 2, left=3),
        entry("m1", "c", "b", 5),
        entry("m2", "b", "a", 900, left=7),
        entry("m3", "a", "A", 40, left=950, took=["b", "c"]),
        entry("m4", "a", "Z", 30, left=970),
    ]
    events = [
        came("own", "b", 6, None),
        came("before", "a", 800, "c"),
        came("in a", "a", 910, "c"),
        came("a's own", "a", 920, None),
        came("in A", "A", 41, "c"),
        came("too early for A", "A", 39, "c"),
        came("in Z", "Z", 31, "c"),
    ]
    store.write(of(*events, merges=merges, undone={"earlier": 1, "m2": 2, "m3": 2, "m4": 2}))
    undo = store.undo("m1")
    assert undo is not None
    assert undo.stays == [("a", 900, (7, 1)), ("A", 40, (7, 1, 950, 1))]
    assert sorted(msgspec.json.decode(doc)["id"] for doc in undo.events) == ["in A", "in a", "own"]


def test_an_undo_begins_before_all_who_are_told_apart_by_now(store: Store) -> None:
    """x, then b, then c came into a, and x went again: what a was before b came still holds x."""
    merges = [
        entry("first", "w", "a", 2),
        entry("came", "x", "a", 3, held=["w"]),
        entry("again", "y", "a", 4, held=["w", "x"]),
        entry("m1", "b", "a", 6, held=["w", "x", "y"]),
        entry("back", "x", "a", 8, held=["w", "b"]),
        entry("m2", "c", "a", 9, held=["w", "b", "x"]),
    ]
    events = [
        msgspec.structs.replace(event(id, profile_id="a"), profile_version=version)
        for id, version in [("before", 3), ("since", 4), ("since b", 7)]
    ]
    store.write(of(*events, merges=merges, undone={"came": 1, "again": 1}))
    undo, newest = store.undo("m1"), store.undo("m2")
    assert undo is not None
    assert newest is not None
    assert (undo.entry.id, undo.first) == ("m1", merges[1])
    assert [one.id for one in undo.merges] == ["back", "m2"]
    assert [one.id for one in undo.undone] == ["came", "again"]
    assert sorted(msgspec.json.decode(doc)["id"] for doc in undo.events) == ["since", "since b"]
    # x is in a again when c comes, and stays
    assert (newest.first.id, newest.merges, newest.undone) == ("m2", [], [])


def test_a_fenced_batch_leaves_nothing_of_identity(store: Store) -> None:
    store.claim([claim("x", "a")])
    store.write(of(profile("b"), progress={0: (0, 5)}, outbox=[outgoing(3)]))
    with pytest.raises(Fenced):
        store.write(
            of(
                progress={0: (4, 9)},
                aliases={"b": Alias("a", 1, "m")},
                uses={"x": 1},
                merges=[entry("m")],
                forwarded=["1/0/1"],
                outbox=[outgoing(8)],
            )
        )
    assert (store.aliases(["b"]), store.merges(["a", "b"])) == ({}, [])
    assert store.identifier_uses(["x"]) == {"x": Claimed("a", 0)}
    assert store.outbox(1, [0]) == [outgoing(3)]
    assert store.known(Wanted(["b"], [], [], ["1/0/1"])).forwarded == set()
    assert store.count("profiles", "") == 1


def test_a_file_from_before_identity_keeps_its_profiles_and_learns_to_merge(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    schema.migrate(connection, path, schema.MIGRATIONS[:3])
    rows = [(id, 3, f'{{"id":"{id}","traits":{{}}}}') for id in "ab"]
    connection.executemany("INSERT INTO profiles (id, version, doc) VALUES (?,?,?)", rows)
    connection.close()
    beside.upgrade(path, now_ms=lambda: NOW_MS)

    store = SqliteStore(path)
    assert store.count("profiles", "") == 2
    assert (store.outbox(1, [0]), store.aliases(["a", "b"])) == ([], {})
    assert store.claim([claim("x", "a")]) == {"x": Claimed("a", 0)}
    store.write(of(aliases={"b": Alias("a", 3, "m")}, merges=[entry("m")]))
    assert store.get("profiles", "b") == {"id": "a", "traits": {}}
    store.close()
