"""Runs of flows, on every store."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from hub.flows.kept import KeptRun, Leg
from hub.flows.pause import Pause
from hub.flows.trace import Fired, Result, Saved, Step
from hub.model import Alias, Person, Privacy, Void
from hub.store import Store
from tests.contracts.batches import NOW_MS, batch, event, profile, session
from tests.contracts.test_store_identity import identity


def run(id: str, **more: Any) -> KeptRun:
    """A run that has ended, of p1."""
    fields: dict[str, Any] = {
        "flow": "gift",
        "version": 7,
        "profile_id": "p1",
        "fired": Fired("e1", "event", NOW_MS, {"a": 1}),
        "state": "done",
        "began_ms": NOW_MS,
        "changed_ms": NOW_MS,
        "turn": 1,
    }
    return KeptRun(id=id, **{**fields, **more})


def paused(id: str, due_ms: int, *waits: str, **more: Any) -> KeptRun:
    pauses = {f"n{number}": Pause(due_ms, type) for number, type in enumerate(waits or ("",))}
    return run(id, state="paused", due_ms=due_ms, waits=sorted(waits), saved=Saved({}, pauses), **more)


def ids(runs: list[KeptRun]) -> list[str]:
    return [one.id for one in runs]


def people(store: Store, *names: str) -> None:
    store.write(batch(*(profile(name) for name in names or ("p1", "p2"))))


def erase(store: Store, person: Person) -> None:
    """The order `o1`: all of somebody."""
    order = Privacy(
        id="o1",
        kind="erase",
        mark="m",
        marks=["m"],
        at_ms=NOW_MS,
        reason="",
        is_suppressed=False,
        voids=[Void("m", 0, NOW_MS, "o1")],
        person=person,
        shared=[],
    )
    store.write(replace(batch(), privacy=order))


def test_a_run_is_given_back_as_it_was_saved(store: Store) -> None:
    people(store)
    step = Step("a", "increment", "ran", {"x": 1}, "out", {"x": 1}, until_ms=5, took_us=7)
    kept = run(
        "r1",
        session_id="s1",
        event=("2025-11", "e1"),
        saved=Saved({"a": Result("out", {"x": None}, is_settled=True)}, {"b": Pause(5, "order", 6)}),
        resumed={"b": {"id": "e2"}},
        legs=[Leg(NOW_MS, [step])],
        response={"ok": True},
        error="what",
    )
    assert store.save_flow_runs([kept, run("r2")]) == []
    assert store.flow_runs(["r1", "r2", "r3"]) == {"r1": kept, "r2": run("r2")}


def test_who_saves_what_somebody_else_has_saved_is_refused(store: Store) -> None:
    people(store)
    assert store.save_flow_runs([run("r1")]) == []
    assert store.save_flow_runs([run("r1", error="again"), run("r2")]) == ["r1"]
    assert store.save_flow_runs([run("r1", turn=2, error="second")]) == []
    assert store.save_flow_runs([run("r1", turn=2), run("r1", turn=4), run("r3", turn=2)]) == ["r1", "r1", "r3"]
    assert store.flow_runs(["r1", "r2", "r3"]) == {"r1": run("r1", turn=2, error="second"), "r2": run("r2")}


def test_there_is_no_run_of_who_is_not_there(store: Store) -> None:
    people(store)
    assert store.save_flow_runs([run("r1", profile_id="gone"), run("r2", profile_id="")]) == ["r1"]


def test_due_runs_come_in_their_order_page_by_page(store: Store) -> None:
    people(store)
    runs = [paused(f"r{n}", NOW_MS + due) for n, due in enumerate((3_000, 1_000, 2_001, 1_000, 9_000))]
    store.save_flow_runs([*runs, run("over")], durable=True)
    first = store.due_flow_runs(NOW_MS + 3_000, None, 3)
    assert ids(first) == ["r1", "r3", "r2"]
    last = first[-1]
    assert last.due_ms is not None
    assert ids(store.due_flow_runs(NOW_MS + 3_000, (last.due_ms, last.id), 3)) == ["r0"]
    second = NOW_MS // 1000
    assert store.due_seconds(10) == [second + 1, second + 3, second + 9]
    assert store.due_seconds(1, second + 1) == [second + 3]
    store.save_flow_runs([run("r1", turn=2), run("r3", turn=2)])
    assert store.due_seconds(10)[0] == second + 3


def test_paused_runs_are_found_by_the_event_that_they_wait_for(store: Store) -> None:
    people(store)
    store.save_flow_runs([
        paused("r1", NOW_MS, "order", "call"),
        paused("r2", NOW_MS, "order", profile_id="p2"),
        paused("r3", NOW_MS),
        run("r4"),
    ])  # fmt: skip
    assert store.waited_types() == {"order", "call"}
    assert ids(store.waiting_flow_runs(["p1"], "order")) == ["r1"]
    assert ids(store.waiting_flow_runs(["p1", "p2"], "order")) == ["r1", "r2"]
    assert store.waiting_flow_runs(["p1"], "other") == []
    store.save_flow_runs([replace(paused("r1", NOW_MS, "call"), turn=2), run("r2", profile_id="p2", turn=2)])
    assert store.waiting_flow_runs(["p1", "p2"], "order") == []
    assert store.waited_types() == {"call"}


def test_runs_that_nobody_goes_on_with_are_found(store: Store) -> None:
    people(store)
    store.save_flow_runs([run(f"r{n}", state="waiting", changed_ms=NOW_MS + n) for n in (3, 1, 2)])
    assert store.left_flow_runs(NOW_MS + 3, 10) == ["r1", "r2"]
    assert store.left_flow_runs(NOW_MS + 4, 1) == ["r1"]


def test_runs_are_listed_newest_first(store: Store) -> None:
    people(store)
    for n in range(5):
        store.save_flow_runs([run(f"r{n}", flow=f"f{n % 2}", state="failed" if n == 3 else "done")])
    store.save_flow_runs([run("r1", flow="f1", turn=2)])  # it keeps its place
    first, before = store.list_flow_runs(2, None)
    assert (ids(first), before is not None) == (["r4", "r3"], True)
    rest, end = store.list_flow_runs(3, before)
    assert (ids(rest), end) == (["r2", "r1", "r0"], None)
    assert ids(store.list_flow_runs(9, None, flow="f1")[0]) == ["r3", "r1"]
    assert ids(store.list_flow_runs(9, None, state="failed")[0]) == ["r3"]
    assert ids(store.list_flow_runs(9, None, flow="f0", state="done")[0]) == ["r4", "r2", "r0"]
    assert ids(store.list_flow_runs(9, None, profile_id="p2")[0]) == []


def test_runs_of_all_ids_of_a_person_are_theirs(store: Store) -> None:
    people(store, "p1", "p2", "p3")
    store.save_flow_runs([run(f"r-{id}", profile_id=id) for id in ("p1", "p2", "p3")])
    merged = replace(profile("p1", 2), doc={"id": "p1", "ids": ["p1", "p2"]})
    store.write(replace(batch(merged), identity=identity(aliases={"p2": Alias("p1", 2, "m")})))
    assert ids(store.list_flow_runs(9, None, profile_id="p2")[0]) == ["r-p2", "r-p1"]


def test_runs_without_a_profile_are_found_by_their_session(store: Store) -> None:
    """One with a profile is that one's, whatever its session."""
    people(store, "p1")
    ways = {"r1": ("", "s1"), "r2": ("p1", "s1"), "r3": ("", "s2"), "r4": ("", "s3")}
    store.save_flow_runs([run(id, profile_id=of, session_id=session) for id, (of, session) in ways.items()])
    assert ids(store.list_flow_runs(9, None, sessions=["s1", "s3"])[0]) == ["r4", "r1"]
    first, before = store.list_flow_runs(1, None, sessions=["s1", "s3"])
    assert (ids(first), ids(store.list_flow_runs(1, before, sessions=["s1", "s3"])[0])) == (["r4"], ["r1"])


