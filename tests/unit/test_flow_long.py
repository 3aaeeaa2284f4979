"""Nodes that take long: whoever must not wait leaves them to others, who save what came of them before they go on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from hub.flows import packages
from hub.flows.compiled import compile_flow
from hub.flows.kept import KeptRun
from hub.flows.node import LONGEST_S, Config, node
from hub.flows.registry import described
from hub.flows.run import run
from hub.flows.runner import TURN_NS
from hub.flows.trial import try_flow
from hub.jobs.queue import JOB_S
from tests.contracts.batches import batch, event
from tests.packages import on_path, write
from tests.unit.flow_cases import DOCUMENTS, EVENT, FIRED, NOW_MS, compiled, ran, spec, trail
from tests.unit.flow_world import World

MODULE = """
from hub.flows.node import Config, node

acts = []

@node("ask-slowly", group="Other systems", long_s=60)
def ask_slowly(config: Config, call):
    "Ask somebody who takes an hour."
    for act in acts:
        act()
    return call.go(note="they said yes")

@node("hang", group="Other systems", long_s=0.2)
def hang(config: Config, call):
    "Wait for who never calls."
    import socket
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.accept()
"""
SLOW = ("ask-slowly", {}, "b")
NODES = {"start": ("start", {}, "a"), "a": ("increment", {"field": "stats.a"}, "slow"), "slow": SLOW}
THEN = {**NODES, "b": ("update-profile", {"fields": {"traits.saw": "profile@traits.name"}})}


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[ModuleType]:
    """The package is installed; its node does what is in `acts`."""
    name = f"slow_node_{tmp_path.name}"  # a module is loaded once a process
    (tmp_path / f"{name}.py").write_text(MODULE)
    write(tmp_path, "slow-node", {"ask-slowly": f"{name}:ask_slowly", "hang": f"{name}:hang"}, group=packages.GROUP)
    with on_path(tmp_path):
        yield importlib.import_module(name)


def test_who_must_not_wait_stops_in_front_of_it(slow: ModuleType) -> None:
    slow.acts.append(lambda: pytest.fail("it was run"))
    found = ran(THEN, long_s=0)
    assert (found.state, found.wanted, trail(found)) == ("waiting", {}, ["start:out", "a:out", "slow:waiting"])


def test_its_result_is_kept_before_what_is_behind_it(slow: ModuleType) -> None:
    now_ns = 0

    def takes_an_hour() -> None:
        nonlocal now_ns
        now_ns += 3_600_000_000_000

    slow.acts.append(takes_an_hour)
    found = ran(THEN, clock_ns=lambda: now_ns)
    assert (found.state, found.wanted, found.saved.results["slow"].note) == ("waiting", {}, "they said yes")
    # `limits.seconds` is of what the others take
    done = ran(THEN, clock_ns=lambda: now_ns, saved=found.saved)
    assert (done.state, trail(done)) == ("done", ["start:out", "a:out", "slow:out", "b:out"])
    assert [(step.state, step.took_us) for step in done.steps if step.node == "slow"] == [("reused", 3_600_000_000)]
    assert [id for id, _ in done.effects] == ["a", "b"]


def test_one_that_is_skipped_takes_no_time(slow: ModuleType) -> None:
    flow = spec(THEN)
    nodes = {**flow.nodes, "slow": flow.nodes["slow"].model_copy(update={"skip": True})}
    skipped = compile_flow("f", flow.model_copy(update={"nodes": nodes}), 7)
    assert run(skipped, FIRED, DOCUMENTS, now_ms=NOW_MS, long_s=0).state == "done"


def test_a_call_that_waits_for_ever_is_interrupted(slow: ModuleType) -> None:
    """On the main thread of a worker: there a signal ends what waits."""
    found = ran({"start": ("start", {}, "n"), "n": ("hang", {}, {"error": "b"}), "b": ("end",)})
    assert found.saved.results["n"].port == "error"
    assert found.saved.results["n"].error == "it has not come to an end within 0.2 s"


def test_an_expression_that_goes_through_lists_within_lists_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would hold up its agent, and with its trigger the next one."""
    monkeypatch.setattr("hub.flows.run.MOST_S", 0.2)
    many = f"`{list(range(100))}`"
    within = "&abs(@)"
    for _ in range(5):
        within = f"&map({within}, {many})"
    endless = ("compute", {"value": {"n": f"=length(map({within}, {many}))"}})
    found = ran({"start": ("start", {}, ["bad", "good"]), "bad": endless, "good": ("increment", {"field": "stats.n"})})
    assert (found.state, [id for id, _ in found.effects]) == ("failed", ["good"])
    assert found.error == "bad: it has not come to an end within 0.2 s"


def test_no_node_takes_longer_than_a_job() -> None:
    def much(config: Config, call: Any) -> None:
        """Much."""

    for long_s in (-1.0, LONGEST_S + 1):
        with pytest.raises(ValueError, match=f"long_s is {long_s:g}; it is from 0 to 1800 seconds"):
            node("much", group="x", long_s=long_s)(much)
    assert LONGEST_S + TURN_NS / 1e9 < JOB_S


def test_it_can_be_seen_which_ones_do(slow: ModuleType) -> None:
    found = {one["type"]: one.get("long_s") for one in described()}
    assert (found["ask-slowly"], found["if"]) == (60, None)


