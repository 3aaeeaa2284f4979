"""What every store promises about people who want to be erased, and about events that are too old."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hub.errors import Fenced
from hub.model import DAY_MS, FOREVER_MS, Alias, Ask, Claim, Person, Privacy, Void, partition_of
from hub.store import Store
from hub.store.port import Expired, Looked, Passed, Removal
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, letter, profile, session
from tests.contracts.test_store_identity import entry, identity

ANN = Person({"ann": 9, "bob": 3}, ["s1"], {"x": ("email", 1)})


def privacy(id: str, kind: Any = "erase", **what: Any) -> Privacy:
    nothing: dict[str, Any] = {"shared": [], "voids": [], "marks": [], "person": Person(), "is_suppressed": False}
    return Privacy(**{**nothing, "id": id, "kind": kind, "mark": "m", "at_ms": NOW_MS, "reason": "why", **what})


def ordered(order: Privacy) -> Any:
    return msgspec.structs.replace(batch(), privacy=order)


def erasure(id: str, **what: Any) -> Any:
    return ordered(privacy(id, voids=[Void("m", 0, NOW_MS, id)], person=ANN, **what))


def later(one: Any) -> Any:
    """An event received after all others, by a record that came later."""
    return msgspec.structs.replace(one, received_at_ms=NOW_MS + 5, profile_version=99)


def removed_in_steps(store: Store, removal: Removal, most: int) -> list[int]:
    """How many events went with each look at so many."""
    steps: list[int] = []
    after: Looked | None = None
    while True:
        removed, after = store.remove_events(removal, after, most)
        if after is None:
            return steps
        steps.append(removed)


def ids(store: Store, kind: Any = "events") -> list[str]:
    return sorted(one["id"] for one in store.search(kind, "", 100, None).items)


def test_what_is_void_is_told_by_mark(store: Store) -> None:
    assert (store.voiding(), store.voids(["a", "b"])) == ((0, 0), {})
    first, longer, other = Void("a", 0, 5, "o1"), Void("a", 0, 9, "o2"), Void("a", 7, FOREVER_MS, "o2")
    store.write(ordered(privacy("o1", voids=[first])))
    assert store.voids(["a", "b"]) == {"a": [first]}
    before = store.voiding()
    store.write(ordered(privacy("o2", voids=[longer, other])))
    assert [(void.since_ms, void.until_ms) for void in store.voids(["a"])["a"]] == [(0, 9), (7, FOREVER_MS)]
    assert store.voiding() != before
    store.write(msgspec.structs.replace(batch(), voids=[Void("c", 3, FOREVER_MS, "o2")]))
    store.write(ordered(privacy("o3", "lift", at_ms=12, marks=["a"])))
    assert store.voids(["a", "c"]) == {
        "a": [Void("a", 0, 9, "o1"), Void("a", 7, 12, "o2")],
        "c": [Void("c", 3, 12, "o2")],
    }
    assert store.voids_after(("", -1), 2) == [Void("a", 0, 9, "o1"), Void("a", 7, 12, "o2")]
    assert store.voids_after(("a", 7), 2) == [Void("c", 3, 12, "o2")]


def test_an_order_is_carried_out_once(store: Store) -> None:
    store.write(batch(profile("ann")))
    assert not store.has_order("o1")
    store.write(erasure("o1"))
    assert store.has_order("o1")
    store.write(batch(profile("ann", 20)))
    store.write(erasure("o1"))
    assert ids(store, "profiles") == ["ann"]
    row = store.order("o1")
    assert row is not None
    assert (row.kind, row.mark, row.reason, row.until_ms, row.done_ms) == ("erase", "m", "why", NOW_MS, None)
    store.write(ordered(privacy("o2", "suppress", is_suppressed=True)))
    assert [row.id for row in store.orders(9, None)] == ["o2", "o1"]
    assert [row.id for row in store.orders(9, row.seq)] == []
    assert store.order("o3") is None


def test_who_is_erased_is_gone_at_once_and_their_events_in_steps(store: Store) -> None:
    """Nothing of others, and nothing that came later, whatever it is called."""
    own = [event(f"e{n}", profile_id="ann" if n % 2 else "bob", time_ms=NOW_MS - n * MONTH_MS // 3) for n in range(7)]
    others = [event("o1", profile_id="dan"), event("o2", profile_id="", session_id="s9")]
    store.claim([Claim("x", "email", "bob", "e0", NOW_MS), Claim("y", "email", "dan", "o1", NOW_MS)])
    store.write(
        batch(
            *own,
            *others,
            event("n1", profile_id="", session_id="s1"),
            profile("ann"),
            profile("dan"),
            session("s1", 3, "ann"),
            session("s2", 3, "dan"),
        )
    )
    person = store.person("ann")
    assert (person.ids, person.sessions, person.identifiers) == ({"ann": -1}, ["s1"], {})
    store.write(erasure("o1"))
    assert (ids(store, "profiles"), ids(store, "sessions")) == (["dan"], ["s2"])
    assert set(store.identifier_uses(["x", "y"])) == {"y"}
    store.write(batch(later(event("l1", profile_id="ann", session_id="s1"))))
    (removal,) = store.removals()
    assert (removal.id, removal.person, removal.until_ms) == ("o1", ANN, NOW_MS)
    begun = store.removed()
    assert (begun.events, begun.is_going_on) == (0, True)
    steps = removed_in_steps(store, removal, 3)
    assert max(steps) <= 3
    assert sum(steps) == 8
    assert ids(store) == ["l1", "o1", "o2"]
    assert store.books(0, 1, count_events=True).stored_events == 11  # as many as were ever stored
    store.end_removal(removal, NOW_MS + 7)
    row = store.order("o1")
    assert row is not None
    assert (row.removed["events"], row.removed["profiles"], row.done_ms) == (8, 1, NOW_MS + 7)
    assert (store.removed().events, store.removed().is_going_on) == (8, False)
    assert store.removed().number > begun.number
    assert store.removals() == []


def test_who_has_very_many_sessions_goes_too(store: Store) -> None:
    """More than a search engine takes in one clause."""
    ways = [("n1", "s0"), ("n2", "s69999"), ("n3", "of-another")]
    store.write(batch(*(event(id, profile_id="", session_id=session) for id, session in ways)))
    person = Person({"ann": 9}, [f"s{n}" for n in range(70_000)], {})
    store.write(ordered(privacy("o1", voids=[Void("m", 0, NOW_MS, "o1")], person=person)))
    (removal,) = store.removals()
    assert sum(removed_in_steps(store, removal, 10)) == 2
    assert ids(store) == ["n3"]


def test_a_person_has_what_is_on_its_way_to_them(store: Store) -> None:
    """When the newest event was received of a profile whose data has not come; it is in its own events until then."""
    store.write(batch(msgspec.structs.replace(later(event("e1", profile_id="bob")), profile_version=7), profile("ann")))
    store.write(msgspec.structs.replace(batch(), identity=identity(aliases={"bob": Alias("ann", 7, "m1")})))
    later_ms = later(event("e1")).received_at_ms
    assert (store.person("ann").ids, store.person("ann").latest_ms) == ({"ann": -1, "bob": 7}, later_ms)
    store.write(msgspec.structs.replace(batch(), identity=identity(merges=[entry("m1", "bob", "ann")])))
    assert store.person("ann").latest_ms == 0


def test_who_is_erased_is_in_no_merge_under_way(store: Store) -> None:
    asks = [Ask("k1", "bob", "dan"), Ask("k2", "dan", "ann"), Ask("k3", "dan", "eve")]
    store.write(msgspec.structs.replace(batch(), identity=identity(asks=asks)))
    store.write(erasure("o1"))
    assert store.asks(["k1", "k2", "k3"]) == {
        "k1": Ask("k1", "", "dan", "o1"),
        "k2": Ask("k2", "dan", "", "o1"),
        "k3": Ask("k3", "dan", "eve"),
    }


def test_who_is_erased_while_another_reads_what_it_was_asked_is_not_overlooked(store: Store) -> None:
    """Nothing of that batch is written: whoever reads it again sees the erasure."""
    store.write(msgspec.structs.replace(batch(), identity=identity(asks=[Ask("k1", "dan", "ann")])))
    store.write(erasure("o1"))
    with pytest.raises(Fenced, match="erased"):
        store.write(msgspec.structs.replace(batch(profile("dan")), identity=identity(answered=["k1"])))
    assert ids(store, "profiles") == []
    assert store.asks(["k1"]) == {"k1": Ask("k1", "dan", "", "o1")}


def told_apart(*, of: Any = ()) -> Any:
    """Ann was part of adam, and adam of abe; both merges are undone. Bea came to adam meanwhile, and is there yet."""
    return msgspec.structs.replace(
        batch(
            msgspec.structs.replace(profile("adam"), doc={"id": "adam", "metadata": {"identifiers": {"z": []}}}),
            msgspec.structs.replace(profile("ann"), doc={"id": "ann", "metadata": {"identifiers": {"y": [], "z": []}}}),
            profile("abe"),
            *of,
        ),
        identity=identity(
            merges=[
                entry("m1", "ann", "adam", 4, left=3),
                entry("m2", "bea", "adam", 5, held=["ann"]),
                entry("m3", "adam", "abe", 7, left=6, took=["ann"]),
                entry("m4", "eve", "abe", 8, held=["adam", "ann"]),
                entry("m5", "kim", "abe", 3),
            ],
            undone={"m1": NOW_MS, "m3": NOW_MS},
        ),
    )


def handed(id: str, to: str, sent_as: str, way: str = "alias", session_id: str = "") -> Any:
    """An event that lies under another profile than it was sent with."""
    one = event(id, profile_id=to, session_id=session_id)
    doc = {**msgspec.json.decode(one.doc), "metadata": {"sent_as": sent_as, "forwarded_for": way}}
    return msgspec.structs.replace(one, doc=msgspec.json.encode(doc))


def test_a_person_knows_where_they_were(store: Store) -> None:
    """And what is held there that came with them alone."""
    names = ("x", "ann"), ("y", "adam"), ("z", "adam"), ("w", "abe")
    store.claim([Claim(name, "email", holder, "e", NOW_MS) for name, holder in names])
    store.write(told_apart())
    person = store.person("ann")
    assert (set(person.ids), set(person.hosts)) == ({"ann"}, {"adam", "abe"})
    assert set(person.identifiers) == {"x", "y"}
    assert (set(store.person("adam").ids), store.person("adam").hosts) == ({"adam"}, ["abe"])
    assert store.person("abe").hosts == []
    store.write(ordered(privacy("o1", voids=[Void("m", 0, NOW_MS, "o1")], person=person)))
    assert set(store.identifier_uses(["w", "x", "y", "z"])) == {"w", "z"}


def test_the_journal_keeps_nothing_of_who_is_erased(store: Store) -> None:
    """Whoever came to who they were part of can be told apart from that no more, as nobody knows what it was then."""
    store.write(told_apart())
    for merge in ("m2", "m4", "m5"):
        assert store.undo(merge) is not None
    person = store.person("ann")
    store.write(ordered(privacy("o1", voids=[Void("m", 0, NOW_MS, "o1")], person=person)))
    assert (store.undo("m2"), store.undo("m4")) == (None, None)
    assert store.undo("m5") is not None
    rows = store.merges(["ann", "adam", "abe"])
    assert {row.id: row.changes for row in rows} == {
        "m2": [],
        "m3": [],
        "m4": [],
        "m5": [{"field": "traits.x"}],
    }
    order = store.order("o1")
    assert order is not None
    assert order.removed["merges"] == 4


def test_what_came_for_others_stays_where_it_lies(store: Store) -> None:
    """Of two who were told apart: the events of one lie under the other, and those under a third."""
    own = [
        handed("a1", "adam", "ann"),
        handed("a2", "abe", "ann"),
        handed("a3", "abe", "eve", "session", "s1"),
        event("a4", profile_id="ann", session_id=""),
    ]
    others = [
        event("o1", profile_id="adam", session_id=""),
        handed("o2", "abe", "adam"),
        handed("o3", "abe", "ann", "session", "s2"),
        handed("o4", "ann", "eve"),
    ]
    store.write(told_apart(of=[*own, *others, session("s1", 3, "ann"), session("s2", 3, "abe")]))
    store.write(ordered(privacy("o1", voids=[Void("m", 0, NOW_MS, "o1")], person=store.person("ann"))))
    (removal,) = store.removals()
    assert sum(removed_in_steps(store, removal, 2)) == len(own)
    assert ids(store) == ["o1", "o2", "o3", "o4"]
    assert sum(removed_in_steps(store, removal, 2)) == 0


def test_an_event_of_an_edge_whose_clock_is_ahead_goes_too(store: Store) -> None:
    ahead = msgspec.structs.replace(event("e1", profile_id="ann"), received_at_ms=NOW_MS + 50)
    store.write(batch(ahead))
    store.write(erasure("o1"))
    (removal,) = store.removals()
    assert removed_in_steps(store, removal, 9) == [1]
    assert store.voids(["m"])["m"][0].until_ms == NOW_MS + 50


def test_letters_go_with_their_bodies(store: Store) -> None:
    shared, own = store.put_blob(b"shared" * 99), store.put_blob(b"own" * 99)
    letters = [
        msgspec.structs.replace(letter(id), body=b"", body_sha256=sha256)
        for id, sha256 in (("l1", shared), ("l2", shared), ("l3", own), ("l4", None))
    ]
    store.write(batch(*letters))
    store.write(erasure("o1"))
    first, *rest = store.letters_after(0, 3)
    assert (first.id, first.body[:6], [one.id for one in rest]) == ("l1", b"shared", ["l2", "l3"])
    assert [one.id for one in store.letters_after(rest[-1].seq, 3)] == ["l4"]
    (removal,) = store.removals()
    store.remove_letters(removal, ["l1", "l3"])
    assert (store.get_blob(shared), store.get_blob(own)) == (b"shared" * 99, None)
    assert ids(store, "dead-letters") == ["l2", "l4"]
    row = store.order("o1")
    assert row is not None
    assert row.removed["dead_letters"] == 2


def test_an_identifier_that_too_many_have_stays_as_nobodys(store: Store) -> None:
    store.claim([Claim("x", "email", "ann", "e0", NOW_MS)])
    store.write(erasure("o1", shared=["x"]))
    assert store.identifier_uses(["x"])["x"].profile_id == ""


def test_events_are_removed_by_when_they_were_received(store: Store) -> None:
    old, day = NOW_MS - 40 * DAY_MS, NOW_MS - 30 * DAY_MS

    def received(id: str, at_ms: int, type: str = "view", time_ms: int | None = None) -> Any:
        own_ms = at_ms if time_ms is None else time_ms
        one = event(id, type=type, time_ms=own_ms)
        return msgspec.structs.replace(one, received_at_ms=at_ms, partition=partition_of(own_ms, at_ms))

    def removed() -> list[int]:
        """Two at a time."""
        numbers: list[int] = []
        passed: Passed | None = None
        while True:
            number, passed = store.remove_expired(passed, 2)
            if passed is None:
                return numbers
            numbers.append(number)

    store.write(
        batch(
            received("v1", old),
            received("v2", NOW_MS),
            received("v3", NOW_MS, time_ms=old),  # of long ago, received now
            received("v4", old, time_ms=NOW_MS),  # of a clock that was far ahead
            received("b1", old, "buy"),
            received("b2", day - 1, "buy"),
        )
    )
    assert removed() == []
    before = store.voiding()
    store.expire([Expired("view", day)])
    assert store.voiding()[0] == before[0]
    assert store.voiding()[1] > before[1]
    assert sum(removed()) == 2
    assert ids(store) == ["b1", "b2", "v2", "v3"]
    store.expire([Expired("view", old), Expired("*", day - 5)])  # no time goes back
    assert store.expired() == [Expired("*", day - 5), Expired("view", day)]
    assert sum(removed()) == 1
    assert store.books(0, 1, count_events=True).stored_events == 6
    assert ids(store) == ["b2", "v2", "v3"]


def test_what_is_void_elsewhere_can_be_kept_here(store: Store) -> None:
    store.keep_voids([Void("a", 0, 5, "o1")], [Expired("*", 7)])
    assert store.voids(["a"]) == {"a": [Void("a", 0, 5, "o1")]}
    assert store.expired() == [Expired("*", 7)]
    assert store.voiding() == (1, 1)