def test_what_runs_are_about_is_read_at_once(store: Store) -> None:
    people(store, "p1", "p2")
    one = event("e1")
    store.write(batch(one, session("s1")))
    merged = replace(profile("p1", 2), doc={"id": "p1", "ids": ["p1", "p2"]})
    lost = {"p2": Alias("p1", 2, "m"), "p4": Alias("p5", 2, "n")}
    store.write(replace(batch(merged), identity=identity(aliases=lost)))
    found = store.run_documents(
        [(one.partition, "e1"), ("2020-01", "e1"), (one.partition, "e9")], ["p2", "p4", "p9"], ["s1", "s9"]
    )
    assert found.events == {"e1": one.doc}
    assert {id: msgspec.json.decode(doc)["id"] for id, doc in found.profiles.items()} == {"p2": "p1"}
    assert found.moving == {"p4"}
    assert set(found.sessions) == {"s1"}


def test_a_run_can_be_ended(store: Store) -> None:
    people(store)
    store.save_flow_runs([paused("r1", NOW_MS, "order"), run("r2")])
    ended = store.cancel_flow_run("r1", NOW_MS + 5)
    assert ended is not None
    assert (ended.state, ended.due_ms, ended.waits, ended.changed_ms, ended.turn) == (
        "cancelled",
        None,
        [],
        NOW_MS + 5,
        2,
    )
    assert store.flow_runs(["r1"])["r1"] == ended
    assert (store.due_seconds(9), store.waited_types(), store.waiting_flow_runs(["p1"], "order")) == ([], set(), [])
    assert store.save_flow_runs([replace(paused("r1", NOW_MS), turn=2)]) == ["r1"]
    assert store.cancel_flow_run("r2", NOW_MS + 5) == run("r2")
    assert store.cancel_flow_run("r9", NOW_MS + 5) is None