def test_agents_leave_it_and_a_worker_goes_on_with_the_profile_as_it_is_by_then(slow: ModuleType) -> None:
    world = World()
    world.define(THEN)
    world.profile("ann")
    (run,) = world.runner().begin([world.order("ann")])
    assert (run.state, world.handed, world.sent) == ("waiting", [run.id], {})
    between: list[Any] = []

    def renamed() -> None:
        world.profile("ann", 2, traits={"name": "Anna"})
        world.now_ms += 60_000

    slow.acts += [renamed, lambda: between.extend(world.kept())]
    (done,) = world.runner().go_on([run.id])
    assert [(one.state, list(one.saved.results)) for one in between] == [("waiting", ["start", "a"])]
    assert (done.state, done.changed_ms) == ("done", NOW_MS + 60_000)
    assert [(step.node, step.port) for step in done.legs[0].steps] == [
        ("start", "out"),
        ("a", "out"),
        ("slow", "out"),
        ("b", "out"),
    ]
    (sent,) = world.sent.values()
    assert b'"Anna"' in sent["body"][1]["events"][0]["properties"]


def test_whoever_waits_for_an_answer_is_told_when_it_has_ended(slow: ModuleType) -> None:
    world = World()
    world.define(
        {"start": ("start", {}, ["say", "slow"]), "say": ("respond", {"body": {"gift": "tea"}}), "slow": SLOW[:2]}
    )
    world.profile("ann")
    document = {**EVENT, "id": "e-2", "options": {"async": False}, "flows": {"run": {"f": 7}}}
    stored = msgspec.structs.replace(event("e-2", profile_id="ann"), doc=msgspec.json.encode(document))
    world.store.write(batch(stored))
    order = world.order("ann")
    waited = order._replace(event=(stored.partition, "e-2"), fired=msgspec.structs.replace(order.fired, id="e-2"))
    (run,) = world.runner().begin([waited])
    assert world.answers == {}
    world.runner().go_on([run.id])
    assert world.answers == {("e-2", "f"): {"gift": "tea"}}


def test_a_pause_behind_it_begins_when_it_has_ended(slow: ModuleType) -> None:
    world = World()
    world.define({**NODES, "b": ("pause", {"wait": "10s"})})
    world.profile("ann")
    slow.acts.append(_passing(world, 30_000))
    (run,) = world.runner().begin([world.order("ann")], may_block=True)
    assert (run.state, run.due_ms) == ("paused", NOW_MS + 40_000)


def test_a_job_that_has_taken_long_leaves_the_next_one_to_another(slow: ModuleType) -> None:
    world = World()
    world.define({**NODES, "b": ("ask-slowly", {}, "c"), "c": ("increment", {"field": "stats.b"})})
    world.profile("ann")
    slow.acts.append(_passing(world, TURN_NS // 1_000_000 + 1))
    (run,) = world.runner().begin([world.order("ann")], may_block=True)
    assert (run.state, list(run.saved.results)) == ("waiting", ["start", "a", "slow"])
    (run,) = world.runner().go_on([run.id])
    assert (run.state, list(run.saved.results)) == ("waiting", ["start", "a", "slow", "b"])
    (run,) = world.runner().go_on([run.id])
    assert (run.state, len(world.sent)) == ("done", 1)


def test_who_is_gone_by_then_is_sent_nothing(slow: ModuleType) -> None:
    world = World()
    world.define(THEN)
    world.profile("ann")
    (run,) = world.runner().begin([world.order("ann")])
    slow.acts.append(lambda: world.store.save_flow_runs([_cancelled(world)]))
    (run,) = world.runner().go_on([run.id])
    assert (run.state, world.sent) == ("cancelled", {})


def test_whenever_it_is_killed_the_same_is_done(slow: ModuleType) -> None:
    nodes = {**NODES, "b": ("pause", {"wait": "1d"}, "again"), "again": ("ask-slowly", {}, "c")}
    nodes["c"] = ("raise-event", {"event_type": "told", "properties": {"n": "profile@stats.events"}})
    asked: list[int] = []
    slow.acts.append(lambda: asked.append(1))
    found = []
    for steps in range(1, 40):
        world = World(lives=[1_000, steps, steps, steps])
        world.define(nodes)
        world.profile("ann")
        assert world.live(world.order("ann"))[-1] == "done"
        (kept,) = world.kept()
        found.append((world.sent, [[(step.node, step.port) for step in leg.steps] for leg in kept.legs]))
    assert found == found[-1:] * 39
    assert len(asked) > 2 * 39, "it was never killed before what came of the node was saved"


def test_a_dry_run_has_it_run_and_shows_what_is_behind_it(slow: ModuleType) -> None:
    tried = try_flow(spec(THEN), compiled(THEN), DOCUMENTS, now_ms=NOW_MS)
    assert (tried.state, [step["node"] for step in tried.legs[0].steps]) == ("done", ["start", "a", "slow", "b"])
    assert [effect["node"] for effect in tried.legs[0].effects] == ["a", "b"]
    nodes = {"start": ("start", {}, "n"), "n": ("hang", {}, {"error": "b"}), "b": ("end",)}
    tried = try_flow(spec(nodes), compiled(nodes), DOCUMENTS, now_ms=NOW_MS, long_s=0.1)
    assert [step["error"] for step in tried.legs[0].steps] == ["", "it has not come to an end within 0.1 s", ""]


def _passing(world: World, ms: int) -> Callable[[], None]:
    """So long it takes."""

    def act() -> None:
        world.now_ms += ms

    return act


def _cancelled(world: World) -> KeptRun:
    (kept,) = world.kept()
    return msgspec.structs.replace(kept, state="cancelled", turn=kept.turn + 1)
