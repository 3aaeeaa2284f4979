"""Runs as they are made: what is saved, what goes out, and that whoever is killed comes to the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import Unavailable
from hub.flows.effects import Answer
from hub.flows.kept import MOST_LEGS_BYTES, Leg, traced
from hub.flows.runner import GIVE_UP_MS
from hub.flows.trace import Step
from hub.pipeline.documents import iso
from hub.store.factory import open_store
from hub.store.port import DefinitionVersion
from schemas.records import TRACK
from tests.contracts.batches import batch, event
from tests.unit.flow_cases import EVENT, NOW_MS, flows, spec
from tests.unit.flow_world import Killed, World

CALL = ("http-call", {"url": "https://x.example/"})
SET = ("update-profile", {"fields": {"traits.x": "payload@amount"}})
ONE = {"start": ("start", {}, "n"), "n": ("increment", {"field": "stats.gifts"})}
DAY_MS = 86_400_000


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'hub.sqlite'}"
    return World(store=open_store(url))


def properties(record: dict[str, Any]) -> dict[str, Any]:
    """Of the one event in it."""
    name, body = record["body"]
    assert name == TRACK
    found: dict[str, Any] = msgspec.json.decode(body["events"][0]["properties"])
    return found


def test_many_runs_are_made_at_once_each_for_its_own_profile(world: World) -> None:
    world.define(ONE)
    for id in ("ann", "bob", "cid"):
        world.profile(id)
    runs = world.runner().begin([world.order(id) for id in ("ann", "bob", "cid", "ann")])
    assert [(run.profile_id, run.state) for run in runs] == [("ann", "done"), ("bob", "done"), ("cid", "done")]
    assert [record["profile_id"] for record in world.sent.values()] == ["ann", "bob", "cid"]
    assert runs == world.kept()
    assert runs[0].fired.data["amount"] == 12.5  # of the event, as the store has it
    assert [step.node for step in runs[0].legs[0].steps] == ["start", "n"]


def test_what_has_ended_is_not_run_again(world: World) -> None:
    world.define(ONE)
    world.profile("ann")
    first = world.runner().begin([world.order("ann")])
    assert world.runner().begin([world.order("ann")]) == first
    assert len(world.puts) == 1


def test_nobody_who_is_gone_and_nothing_that_is_off_is_run(world: World) -> None:
    world.define(ONE)
    world.define(ONE, "off", 8, enabled=False)
    world.profile("ann")
    orders = [
        world.order("ann"),
        world.order("bob"),
        world.order("ann", "off", 8),
        world.order("ann", "other", 3),
        world.order("ann")._replace(event=("2025-11", "nowhere")),
    ]
    orders[-1] = orders[-1]._replace(fired=msgspec.structs.replace(orders[-1].fired, id="nowhere"))
    found = world.runner().begin_some(orders)
    assert [run.profile_id for run in found.runs] == ["ann"]
    assert {(order.flow, order.profile_id): why for order, why in found.left} == {
        ("f", "bob"): "no_profile",
        ("off", "ann"): "off",
        ("other", "ann"): "off",
        ("f", "ann"): "no_event",
    }
    assert len(world.kept()) == 1


def test_a_version_that_has_not_come_yet_is_waited_for_but_not_for_ever(world: World) -> None:
    world.define(ONE, version=7)
    world.profile("ann")
    found = world.runner().begin_some([world.order("ann", version=9), world.order("ann")])
    assert ([run.version for run in found.runs], [order.version for order in found.later]) == ([7], [9])
    with pytest.raises(Unavailable):
        world.runner().begin([world.order("ann", version=9)])
    world.now_ms += 120_000
    runner = world.runner()
    found = runner.begin_some([world.order("ann", version=9)])
    assert found.later, "that it was triggered long ago says nothing of how long this process waits for it"
    world.now_ms += 61_000
    found = runner.begin_some([world.order("ann", version=9)])
    assert [why for _, why in found.left] == ["no_version"]


def test_an_older_version_is_run_as_it_was(world: World) -> None:
    world.define({"start": ("start", {}, "n"), "n": ("fail", {"message": "the new one"})}, version=8)
    old = msgspec.json.encode(spec(ONE).model_dump(mode="json")).decode()
    world.store.keep_versions([DefinitionVersion("flow", "f", 7, NOW_MS, old)])
    world.profile("ann")
    (run,) = world.runner().begin([world.order("ann", version=7)])
    assert (run.state, run.version) == ("done", 7)


def test_a_run_that_raises_or_wants_too_much_holds_up_nobody(world: World) -> None:
    world.define(ONE)
    big = {"fields": {f"traits.x{n}": "x" * 200_000 for n in range(12)}}
    world.define({"start": ("start", {}, "n"), "n": ("update-profile", big)}, "big", 8)
    two = ("add-to-segment", {"segments": ["x", "y"]})
    world.define({"start": ("start", {}, "n"), "n": two}, "much", 9, limits={"effects": 1})
    for id in ("ann", "bob"):
        world.profile(id)
    world.profile("cid", metadata={})  # of a kind that no hub writes
    orders = [
        world.order("ann", "big", 8),
        world.order("ann", "much", 9),
        world.order("cid"),
        world.order("bob"),
    ]
    runs = world.runner().begin(orders)
    assert [run.state for run in runs] == ["stopped", "stopped", "stopped", "done"]
    assert "a record has at most" in runs[0].error
    assert "limits.effects" in runs[1].error
    assert "KeyError" in runs[2].error
    assert [record["profile_id"] for record in world.sent.values()] == ["bob"]


def test_what_kafka_will_never_take_stops_its_own_run(world: World) -> None:
    world.define(ONE)
    for id in ("ann", "bob", "cid"):
        world.profile(id)
    world.refuses = "bob"
    runs = world.runner().begin([world.order(id) for id in ("ann", "bob", "cid")])
    assert [run.state for run in runs] == ["done", "stopped", "done"]
    assert "too large" in runs[1].error


def test_who_must_not_wait_hands_calls_and_messages_on(world: World) -> None:
    world.define({"start": ("start", {}, "a"), "a": (*CALL, "b"), "b": SET})
    mail = ("send", {"destination": "post", "message": "hello"})
    world.define({"start": ("start", {}, "a"), "a": (*SET, "m"), "m": mail}, "mail", 8)
    world.profile("ann")
    runs = world.runner(calls=False).begin([world.order("ann"), world.order("ann", "mail", 8)])
    assert [run.state for run in runs] == ["waiting", "waiting"]
    assert (world.handed, world.sent, world.calls, world.messages) == ([run.id for run in runs], {}, [], {})
    done = world.runner().go_on([run.id for run in runs])
    assert [run.state for run in done] == ["done", "done"]
    assert (len(world.calls), len(world.messages), len(world.sent)) == (1, 1, 2)


def test_a_destination_that_is_away_holds_up_its_own_runs_alone(world: World) -> None:
    for number, destination in enumerate(("here", "away")):
        mail = ("send", {"destination": destination, "message": "hello"})
        world.define({"start": ("start", {}, "m"), "m": mail}, destination, 8 + number)
    world.profile("ann")
    world.away = "away"
    orders = [world.order("ann", "away", 9), world.order("ann", "here", 8)]
    runs = world.runner().begin(orders, may_block=True)
    assert {run.flow: run.state for run in runs} == {"here": "done", "away": "waiting"}
    world.away = ""
    (again,) = world.runner().go_on([run.id for run in runs if run.flow == "away"])
    assert (again.state, len(world.messages)) == ("done", 2)


def test_a_pause_is_scheduled_and_goes_on_with_the_profile_as_it_is_by_then(world: World) -> None:
    nodes = {
        "start": ("start", {}, "now"),
        "now": ("increment", {"field": "stats.a"}, "wait"),
        "wait": ("pause", {"wait": "1d", "event_type": "order"}, {"out": "later", "timeout": "later"}),
        "later": ("update-profile", {"fields": {"traits.y": "profile@traits.name"}}),
    }
    world.define(nodes)
    world.profile("ann")
    (run,) = world.runner().begin([world.order("ann")])
    assert (run.state, run.due_ms, run.waits) == ("paused", NOW_MS + DAY_MS, ["order"])
    assert world.seconds == {(NOW_MS + DAY_MS) // 1000}
    assert world.store.waited_types() == {"order"}
    world.now_ms += DAY_MS - 1
    assert world.runner().go_on([run.id]) == [run]  # not yet
    world.define({"start": ("start", {}, "n"), "n": ("fail", {"message": "another version"})}, version=8)
    old = msgspec.json.encode(spec(nodes).model_dump(mode="json")).decode()
    world.store.keep_versions([DefinitionVersion("flow", "f", 7, NOW_MS, old)])
    world.profile("ann", 2, traits={"name": "Anna"})
    world.now_ms += 1
    (done,) = world.runner().go_on([run.id])
    assert (done.state, done.due_ms, done.waits) == ("done", None, [])
    assert [[step.node for step in leg.steps] for leg in done.legs] == [["start", "now", "wait"], ["wait", "later"]]
    first, last = world.sent.values()
    assert properties(first)["changes"][0]["field"] == "stats.a"
    assert [one["value"] for one in properties(last)["changes"]] == ["Anna"]
    assert world.store.waited_types() == set()


def test_a_clock_that_was_hours_ahead_makes_no_pause_longer(world: World) -> None:
    """The profile says so; what the run sends is no older than what it has seen all the same."""
    add = ("increment", {"field": "stats.a"}, "wait")
    world.define({"start": ("start", {}, "add"), "add": add, "wait": ("pause", {"wait": "3s"}, "end"), "end": ("end",)})
    time = {"insert": "2025-11-01T00:00:00.000Z", "create": None, "update": iso(NOW_MS + 7_200_000)}
    world.profile("ann", metadata={"time": time})
    (run,) = world.runner().begin([world.order("ann")])
    assert (run.state, run.due_ms) == ("paused", NOW_MS + 3_000)
    assert [record["received_at_ms"] for record in world.sent.values()] == [NOW_MS + 7_200_000]


def test_an_event_that_ends_a_pause_is_kept_until_the_run_has_settled(world: World) -> None:
    world.define({
        "start": ("start", {}, ["call", "wait"]),
        "call": ("pause", {"wait": "1h"}, "ask"),
        "ask": (*CALL, "end"),
        "wait": ("pause", {"wait": "1d", "event_type": "order"}, {"out": "end"}),
        "end": ("respond", {"body": {"n": "=payload"}}),
    })  # fmt: skip
    world.profile("ann")
    (run,) = world.runner().begin([world.order("ann")])
    world.now_ms += 3_600_000
    ends = {run.id: {"wait": {"id": "e9", "type": "order", "properties": {"n": 5}}}}
    # the call stands in the way, and somebody else makes it
    (waiting,) = world.runner(calls=False).go_on([run.id], resumed=ends)
    assert (waiting.state, world.handed) == ("waiting", [run.id])
    (done,) = world.runner().go_on([run.id])
    assert done.state == "done"
    assert {step.node: step.port for leg in done.legs for step in leg.steps}["wait"] == "out"


def test_who_is_told_apart_by_turns_comes_to_the_same(world: World) -> None:
    """Two processes make the same run at once: one of them is refused, and goes on with what the other has saved."""
    world.define({"start": ("start", {}, "a"), "a": (*CALL, "b"), "b": SET})
    world.profile("ann")
    other = world.runner()

    calls: list[Any] = []
    call = world.call

    def meddle(ask: Any) -> Answer:
        if not calls:
            calls.append(ask)
            assert [run.state for run in other.go_on([run.id for run in world.kept()])] == ["done"]
        return call(ask)

    world.call = meddle  # type: ignore[method-assign]
    (run,) = world.runner().begin([world.order("ann")], may_block=True)
    assert (run.state, len(world.sent)) == ("done", 1)
    assert run == world.kept()[0]


def test_a_run_of_a_version_that_nobody_has_fails_in_the_end(world: World) -> None:
    """Not at once: during an upgrade the other process may know it."""
    world.define({"start": ("start", {}, "wait"), "wait": ("pause", {"wait": "1h"}, "end"), "end": ("end",)})
    world.profile("ann")
    (run,) = world.runner().begin([world.order("ann")])
    world.delete()
    assert run.due_ms is not None
    world.now_ms = run.due_ms
    assert [one.state for one in world.runner().go_on([run.id])] == ["paused"]
    world.now_ms += GIVE_UP_MS
    (over,) = world.runner().go_on([run.id])
    assert (over.state, over.due_ms) == ("failed", None)
    assert "60 minutes" in over.error
    assert world.kept() == [over]


def test_a_run_that_was_cancelled_meanwhile_goes_no_further(world: World) -> None:
    world.define({"start": ("start", {}, "a"), "a": (*CALL, "b"), "b": SET})
    world.profile("ann")
    (run,) = world.runner(calls=False).begin([world.order("ann")])
    assert (cancelled := world.store.cancel_flow_run(run.id, NOW_MS + 5)) is not None
    assert cancelled.state == "cancelled"
    assert world.runner().go_on([run.id]) == [cancelled]
    assert (world.calls, world.sent) == ([], {})
    assert world.runner().begin([world.order("ann")]) == [cancelled]


def test_a_profile_is_merged_only_with_one_that_there_is(world: World) -> None:
    nodes = {"start": ("start", {}, "join"), "join": ("merge-profiles", {"other": "bob"})}
    world.define(nodes)
    for id in ("ann", "cid"):
        world.profile(id)
    (run,) = world.runner().begin([world.order("ann")])
    assert (run.state, run.error) == ("failed", "join: other: there is no profile 'bob'")
    assert world.sent == {}
    world.profile("bob")
    (run,) = world.runner().begin([world.order("cid")])
    assert (run.state, run.error) == ("done", "")
    ((_, body),) = (record["body"] for record in world.sent.values())
    assert body["loser_id"] == "bob"


def test_whoever_waits_is_told(world: World) -> None:
    world.define({"start": ("start", {}, "n"), "n": ("respond", {"body": {"gift": "tea"}})})
    world.profile("ann")
    document = {**EVENT, "id": "e-ann2", "options": {"async": False}, "flows": {"run": {"f": 7}}}
    stored = msgspec.structs.replace(event("e-ann2", profile_id="ann"), doc=msgspec.json.encode(document))
    world.store.write(batch(stored))
    order = world.order("ann")
    waited = order._replace(event=(stored.partition, "e-ann2"), fired=msgspec.structs.replace(order.fired, id="e-ann2"))
    world.runner().begin([order, waited])
    assert world.answers == {("e-ann2", "f"): {"gift": "tea"}}


def test_a_trace_is_bounded() -> None:
    step = Step("n", "compute", "ran", "x" * 1_000, "out", "y" * 1_000)
    legs = [Leg(n, [step] * 10) for n in range(500)]
    kept = traced(legs)
    assert kept[-1] == legs[-1]
    assert len(msgspec.json.encode(kept)) < MOST_LEGS_BYTES + 1_000
    huge = traced([Leg(1, [msgspec.structs.replace(step, output="z" * MOST_LEGS_BYTES)] * 3)])
    assert len(msgspec.json.encode(huge)) < MOST_LEGS_BYTES
    assert [step.node for step in huge[0].steps] == ["n"] * 3


# killed anywhere


def test_who_has_answered_is_not_asked_again() -> None:
    nodes = {"start": ("start", {}, "a"), "a": (*CALL, "b"), "b": (*CALL, "c"), "c": SET}

    def asked(*lives: int) -> int:
        world = World(lives)
        world.define(nodes)
        world.profile("ann")
        assert world.live(world.order("ann")) == ["done"]
        return len(world.calls)

    assert asked() == 2
    # looks what there is, save, call a; dead before the answer was kept
    assert asked(4) == 3
    assert asked(6) == 2  # kept


def test_who_died_when_something_was_sent_goes_the_same_way_whatever_has_become_of_the_profile() -> None:
    """Its own change, say, has come back to it."""
    nodes = {
        "start": ("start", {}, "once"),
        "once": ("if", {"condition": "profile@traits.plan = gold"}, {"then": "a", "else": "b"}),
        "a": ("update-profile", {"fields": {"traits.plan": "silver"}}),
        "b": ("increment", {"field": "stats.never"}),
    }
    world = World([4])  # looks what there is, saves, sends, and is dead before it is settled
    world.define(nodes)
    world.profile("ann")
    with pytest.raises(Killed):
        world.runner().begin([world.order("ann")])
    assert len(world.sent) == 1
    world.profile("ann", 2, traits={"plan": "silver"})
    (run,) = world.runner().begin([world.order("ann")])
    assert (run.state, len(world.sent), len(world.puts)) == ("done", 1, 2)


def test_a_run_may_make_as_many_calls_as_its_flow_allows() -> None:
    calls: dict[str, Any] = {f"n{n}": (*CALL, f"n{n + 1}") for n in range(40)}
    world = World()
    world.define({"start": ("start", {}, "n0"), **calls, "n40": SET}, limits={"calls": 50})
    world.profile("ann")
    assert world.live(world.order("ann")) == ["done"]
    assert len(set(world.calls)) == 40


KILLS = st.lists(st.integers(0, 12), max_size=8)


@given(flows(), KILLS)
def test_whenever_it_is_killed_the_same_is_done(nodes: dict[str, Any], lives: list[int]) -> None:
    same_is_done(nodes, lives)


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=5_000, derandomize=False)
@given(flows(), KILLS)
def test_whenever_it_is_killed_the_same_is_done_at_length(nodes: dict[str, Any], lives: list[int]) -> None:
    same_is_done(nodes, lives)


def same_is_done(nodes: dict[str, Any], lives: list[int]) -> None:
    """Killed or not. Args: lives: how many steps each life has, the last one first."""
    calm, stormy = World(), World(lives)
    for world in (calm, stormy):
        world.define(nodes)
        world.profile("ann")
    assert calm.live(calm.order("ann")) == stormy.live(stormy.order("ann"))
    assert stormy.sent == calm.sent
    assert set(stormy.calls) == set(calm.calls)
    assert len(calm.calls) == len(set(calm.calls))  # nobody is called twice without need
    (kept,), (calmly,) = stormy.kept(), calm.kept()
    assert (kept.state, kept.error, kept.saved.paused, kept.resumed) == (calmly.state, calmly.error, {}, {})


def test_the_world_of_these_tests_kills() -> None:
    world = World([2])
    world.define(ONE)
    world.profile("ann")
    with pytest.raises(Killed):
        world.runner().begin([world.order("ann")])