def test_runs_that_ended_long_ago_are_forgotten(store: Store) -> None:
    people(store)
    store.save_flow_runs([run(f"r{n}", changed_ms=NOW_MS + n) for n in range(4)])
    store.save_flow_runs([paused("p", NOW_MS), run("w", state="waiting", changed_ms=0)])
    assert store.forget_flow_runs(NOW_MS + 3, 2) == 2
    assert store.forget_flow_runs(NOW_MS + 3, 2) == 1
    assert store.forget_flow_runs(NOW_MS + 3, 2) == 0
    assert sorted(ids(store.list_flow_runs(9, None)[0])) == ["p", "r3", "w"]


def test_who_is_erased_takes_their_runs_along(store: Store) -> None:
    store.write(batch(profile("ann"), profile("bob"), session("s1", profile_id="ann")))
    store.save_flow_runs([
        paused("r1", NOW_MS, "order", profile_id="ann"),
        run("r2", profile_id="bob"),
        run("r3", profile_id="", session_id="s1"),
        run("r4", profile_id="", session_id="s2"),
    ])  # fmt: skip
    erase(store, Person({"ann": 1}, ["s1"], {}, 0, []))
    assert sorted(ids(store.list_flow_runs(9, None)[0])) == ["r2", "r4"]
    assert (store.waited_types(), store.due_seconds(9)) == (set(), [])
    row = store.order("o1")
    assert row is not None
    assert row.removed["flow_runs"] == 2
    # one that was in the middle of it does not come back
    assert store.save_flow_runs([run("r1", profile_id="ann", turn=2), run("r5", profile_id="ann")]) == ["r1", "r5"]


def test_events_of_somebody_who_was_part_of_another_take_their_runs_along(store: Store) -> None:
    """Their events lie under whoever they were part of then."""
    one, other = event("e1", profile_id="host"), event("e2", profile_id="host")
    one = replace(one, doc=msgspec.json.encode({**msgspec.json.decode(one.doc), "metadata": {"sent_as": "guest"}}))
    store.write(batch(profile("host"), one, other))
    store.save_flow_runs([run(f"r-{id}", profile_id="host", event=(one.partition, id)) for id in ("e1", "e2")])
    erase(store, Person({"guest": -1}, [], {}, 0, ["host"]))
    (removal,) = store.removals()
    assert store.remove_events(removal, None, 100)[0] == 1
    assert ids(store.list_flow_runs(9, None)[0]) == ["r-e2"]
