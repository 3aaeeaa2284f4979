"""Runs: where they go, what they want done, and that a run which is made again, or in parts, is the same run."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given

from hub.flows.effects import Answer, CallHttp, ChangeField, ChangeSegment, RaiseEvent, SendMessage
from hub.flows.loops import SOURCE, depth_of
from hub.flows.patch import changes, patch_id
from hub.flows.run import Documents, run
from hub.flows.trace import Fired, Run, Saved, settled
from tests.unit.flow_cases import DOCUMENTS, EVENT, FIRED, NOW_MS, PROFILE, compiled, flows, ran, trail

DAY_MS = 86_400_000
SET = ("update-profile", {"fields": {"traits.x": "payload@a"}})
CALL = ("http-call", {"url": "https://x.example/"})


def again(found: Run) -> Run:
    """As a store gives it back."""
    saved = msgspec.json.decode(msgspec.json.encode(found.saved), type=Saved)
    return found._replace(saved=saved)


def test_one_way_after_the_other() -> None:
    found = ran(
        {
            "start": ("start", {}, "vip"),
            "vip": ("if", {"condition": "profile@traits.plan = gold"}, {"then": "gift", "else": "none"}),
            "gift": (*SET, ["say", "more"]),
            "none": ("fail", {"message": "never"}),
            "say": ("explain", {"text": "x is {{ profile@traits.x }}"}, "done"),
            "more": ("increment", {"field": "stats.gifts"}, "done"),
            "done": ("respond", {"body": {"gifts": "profile@stats.gifts"}}),
        }
    )
    assert trail(found) == ["start:out", "vip:then", "gift:out", "say:out", "more:out", "done:out"]
    assert [step.note for step in found.steps if step.note] == ["x is 1"]
    assert found.effects == [
        ("gift", ChangeField("set", "traits.x", 1)),
        ("more", ChangeField("increment", "stats.gifts", 1)),
    ]
    assert (found.state, found.response, found.error) == ("done", {"gifts": 1}, "")
    assert "x" not in PROFILE["traits"]  # the documents are others'


def test_a_run_has_the_id_of_its_flow_version_and_trigger() -> None:
    nodes = {"start": ("start",)}
    found = ran(nodes)
    assert found.id == ran(nodes).id
    assert found.id != ran(nodes, fired=Fired("e2", "event", NOW_MS)).id
    assert found.id != run(compiled(nodes)._replace(version=8), FIRED, DOCUMENTS, now_ms=NOW_MS).id


def test_branches_meet_once() -> None:
    nodes = {
        "start": ("start", {}, ["a", "b", "c"]),
        "a": ("compute", {"value": 1, "into": "a"}, "meet"),
        "b": ("compute", {"value": 2, "into": "b"}, "meet"),
        "c": ("if", {"condition": "a = 2"}, {"then": "meet"}),
        "meet": ("join", {}, "end"),
        "end": ("increment", {"field": "stats.n"}),
    }
    found = ran(nodes)
    assert found.steps[-1].input == {"a": 1, "b": 2}
    assert [id for id, _ in found.effects] == ["end"]
    nodes["meet"] = ("join", {"wait_for": "all"}, "end")
    assert "meet:out" not in trail(ran(nodes))
    nodes["c"] = ("if", {"condition": "a = 1"}, {"then": "meet"})
    assert "meet:out" in trail(ran(nodes))
    # another node that several edges lead to runs once, too: with what came along the first of them
    nodes["meet"] = ("explain", {"text": "{{ payload@... }}"}, "end")
    assert [step.note for step in ran(nodes).steps if step.node == "meet"] == ['{"a":1}']


def test_a_node_that_fails_goes_on_at_its_error_port() -> None:
    nodes = {
        "start": ("start", {}, ["bad", "good"]),
        "bad": ("fail", {"message": "no"}, {"error": "mend", "out": "never"}),
        "mend": ("explain", {"text": "{{ payload@error.node }}: {{ payload@error.message }}, {{ payload@payload.a }}"}),
        "never": ("end",),
        "good": SET,
    }
    found = ran(nodes)
    assert trail(found) == ["start:out", "bad:error", "mend:out", "good:out"]
    assert [step.note for step in found.steps if step.note] == ["bad: no, 1"]
    assert (found.state, found.error) == ("done", "")
    nodes["bad"] = ("fail", {"message": "no"}, {"out": "never"})
    nodes["start"] = ("start", {}, ["bad", "good", "mend"])
    found = ran(nodes)
    assert (found.state, found.error) == ("failed", "bad: no")
    assert [id for id, _ in found.effects] == ["good"]  # the other branches are none the worse


def test_a_change_that_cannot_be_is_the_fault_of_its_node() -> None:
    found = ran({"start": ("start", {}, "n"), "n": ("increment", {"field": "traits.name"})})
    assert (found.state, found.effects) == ("failed", [])
    assert found.error == "n: traits.name: add works on numbers, not on a text and a number"
    found = ran({"start": ("start", {}, "n"), "n": ("increment", {"field": "stats.n"})}, Documents(EVENT))
    assert found.error == "n: there is no profile that could be changed"


def test_a_node_that_is_skipped_lets_through() -> None:
    flow = compiled({"start": ("start", {}, "bad"), "bad": ("fail", {"message": "x"}, "say"), "say": SET})
    steps = [step._replace(skip=step.id == "bad") for step in flow.steps]
    found = run(flow._replace(steps=steps), FIRED, DOCUMENTS, now_ms=NOW_MS)
    assert (found.state, trail(found)) == ("done", ["start:out", "bad:out", "say:out"])


# limits


def test_limits_stop_a_run_and_nothing_of_it_is_done() -> None:
    nodes = {
        "start": ("start", {}, "seg"),
        "seg": ("add-to-segment", {"segments": [f"s{n}" for n in range(10)]}, "big"),
        "big": ("join-text", {"items": "=payload.many"}),
    }
    found = ran(nodes, limits={"effects": 9})
    assert (found.state, found.effects, "limits.effects" in found.error) == ("stopped", [], True)
    many = Fired("e", "event", NOW_MS, {"many": ["x" * 100] * 100})
    found = ran(nodes, fired=many, limits={"output_bytes": 5_000})
    assert (found.state, "limits.output_bytes" in found.error) == ("failed", True)
    wide = {"start": ("start", {}, [f"n{n}" for n in range(20)])}
    wide |= {f"n{n}": ("explain", {"text": "x"}) for n in range(20)}
    assert ran(wide, fired=many).state == "done"
    found = ran(wide, fired=many, limits={"total_bytes": 100_000})
    assert (found.state, "limits.total_bytes" in found.error) == ("stopped", True)
    ticks = count(step=600_000_000)
    found = ran(nodes, limits={"seconds": 1}, clock_ns=lambda: next(ticks))
    assert (found.state, "limits.seconds" in found.error) == ("stopped", True)
    calls = {"start": ("start", {}, ["a", "b"]), "a": CALL, "b": CALL}
    found = ran(calls, limits={"calls": 1}, answers={"a": Answer(200), "b": Answer(200)})
    assert (found.state, found.error) == ("failed", "b: a run may make 1 calls (limits.calls)")


def test_flows_that_trigger_each_other_come_to_an_end() -> None:
    nodes = {"start": ("start", {}, "raise"), "raise": ("raise-event", {"event_type": "purchase"})}
    event, runs = EVENT, 0
    while True:
        found = ran(nodes, Documents(event, PROFILE), fired=Fired("e", "event", NOW_MS, {}, depth_of(event)))
        if found.state == "stopped":
            break
        runs += 1
        ((_, raised),) = found.effects
        assert isinstance(raised, RaiseEvent)
        event = {**EVENT, "source": {"id": SOURCE}, "context": raised.context}
    assert (runs, "limits.depth" in found.error, found.steps) == (6, True, [])
    # who is not the hub cannot say how deep an event is
    assert depth_of({**EVENT, "context": {"raised_by": {"depth": 99}}}) == 0
    assert depth_of({**EVENT, "source": {"id": SOURCE}, "context": {"raised_by": {"depth": -5}}}) == 1


def test_an_error_that_is_too_large_is_cut() -> None:
    big = Answer(500, {}, {"page": "x" * 1_000_000})
    nodes = {"start": ("start", {}, "call"), "call": (*CALL, {"error": "sorry"}), "sorry": ("end",)}
    found = ran(nodes, answers={"call": big})
    assert found.state == "done"
    about = {"node": "call", "type": "http-call", "message": "the answer has the status 500"}
    assert found.steps[1].output == {"error": about, "payload": None}
    found = ran({"start": ("start", {}, "n"), "n": ("fail", {"message": "x" * 5_000})})
    assert len(found.error) < 1_100


def test_an_error_without_words_is_one() -> None:
    found = ran({"start": ("start", {}, "n"), "n": ("fail", {"message": "payload@none"}, "m"), "m": SET})
    assert (found.state, found.effects) == ("failed", [])
    assert found.error == "n: it has failed, and does not say why"


# calls


def test_a_call_is_waited_for_and_then_the_run_goes_on() -> None:
    nodes = {
        "start": ("start", {}, ["first", "call"]),
        "first": SET,
        "call": (*CALL, {"out": "then", "error": "sorry"}),
        "then": ("copy", {"source": "payload@response.body.city", "target": "traits.city"}),
        "sorry": ("explain", {"text": "payload@error.response.status"}),
    }
    nodes["then"] = ("copy", {"source": "payload@response.body.city", "target": "traits.city"}, "see")
    nodes["see"] = ("explain", {"text": "{{ profile@traits.x }} {{ profile@traits.city }}"})
    waits = again(ran(nodes))
    assert (waits.state, list(waits.wanted)) == ("waiting", ["call"])
    call = waits.wanted["call"]
    assert isinstance(call, CallHttp)
    answers = {"call": Answer(200, {}, {"city": "York"})}
    done = ran(nodes, saved=waits.saved, answers=answers)
    assert (done.state, [id for id, _ in done.effects]) == ("done", ["first", "then"])
    assert [step.state for step in done.steps] == ["reused", "reused", "ran", "ran", "ran"]
    assert done.steps[-1].note == "1 York"  # what was changed before the call is seen behind it
    at_once = ran(nodes, answers=answers)
    assert at_once.effects == done.effects
    assert trail(at_once) == trail(done)
    assert call in [effect for step in done.steps for effect in step.effects]
    # its result is stored: it is not called again
    rerun = ran(nodes, saved=again(done).saved)
    assert (rerun.state, rerun.wanted, rerun.effects) == ("done", {}, done.effects)
    sorry = ran(nodes, answers={"call": Answer(500)})
    assert [step.note for step in sorry.steps if step.note] == ["500"]


# pauses

PAUSED: dict[str, Any] = {
    "start": ("start", {}, ["wait", "now"]),
    "now": ("increment", {"field": "stats.now"}, "meet"),
    "wait": ("pause", {"wait": "3d"}, "later"),
    "later": ("increment", {"field": "stats.later"}, "meet"),
    "meet": ("join", {"payload": "by-node"}, "end"),
    "end": ("respond", {"body": {"name": "profile@traits.name"}}),
}


def test_a_pause_holds_up_what_is_behind_it_alone() -> None:
    first = again(ran(PAUSED))
    assert (first.state, trail(first)) == ("paused", ["start:out", "now:out", "wait:paused"])
    assert [id for id, _ in first.effects] == ["now"]
    assert first.saved.paused["wait"].until_ms == NOW_MS + 3 * DAY_MS
    # not yet
    early = ran(PAUSED, saved=settled(first.saved), now_ms=NOW_MS + DAY_MS)
    assert (early.state, early.effects, early.saved) == ("paused", [], settled(first.saved))
    bob = Documents(EVENT, {**PROFILE, "traits": {"name": "Anna"}})
    last = ran(PAUSED, bob, saved=settled(first.saved), resumed={"wait": None}, now_ms=NOW_MS + 3 * DAY_MS)
    assert (last.state, [id for id, _ in last.effects]) == ("done", ["later"])
    assert last.response == {"name": "Anna"}  # the profile as it is by then
    assert last.id == first.id
    assert last.saved.paused == {}


def test_a_run_that_crashed_before_its_effects_were_done_gives_them_out_again() -> None:
    first = again(ran(PAUSED))
    rerun = ran(PAUSED, saved=first.saved, now_ms=NOW_MS + 5)
    assert (rerun.effects, rerun.saved) == (first.effects, first.saved)
    last = ran(PAUSED, saved=first.saved, resumed={"wait": None}, now_ms=NOW_MS + 3 * DAY_MS)
    assert [id for id, _ in last.effects] == ["now", "later"]


def test_what_is_behind_a_pause_is_another_patch() -> None:
    effects = [
        ("a", ChangeField("set", "traits.x", 1)),
        ("b", SendMessage("m", "k", {}, "")),
        ("c", ChangeSegment("s", True)),
    ]
    found = changes(effects)
    assert [id for id, _ in found] == ["a", "c"]
    assert patch_id("r", ["a", "c", "a"]) == patch_id("r", ["a", "c"]) != patch_id("r", ["d"])


# any flow


def to_the_end(nodes: dict[str, Any], *, kept: bool) -> tuple[list[str], list[tuple[str, Any]]]:
    """Every node that ran, in order, and every effect; calls answered, pauses ended. Args: kept: by way of a store."""
    flow = compiled(nodes)
    saved, resumed, now_ms = Saved(), dict[str, None](), NOW_MS
    answers: dict[str, Answer] = {} if kept else {id: Answer(200, {}, {}) for id in nodes}
    went: list[str] = []
    effects: list[tuple[str, Any]] = []
    while True:
        found = run(flow, FIRED, DOCUMENTS, now_ms=now_ms, saved=saved, answers=answers, resumed=resumed)
        assert found == run(flow, FIRED, DOCUMENTS, now_ms=now_ms, saved=saved, answers=answers, resumed=resumed)
        ids = [step.node for step in found.steps]
        assert len(ids) == len(set(ids))  # a node runs once at most
        if found.state == "waiting":
            saved, answers = again(found).saved, {id: Answer(200, {}, {}) for id in found.wanted}
            went += [f"{step.node}:{step.port}" for step in found.steps if step.state == "ran"]
            continue
        went += [f"{step.node}:{step.port}" for step in found.steps if step.state == "ran"]
        effects += found.effects
        if found.state != "paused":
            return went, effects
        saved = settled(again(found).saved)
        now_ms = min(pause.until_ms for pause in saved.paused.values())
        resumed = {id: None for id, pause in saved.paused.items() if pause.until_ms <= now_ms}


@given(flows())
def test_any_flow_ends_the_same_however_it_is_cut(nodes: dict[str, Any]) -> None:
    """In one go, or with each result written to a store and read again before the next call is answered."""
    assert to_the_end(nodes, kept=False) == to_the_end(nodes, kept=True)


@given(flows())
def test_nothing_runs_but_what_something_came_to(nodes: dict[str, Any]) -> None:
    went, _ = to_the_end(nodes, kept=False)
    ports = dict(one.split(":") for one in went)
    assert len(ports) == len(went)
    for id in ports:
        if id != "start":
            assert any(
                id in ([targets] if isinstance(targets, str) else targets)
                for source, port in ports.items()
                for targets in [_edges(nodes[source]).get(port, [])]
            )


def _edges(node: tuple[Any, ...]) -> dict[str, Any]:
    to = node[2] if len(node) > 2 else {}
    return {"out": to} if isinstance(to, str) else to


@pytest.mark.parametrize("kind", ["done", "failed", "paused", "waiting"])
def test_a_trace_can_be_written(kind: str) -> None:
    middle = {
        "done": SET,
        "failed": ("fail", {"message": "x"}),
        "paused": ("pause", {"wait": "1h"}),
        "waiting": CALL,
    }[kind]
    found = ran({"start": ("start", {}, "n"), "n": middle})
    assert found.state == kind
    assert msgspec.json.decode(msgspec.json.encode(found.steps))[1]["node"] == "n"
