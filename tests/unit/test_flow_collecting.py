"""What the collector tells of flows: which ones an event lets run, whose pauses it may end; told again, the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api.flow_story import flows_story
from hub.api.story import Found, event_story
from hub.cli.trace import lines
from hub.collector.definitions import CompiledDefinitions
from hub.collector.waited import WaitedTypes
from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Flow
from hub.flows.loops import SOURCE as FLOWS
from hub.flows.triggers import Triggers
from hub.flows.waits import waited_types
from hub.model import partition_of
from hub.pipeline.definitions import Definitions
from hub.pipeline.flow_changes import RAISED_BY
from hub.pipeline.flow_triggers import Flows
from hub.pipeline.heartbeat import SOURCE as HEARTBEATS
from hub.pipeline.segments import NO_SEGMENTS, Segments
from hub.pipeline.system_events import id_of
from hub.replay.definitions import specs_of
from hub.store.memory import MemoryStore
from hub.store.port import DefinitionVersion
from schemas.flows import KIND, WAIT_KIND, FlowOrder, decode_order
from schemas.records import Inbound, Trigger
from tests.factories import NOW_MS, event, track
from tests.unit.flow_cases import spec
from tests.unit.hub_model import DEFINITIONS, Hub
from tests.unit.segment_cases import listed, segments, sent
from tests.unit.test_identity import settled, sign_in, told
from tests.unit.test_modes import with_options
from tests.unit.test_privacy import order, sweep

SIGN_IN = {"type": "event", "event_type": "sign-in"}
NOTHING_MORE = Found("hub.events.v1", None, "gone", None, {})
RICH = segments(rich="traits.sum > 5")


def flow(*triggers: dict[str, Any], **more: Any) -> Flow:
    return spec({"start": ("start",)}, triggers=list(triggers), **more)


def with_flows(flows: Mapping[str, Flow], some: Segments = NO_SEGMENTS, waited: tuple[str, ...] = ()) -> Definitions:
    """In force, each as version 3."""
    triggers = Triggers({id: (one, 3) for id, one in flows.items()}) or None
    return msgspec.structs.replace(DEFINITIONS, segments=some, flows=Flows(triggers, frozenset(waited)))


def hub_with(
    flows: Mapping[str, Flow],
    *inbounds: Inbound,
    some: Segments = NO_SEGMENTS,
    waited: tuple[str, ...] = (),
) -> Hub:
    return settled(*inbounds, hub=Hub(definitions=with_flows(flows, some, waited)))


def runs(hub: Hub) -> list[tuple[str, str]]:
    """(flow, event), in the order in which they were told."""
    return [(one["target"], str(one["event_id"])) for one in hub.log.triggers if one["kind"] == KIND]


def test_an_event_lets_a_flow_run_once() -> None:
    one = sent("e1", "ann", 2)
    hub = hub_with({"tea": flow(SIGN_IN), "off": flow(SIGN_IN, enabled=False)}, one, sent("e2", "ann", type="other"))
    (trigger,) = hub.log.triggers
    assert (trigger["kind"], trigger["target"], trigger["profile_id"]) == (KIND, "tea", "ann")
    assert (trigger["event_id"], trigger["at_ms"]) == ("e1", NOW_MS)
    assert decode_order(trigger["data"]) == FlowOrder(3, partition_of(NOW_MS, NOW_MS))
    assert told(hub, "e1")["flows"] == {"run": {"tea": 3}}
    assert "flows" not in told(hub, "e2")
    # sent again, it is a duplicate
    settled(one, hub=hub)
    assert len(hub.log.triggers) == 1


def test_a_trigger_says_where_its_event_and_session_are() -> None:
    then_ms = NOW_MS - 90 * 86_400_000
    one = track("ann", event("e1", "sign-in", time_ms=then_ms), session_id="s1")
    hub = hub_with({"tea": flow(SIGN_IN)}, one)
    (trigger,) = hub.log.triggers
    assert decode_order(trigger["data"]) == FlowOrder(3, partition_of(then_ms, NOW_MS), "s1")


def test_conditions_see_the_profile_with_its_payload_applied_and_its_segments_judged() -> None:
    flows = {
        "sum": flow({**SIGN_IN, "condition": "profile@traits.sum > 5"}),
        "in": flow({**SIGN_IN, "condition": 'profile@segments CONTAINS "rich"'}),
        "visit": flow({**SIGN_IN, "condition": "session@stats.events = 2 AND event@properties.n = 4"}),
    }
    first = track("ann", event("e1", "sign-in", n=3), session_id="s1")
    # both of one payload see what the payload has made of the profile
    second = track("ann", event("e2", "sign-in", n=4), event("e3", "other"), session_id="s1")
    second_sum = track("ann", event("e4", "sign-in", n=1), event("e5", "sign-in", n=-9), session_id="s1")
    hub = hub_with(flows, first, second, second_sum, some=RICH)
    assert runs(hub) == [("in", "e2"), ("sum", "e2")]
    late = track("bob", event("e6", "sign-in", n=4), event("e7", "sign-in", n=1), session_id="s2")
    assert runs(settled(late, hub=hub))[2:] == [("visit", "e6")]


def test_who_enters_a_segment_and_leaves_it() -> None:
    flows = {
        "in": flow({"type": "segment-entered", "segment": "rich", "condition": "profile@traits.sum = 7"}),
        "out": flow({"type": "segment-left", "segment": "rich"}),
        "vip": flow({"type": "segment-entered", "segment": "vip"}),
    }
    some = segments(rich="traits.sum > 5", vip=None)
    hub = hub_with(flows, sent("e1", "ann", 3), sent("e2", "ann", 4), sent("e3", "bob", 9), some=some)
    (trigger,) = hub.log.triggers
    assert (trigger["target"], trigger["profile_id"]) == ("in", "ann")
    entered = told(hub, str(trigger["event_id"]))
    assert (entered["type"], entered["properties"]["event"]) == ("segment-entered", "e2")
    # without an event of its own: a list, and one that does nothing
    settled(listed("bob", ["vip"]), listed("bob", ["vip"], at_ms=1), sent("e4", "bob", -9), hub=hub)
    assert [one["target"] for one in hub.log.triggers] == ["in", "vip", "out"]
    # a sender's own event of that name is just an event
    settled(sent("e5", "bob", type="segment-entered"), hub=hub)
    assert len(hub.log.triggers) == 3


def beat(id: str, profile_id: str, heartbeat: str = "daily") -> Inbound:
    one = track(profile_id, event(id, "looked", n=1), source=HEARTBEATS)
    return {**one, "origin": f"heartbeat:{heartbeat}"}


def test_heartbeats_are_also_events_of_their_type() -> None:
    flows = {
        "beat": flow({"type": "heartbeat", "heartbeat": "daily"}),
        "both": flow({"type": "event", "event_type": "looked"}, {"type": "heartbeat", "heartbeat": "daily"}),
        "from": flow({"type": "event", "event_type": "looked", "source": HEARTBEATS}),
    }
    hub = hub_with(flows, sent("e1", "ann"), beat("b1", "ann"), beat("b2", "ann", "other"), beat("b3", "nobody"))
    assert sorted(runs(hub)) == [("beat", "b1"), ("both", "b1"), ("both", "b2"), ("from", "b1"), ("from", "b2")]


def test_events_of_the_hub_and_of_flows() -> None:
    flows = {
        "new": flow({"type": "event", "event_type": "profile-created"}),
        "raised": flow({"type": "event", "event_type": "praised"}),
        "changed": flow({"type": "event", "event_type": "flow-change"}),
    }
    raised = track("ann", event("e2", "praised"), source=FLOWS)
    raised["body"][1]["events"][0]["context"] = msgspec.json.encode({RAISED_BY: {"depth": 2}})  # type: ignore[typeddict-item]
    changed = track("ann", event("e3", "flow-change"), source=FLOWS)
    hub = hub_with(flows, with_options({"systemEvents": True}, sign_in("e1", "ann", 1)), raised, changed)
    assert runs(hub) == [("new", id_of("profile-created", "e1")), ("raised", "e2"), ("changed", "e3")]


def test_an_event_without_a_profile_lets_flows_run_and_ends_no_pause() -> None:
    flows = {"tea": flow(SIGN_IN), "known": flow({**SIGN_IN, "condition": "profile@id EXISTS"})}
    hub = hub_with(flows, track("", event("e1", "sign-in")), waited=("sign-in",))
    assert [(one["target"], one["profile_id"]) for one in hub.log.triggers] == [("tea", "")]


def test_a_pause_may_wait_for_any_event_of_a_profile() -> None:
    hub = hub_with({"tea": flow(SIGN_IN)}, sent("e1", "ann"), sent("e2", "ann", type="other"), waited=("sign-in",))
    waits, runs = hub.log.triggers
    # first the pauses: a run that begins with an event is not ended by the same one
    assert (waits["kind"], waits["target"], waits["profile_id"]) == (WAIT_KIND, "sign-in", "ann")
    assert decode_order(waits["data"]).version == 0
    assert (runs["kind"], runs["target"]) == (KIND, "tea")
    assert told(hub, "e1")["flows"] == {"run": {"tea": 3}, "waits": True}
    story = flows_story(told(hub, "e1"))
    assert story is not None
    assert [(one["id"], one["version"]) for one in story["triggered"]] == [("tea", 3)]
    assert story["may_end_pauses"]
    (run,) = [line for line in lines(event_story(told(hub, "e1"), NOTHING_MORE)) if "tea version 3" in line]
    assert story["triggered"][0]["run"] in run
    assert flows_story(told(hub, "e2")) is None
    assert not [line for line in lines(event_story(told(hub, "e2"), NOTHING_MORE)) if "flow " in line]


def test_a_shadow_gets_no_flows() -> None:
    catalogue = Catalogue()
    catalogue.apply(b"flow/tea", definition({}, SIGN_IN), 0)
    catalogue.apply(b"flow-draft/tea", definition({}, SIGN_IN), 1)
    assert specs_of(catalogue) == {}


def test_what_is_not_kept_lets_nothing_run() -> None:
    quiet = with_options({"saveEvents": False}, sign_in("e1", "ann", 1))
    hub = hub_with({"tea": flow(SIGN_IN)}, quiet, waited=("sign-in",))
    assert hub.log.triggers == []


def test_an_event_of_a_merged_profile_lets_flows_run_for_whom_it_was_applied_to() -> None:
    some = {"tea": flow({**SIGN_IN, "condition": "profile@traits.sum > 0"})}
    hub = hub_with(some, sign_in("e1", "ann", 1, "w"), sign_in("e2", "bob", 2, "w"), sign_in("e3", "bob", 3))
    # bob ended with e2, as his own profile; e3 was handed on to ann
    assert [(one["profile_id"], one["event_id"]) for one in hub.log.triggers] == [
        ("ann", "e1"),
        ("bob", "e2"),
        ("ann", "e3"),
    ]


def test_an_event_of_anothers_session_is_handed_on_and_lets_flows_run_there() -> None:
    first, second = sign_in("e1", "ann", 1, session_id="s"), sign_in("e2", "bob", 2, session_id="s")
    hub = hub_with({"tea": flow(SIGN_IN)}, first, second)
    assert [(one["profile_id"], one["event_id"]) for one in hub.log.triggers] == [("ann", "e1"), ("ann", "e2")]


def test_who_was_erased_lets_nothing_run_when_the_log_is_read_again() -> None:
    hub = hub_with({"tea": flow(SIGN_IN)}, sign_in("e1", "ann", 1))
    settled(order("o1", "ann"), hub=hub)
    sweep(hub.store)
    hub.log.triggers.clear()
    for owner in hub.owners:
        owner.committed = 0
        owner.take_over()
    hub.settle()
    assert hub.log.triggers == []


@pytest.mark.parametrize("others", [{"jam": flow(SIGN_IN), "tea": flow(SIGN_IN)}, {}])
def test_what_is_told_again_is_the_same_whatever_flows_there_are_by_then(others: dict[str, Flow]) -> None:
    flows = {
        "tea": flow({**SIGN_IN, "condition": "profile@traits.sum < 5"}),
        "in": flow({"type": "segment-entered", "segment": "rich"}),
        "new": flow({"type": "event", "event_type": "session-opened"}),
    }
    hub = Hub(1, definitions=with_flows(flows, RICH, ("sign-in",)))
    hub.put(
        with_options({"systemEvents": True}, sign_in("e1", "ann", 3, session_id="s1")),
        sent("e2", "ann", 4),
        sent("e3", "ann", -9),
        track("", event("e4", "sign-in")),
    )
    hub.settle()
    first = list(hub.log.triggers)
    assert {one["target"] for one in first} == {"sign-in", "tea", "in", "new"}
    hub.log.triggers.clear()
    hub.owners[0].definitions = with_flows(others, RICH)
    hub.owners[0].committed = 0
    hub.owners[0].take_over()
    hub.settle(most=1)
    assert hub.log.triggers == first


def test_a_batch_cut_differently_and_told_in_pieces_tells_of_the_same_runs() -> None:
    flows = {"tea": flow({**SIGN_IN, "condition": "profile@traits.sum > 2"})}
    inbounds = [sign_in(f"e{n}", "ann" if n % 2 else "bob", 1) for n in range(12)]
    whole = hub_with(flows, *inbounds)
    assert_same_triggers(flows, inbounds, [(5, "written"), (3, "told"), (7, ""), (2, "computed")], whole)


STEPS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["", "computed", "written", "told"])), max_size=12)
SENT = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(-4, 4), st.sampled_from(["", "w1", "w2"])), min_size=1, max_size=10
)


@given(SENT, STEPS)
def test_each_trigger_is_told_whatever_dies_and_no_other(
    people: list[tuple[str, int, str]], steps: list[tuple[int, str]]
) -> None:
    """One partition, so that the order is that of the log, crashes or not."""
    flows = {
        "sum": flow({**SIGN_IN, "condition": "profile@traits.sum > 2"}),
        "in": flow({"type": "segment-entered", "segment": "rich"}),
        "all": flow(SIGN_IN),
    }
    inbounds = [sign_in(f"e{n}", id, number, who) for n, (id, number, who) in enumerate(people)]
    whole = Hub(1, definitions=with_flows(flows, RICH, ("sign-in",)))
    whole.put(*inbounds)
    whole.settle(most=1)
    assert_same_triggers(flows, inbounds, steps, whole)


def assert_same_triggers(
    flows: dict[str, Flow], inbounds: list[Inbound], steps: list[tuple[int, str]], whole: Hub
) -> None:
    """As `whole` has told them, at least once each, the same each time, and in the order of the first time."""
    hub = Hub(len(whole.owners), definitions=whole.owners[0].definitions)
    hub.put(*inbounds)
    for most, crash in steps:
        for owner in hub.owners:
            owner.step(most, crash)
    hub.settle()
    expected = by_id(whole.log.triggers)
    assert by_id(hub.log.triggers) == expected
    for profile_id in {one["profile_id"] for one in expected.values()}:
        assert [id for id, one in by_id(hub.log.triggers).items() if one["profile_id"] == profile_id] == [
            id for id, one in expected.items() if one["profile_id"] == profile_id
        ]


def by_id(triggers: list[Trigger]) -> dict[str, Trigger]:
    found: dict[str, Trigger] = {}
    for one in triggers:
        assert found.setdefault(one["id"], one) == one, "told twice, and not the same"
    return found


def definition(nodes: dict[str, Any], *triggers: dict[str, Any]) -> bytes:
    document = spec({"start": ("start",), **nodes}, triggers=list(triggers)).model_dump(mode="json")
    return msgspec.json.encode({"spec": document, "updated_at_ms": 0})


def pause(type: str) -> dict[str, Any]:
    return {"p": ("pause", {"wait": "7d", "event_type": type})}


def test_the_collector_goes_by_what_is_in_force_and_knows_what_older_versions_wait_for() -> None:
    catalogue = Catalogue()
    waited = WaitedTypes(catalogue)
    compiled = CompiledDefinitions(catalogue, waited=waited)
    assert not compiled.at_least(-1).flows
    catalogue.apply(b"flow/tea", definition(pause("purchase"), SIGN_IN), 0)
    catalogue.apply(b"flow-draft/tea", definition(pause("never")), 1)
    first = compiled.at_least(1).flows
    assert compiled.at_least(1).flows is first
    assert first.triggers is not None
    assert list(first.triggers.matched({"type": "sign-in", "source": {"id": "shop"}}, {}, {}, 0)) == [("tea", 0)]
    # never in force for any batch, and a run of it may have begun elsewhere
    catalogue.apply(b"flow/tea", definition(pause("visit")), 2)
    catalogue.apply(b"flow/tea", definition({}), 3)
    second = compiled.at_least(3).flows
    assert second == Flows(None, frozenset({"purchase", "visit"}))
    catalogue.apply(b"flow/tea", None, 4)
    assert compiled.at_least(4).flows.waited == {"purchase", "visit"}


def test_the_collector_knows_what_was_waited_for_before_it_began() -> None:
    store = MemoryStore()
    specs = [spec(pause(type)).model_dump_json() for type in ("older", "newer")]
    versions = [DefinitionVersion("flow", "tea", version, 0, text) for version, text in enumerate([*specs, None], 5)]
    deleted = [("other", 9, spec(pause("others")).model_dump_json()), ("other", 10, None)]
    store.keep_versions([*versions, *(DefinitionVersion("flow", id, at, 0, text) for id, at, text in deleted)])
    store.keep_versions([DefinitionVersion("flow-draft", "tea", 11, 0, spec(pause("never")).model_dump_json())])
    waited = WaitedTypes(Catalogue())
    waited.remember(store, ["tea"])
    # a run of a flow that is deleted by now may come to its pause later
    assert waited.types == {"older", "newer", "others"}


@pytest.mark.parametrize(
    ("nodes", "types"),
    [
        ({"p": ("pause", {"wait": "1d", "event_type": "purchase"}), "q": ("pause", {"wait": "1d"})}, ["purchase"]),
        ({"r": ("raise-event", {"event_type": "praised"})}, []),
        ({"o": ("somebodys", {"event_type": "called", "more": 1})}, ["called"]),
    ],
)
def test_which_events_a_flow_may_wait_for(nodes: dict[str, Any], types: list[str]) -> None:
    assert list(waited_types(spec(nodes).model_dump(mode="json"))) == types


@pytest.mark.parametrize("odd", [None, 1, {}, {"nodes": 1}, {"nodes": {"a": 1}}, {"nodes": {"a": {"config": []}}}])
def test_a_flow_that_cannot_be_read_waits_for_nothing(odd: Any) -> None:
    assert list(waited_types(odd)) == []
