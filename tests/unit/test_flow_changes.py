"""What a run does inside the hub: the records it sends, and what they do to profiles, once each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.collector.state import Memory
from hub.copying.requests import look
from hub.definitions.kinds import EventType, Filter, Mapping
from hub.flows.effects import ChangeField, ChangeSegment, Effect, MergeProfiles, RaiseEvent, Respond
from hub.flows.loops import depth_of, raised_by
from hub.flows.node import NodeFault
from hub.flows.patch import check
from hub.flows.records import FLOW, ran_ms, records
from hub.pipeline.definitions import Definitions
from hub.pipeline.documents import iso
from hub.pipeline.event_types import compile_event_types
from hub.pipeline.flow_changes import TYPE
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.process import process
from hub.pipeline.records import LogRecord, decode
from hub.pipeline.rules.steps import compile_steps
from hub.replay.rebuild import inbound_of
from hub.settings import Collector
from hub.store.factory import open_store
from hub.store.port import Store
from schemas.codec import encode_inbound
from schemas.records import MERGE, TRACK, Inbound
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import DEFINITIONS, Hub
from tests.unit.segment_cases import crossings, define, segments, with_segments
from tests.unit.test_identity import ask, assert_balanced, settled, sign_in, told, undo
from tests.unit.test_privacy import LATER_MS, order, sweep

GIFT = ChangeField("set", "traits.gift", "tea")
ONE_MORE = ChangeField("increment", "stats.gifts", 1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'hub.sqlite'}")


def leg(
    profile_id: str,
    *effects: Effect | tuple[str, Effect],
    run: str = "r1",
    at_ms: int = 0,
    depth: int = 0,
    offset: int = -1,
) -> list[Inbound]:
    """What a leg of the flow `tea` sends, so long after NOW_MS; effects without a node are of the node `n`."""
    wanted = [one if isinstance(one, tuple) else ("n", one) for one in effects]
    made = records(
        run, "tea", 3, profile_id, "s1", wanted, now_ms=NOW_MS + at_ms, definitions_offset=offset, depth=depth
    )
    return [inbound for _, inbound in made]


def change_of(hub: Hub, profile_id: str, *effects: Effect, **more: Any) -> dict[str, Any]:
    """The document of the event of such a leg, once it is stored."""
    made = leg(profile_id, *effects, **more)
    settled(*made, hub=hub)
    return told(hub, made[0]["id"])


def raised(type: str, profile: str = "", session: str = "", id: str = "x1") -> RaiseEvent:
    context = raised_by({"id": "tea", "version": 3, "run": "r1"}, 1)
    return RaiseEvent(id, type, profile, session, {"n": 1}, context)


def events(inbound: Inbound) -> list[dict[str, Any]]:
    assert inbound["body"][0] == TRACK
    return [
        {**one, "properties": msgspec.json.decode(one["properties"]), "context": msgspec.json.decode(one["context"])}
        for one in inbound["body"][1]["events"]
    ]


def test_all_changes_of_a_leg_are_one_event_and_the_rest_comes_behind_it() -> None:
    effects: list[tuple[str, Effect]] = [
        ("tell", raised("gift-given", "ann", "s9", id="x1")),
        ("gift", GIFT),
        ("answer", Respond({"ok": True})),
        ("count", ONE_MORE),
        ("in", ChangeSegment("regulars", enters=True)),
        ("out", ChangeSegment("regulars", enters=False)),
        ("in", ChangeSegment("friends", enters=True)),
        ("same", MergeProfiles("m1", "bob")),
        ("log", raised("noticed", id="x2")),
    ]
    made = records("r1", "tea", 3, "ann", "s1", effects, now_ms=NOW_MS, definitions_offset=7, depth=1)
    keys, inbounds = [key for key, _ in made], [one for _, one in made]
    assert keys == ["ann", "ann", "ann", "x2"]
    assert {one["origin"] for one in inbounds} == {"flow:tea:r1"}
    assert {(one["received_at_ms"], one["definitions_offset"]) for one in inbounds} == {(NOW_MS, 7)}
    (changed,) = events(inbounds[0])
    assert (inbounds[0]["source"], changed["type"], changed["time_ms"]) == (FLOW, TYPE, None)
    assert changed["properties"] == {
        "flow": "tea",
        "version": 3,
        "run": "r1",
        "session": "s1",
        "changes": [
            {"op": "set", "field": "traits.gift", "value": "tea", "node": "gift"},
            {"op": "increment", "field": "stats.gifts", "value": 1, "node": "count"},
        ],
        "enter": ["friends"],
        "leave": ["regulars"],
    }
    assert changed["context"]["raised_by"] == {"flow": "tea", "version": 3, "run": "r1", "depth": 2}
    assert [one["body"][1]["session_id"] for one in inbounds if one["body"][0] == TRACK] == [None, "s9", None]
    assert [one["id"] for one in inbounds[1:]] == ["x1", "m1", "x2"]
    merge, nobody = inbounds[2], inbounds[3]
    assert merge["body"][0] == MERGE
    assert (merge["body"][1]["step"], merge["body"][1]["loser_id"]) == ("ask", "bob")
    assert nobody["body"][0] == TRACK
    assert (nobody["profile_id"], nobody["body"][1]["profile_less"]) == ("", True)


def test_the_same_run_sends_the_same_events_whenever_it_is_made() -> None:
    early, late = leg("ann", GIFT, raised("a")), leg("ann", GIFT, raised("a"), at_ms=60_000)
    assert [one["body"] for one in early] == [one["body"] for one in late]
    assert [one["id"] for one in early] == [one["id"] for one in late]
    # who ann is part of by now changes nothing, and what another node wants is another change
    assert leg("aaa", GIFT)[0]["id"] == early[0]["id"] != leg("ann", ("m", GIFT))[0]["id"]
    assert leg("ann", Respond({})) == []


def test_a_leg_is_no_older_than_what_it_has_seen() -> None:
    profile = {"metadata": {"time": {"update": iso(NOW_MS + 1_500)}}}
    assert ran_ms(NOW_MS, profile) == NOW_MS + 1_500
    assert ran_ms(NOW_MS + 9_000, profile) == NOW_MS + 9_000
    assert ran_ms(NOW_MS, {}) == NOW_MS


def test_operations_do_what_lines_of_mappings_do(store: Store) -> None:
    hub = settled(sign_in("e1", "ann", 1), hub=Hub(store=store))
    document = change_of(
        hub,
        "ann",
        GIFT,
        ONE_MORE,
        ChangeField("add", "traits.sum", 2),
        ChangeField("append", "data.preferences.colors", "red"),
        ChangeField("min", "traits.low", 3, merge="last"),
        ChangeField("set", "traits.nothing", None),
    )
    profile = hub.profile("ann")
    assert profile["traits"]["gift"] == "tea"
    assert (profile["stats"]["gifts"], profile["traits"]["sum"]) == (1, 3)
    assert profile["data"]["preferences"]["colors"] == ["red"]
    assert "nothing" not in profile["traits"]
    fields, id = profile["metadata"]["fields"], document["id"]
    assert fields["traits.gift"] == [iso(NOW_MS), id]
    assert fields["stats.gifts"] == [iso(NOW_MS), id, "sum"]
    assert fields["traits.low"] == [iso(NOW_MS), id]
    assert profile["stats"]["events"] == 2
    assert {one["field"] for one in document["outcome"]["changes"]} >= {"traits.gift", "stats.gifts", "traits.sum"}
    assert document["metadata"]["flags"] == []
    assert document["metadata"]["origin"] == "flow:tea:r1"
    assert_balanced(hub, 2)
    assert {key.source: counts.stored for key, counts in hub.store.counters()} == {"shop": 1, FLOW: 1}


def test_what_cannot_be_applied_flags_the_event_and_costs_only_itself() -> None:
    some = segments(friends=None, rich="traits.sum > 5", shut="traits.sum > 5", frozen=frozenset({"shut"}))
    hub = settled(sign_in("e1", "ann", 1), hub=Hub(definitions=with_segments(some)))
    document = change_of(
        hub,
        "ann",
        ChangeField("increment", "traits.gift", 1),
        ChangeField("set", "traits.gift", "tea"),
        ChangeField("increment", "traits.gift", 1),
        ChangeField("set", "metadata.version", 1),
        ChangeField("set", "stats.events", 100),
        ChangeField("delete", "id"),
        *(ChangeSegment(id, enters=True) for id in ("rich", "shut", "gone", "friends")),
    )
    assert hub.profile("ann")["traits"]["gift"] == "tea"
    assert hub.profile("ann")["stats"]["events"] == 2
    assert hub.profile("ann")["segments"] == ["friends"]
    assert document["metadata"]["flags"] == ["mapping_problem"]
    problems = document["outcome"]["problems"]
    assert {one["mapping"] for one in problems} == {"flow/tea"}
    wrong = ["metadata.version", "stats.events", "id", "segments.rich", "segments.shut", "segments.gone", "traits.gift"]
    assert [one["field"] for one in problems] == wrong
    assert_balanced(hub, 3)


@pytest.mark.parametrize(
    "properties", [{"changes": 1}, {"flow": "f", "version": 1, "run": "r", "changes": [{"op": 1}]}]
)
def test_a_change_that_is_none_is_kept_and_flagged(properties: dict[str, Any]) -> None:
    hub = settled(sign_in("e1", "ann", 1), track("ann", event("f1", TYPE, **properties), source=FLOW))
    assert told(hub, "f1")["metadata"]["flags"] == ["mapping_problem"]
    assert_balanced(hub, 2)


def test_only_the_hub_itself_changes_profiles_like_this() -> None:
    """Whoever else sends such an event has sent an ordinary one."""
    hub = settled(sign_in("e1", "ann", 1))
    record = leg("ann", GIFT)[0]
    record["source"] = "shop"
    settled(record, hub=hub)
    assert "gift" not in hub.profile("ann")["traits"]
    assert told(hub, record["id"])["metadata"]["flags"] == []


def test_a_record_that_is_sent_again_counts_once(store: Store) -> None:
    hub = Hub(store=store)
    settled(sign_in("e1", "ann", 1), *leg("ann", ONE_MORE), *leg("ann", ONE_MORE, at_ms=3_600_000), hub=hub)
    assert hub.profile("ann")["stats"] == {"events": 2, "visits": 0, "gifts": 1}
    assert hub.counts()["duplicate"] == 1
    outcome = _outcome(hub, *leg("ann", ONE_MORE, at_ms=7_200_000))
    assert outcome.conflicts == {}, "it says the same, whenever it was made"
    settled(*leg("ann", ONE_MORE, run="r2"), hub=hub)
    assert hub.profile("ann")["stats"]["gifts"] == 2


def test_it_follows_a_merge_and_counts_once_on_both_ways(store: Store) -> None:
    """The run began with bob; before it is made again, bob is part of ann."""
    hub = settled(sign_in("e1", "ann", 1, "w"), sign_in("e2", "bob", 2), hub=Hub(store=store))
    settled(*leg("bob", ONE_MORE), ask("bob", "ann"), hub=hub)
    settled(*leg("bob", ONE_MORE, at_ms=9), *leg("ann", ONE_MORE, at_ms=9), hub=hub)
    settled(*leg("bob", ONE_MORE, run="r2"), hub=hub)
    profile = hub.profile("bob")
    assert (profile["id"], profile["stats"]["gifts"]) == ("ann", 2)
    assert_balanced(hub, 6)


def test_a_leg_that_was_overtaken_sets_nothing_that_is_newer() -> None:
    """What it saw is as old as it is: it was at 10 s, the event was received at 20 s."""
    hub = settled(_at("e1", "ann", "coffee", 0), hub=_gifts())
    settled(_at("e2", "ann", "milk", 20_000), *leg("ann", GIFT, ONE_MORE, at_ms=10_000), hub=hub)
    assert hub.profile("ann")["traits"]["gift"] == "milk"
    assert hub.profile("ann")["stats"]["gifts"] == 1


def test_a_leg_that_has_seen_all_sets_what_it_wants_whatever_clocks_say() -> None:
    """The clock of the client that sent what the flow answers to is an hour ahead."""
    hub = settled(_at("e1", "ann", "coffee", 0, clock_ms=3_600_000), hub=_gifts())
    settled(*leg("ann", GIFT, at_ms=10), hub=hub)
    assert hub.profile("ann")["traits"]["gift"] == "tea"
    settled(_at("e2", "ann", "milk", 20), hub=hub)
    assert hub.profile("ann")["traits"]["gift"] == "milk", "a newer event of the same sender comes later in the log"


def test_a_merge_undone_leaves_each_with_what_flows_changed_in_it() -> None:
    """As if the two had never been one; a leg that was late counts as late again."""

    def made(*, together: bool) -> Hub:
        hub = settled(_at("a1", "ann", "coffee", 0), _at("b1", "bob", "cocoa", 0), hub=_gifts())
        if together:
            settled(ask("ann", "bob"), hub=hub)
        settled(
            *leg("ann", GIFT, ONE_MORE, run="r1", at_ms=10_000),
            *leg("bob", ChangeField("set", "traits.gift", "cake"), ONE_MORE, run="r2", at_ms=11_000),
            *leg("bob", ChangeField("append", "traits.list", 1), run="r3", at_ms=12_000),
            _at("b2", "bob", "milk", 20_000),
            *leg("bob", GIFT, ONE_MORE, run="r4", at_ms=15_000),
            *leg("ann", ChangeField("delete", "traits.gift"), run="r5", at_ms=30_000),
            hub=hub,
        )
        if together:
            assert hub.profile("ann")["stats"]["gifts"] == 3
            settled(undo(hub, "bob"), hub=hub)
        return hub

    parted, apart = made(together=True), made(together=False)
    for id in ("ann", "bob"):
        found, wanted = parted.profile(id), apart.profile(id)
        assert [found["id"], found["traits"], found["stats"]] == [id, wanted["traits"], wanted["stats"]]
        assert found["metadata"]["fields"] == wanted["metadata"]["fields"]
    assert parted.profile("bob")["traits"] == {"gift": "milk", "list": [1]}


def test_a_merge_undone_leaves_each_in_the_segments_that_flows_let_it_into() -> None:
    """As if the two had never been one: into which of them somebody was let before, and since, and who left."""

    def made(*, together: bool) -> Hub:
        some = segments(friends=None, regulars=None, old=None, late=None)
        hub = settled(sign_in("a1", "ann", 1), sign_in("b1", "bob", 1), hub=Hub(definitions=with_segments(some)))
        settled(*leg("bob", ChangeSegment("old", enters=True), run="r0", at_ms=5), hub=hub)
        if together:
            settled(ask("ann", "bob"), hub=hub)
        settled(
            *leg("bob", GIFT, ChangeSegment("friends", enters=True), run="r1", at_ms=10),
            *leg("ann", ChangeSegment("regulars", enters=True), run="r2", at_ms=11),
            *leg("bob", ChangeSegment("late", enters=True), run="r3", at_ms=12),
            *leg("bob", ChangeSegment("late", enters=False), ChangeSegment("old", enters=False), run="r4", at_ms=13),
            hub=hub,
        )
        if together:
            assert hub.profile("ann")["segments"] == ["friends", "regulars"]
            settled(undo(hub, "bob"), hub=hub)
        return hub

    parted, apart = made(together=True), made(together=False)
    for id in ("ann", "bob"):
        found, wanted = parted.profile(id), apart.profile(id)
        assert found["segments"] == wanted["segments"]
        assert found["metadata"].get("segments", {}) == wanted["metadata"].get("segments", {})
    assert (parted.profile("ann")["segments"], parted.profile("bob")["segments"]) == (["regulars"], ["friends"])


def test_a_copy_of_mappings_applies_a_change_no_second_time() -> None:
    """Also when a mapping is defined for such events, which is then what is copied."""
    mapping = Mapping.model_validate(
        {"event_type": TYPE, "fields": [{"event": "properties.flow", "profile": "traits.flows", "op": "append-unique"}]}
    )
    newer = Definitions(1, compile_mappings([("flows", mapping)]))
    hub = settled(sign_in("e1", "ann", 1), *leg("ann", ONE_MORE))
    document = hub.store.get("events", leg("ann", ONE_MORE)[0]["id"])
    assert document is not None
    assert "mapped" not in document["outcome"]
    assert look([msgspec.json.encode(document)], DEFINITIONS, []).counts == {"applied_already": 1}
    assert look([msgspec.json.encode(document)], newer, []).counts == {"to_copy": 1}
    for owner in hub.owners:
        owner.definitions = newer
    settled(*leg("ann", ONE_MORE, run="r2"), hub=hub)
    assert hub.profile("ann")["traits"]["flows"] == ["tea"]
    assert hub.profile("ann")["stats"]["gifts"] == 2
    both = told(hub, leg("ann", ONE_MORE, run="r2")[0]["id"])
    assert both["outcome"]["mapped"].keys() == {"flows"}


def test_a_replay_does_the_same_again() -> None:
    """From the log, and from the store once Kafka has nothing any more."""
    some = segments(friends=None)
    sent = [sign_in("e1", "ann", 1), *leg("ann", GIFT, ONE_MORE, ChangeSegment("friends", enters=True), at_ms=5)]
    hub = settled(*sent, hub=Hub(definitions=with_segments(some)))
    found = hub.store.get("events", sent[1]["id"])
    assert found is not None
    rebuilt = inbound_of([msgspec.json.encode(found)])
    assert rebuilt is not None
    for record in (sent[1], rebuilt):
        shadow = settled(sent[0], record, hub=Hub(definitions=with_segments(some)))
        assert shadow.profile("ann") == hub.profile("ann")
        assert crossings(shadow) == crossings(hub)


def test_who_was_erased_comes_back_by_no_flow(store: Store) -> None:
    """Neither by a leg from before, nor by one that had not heard of it."""
    hub = settled(sign_in("e1", "ann", 1), hub=Hub(store=store))
    before, after = leg("ann", GIFT), leg("ann", GIFT, run="r2", at_ms=LATER_MS - NOW_MS + 60_000)
    settled(order("o1", "ann"), hub=hub)
    sweep(hub.store)
    settled(*before, *after, hub=hub)
    assert hub.store.get("profiles", "ann") is None
    assert hub.store.count("events", "") == 0
    assert hub.counts()["dropped"] == 2
    # an event that a flow raises of somebody is for whoever that is by then
    settled(*leg("", raised("hello", "ann"), at_ms=LATER_MS - NOW_MS + 60_000), hub=hub)
    assert hub.profile("ann")["stats"]["events"] == 1


def test_it_lets_into_segments_and_out_and_everybody_hears_of_it() -> None:
    some = segments(friends=None, old=None, tea="traits.gift = tea")
    hub = settled(sign_in("e1", "ann", 1), hub=Hub(definitions=with_segments(some)))
    first = leg("ann", ChangeSegment("old", enters=True))
    second = leg(
        "ann",
        GIFT,
        ChangeSegment("friends", enters=True),
        ChangeSegment("old", enters=False),
        run="r2",
        at_ms=10,
        depth=2,
    )
    settled(*first, hub=hub)
    outcome = _outcome(hub, *second)
    assert [(one["type"], one["segments_entered"], one["segments_left"]) for one in outcome.stored] == [
        (TYPE, ["friends", "tea"], ["old"]),
        ("segment-entered", [], []),
        ("segment-left", [], []),
        ("segment-entered", [], []),
    ]
    settled(*second, hub=hub)
    assert hub.profile("ann")["segments"] == ["friends", "tea"]
    entry = hub.profile("ann")["metadata"]["segments"]["friends"]
    assert (entry["by"], entry["event"]) == ("flow", second[0]["id"])
    assert crossings(hub) == [("+", "old"), ("+", "friends"), ("-", "old"), ("+", "tea")]
    crossed = hub.store.search("events", 'source = "@segments" AND properties.segment = tea', 10, None).items
    assert depth_of(crossed[0]) == 3, "flows that trigger each other by way of segments come to an end, too"
    # a second time nothing changes; a third leg that wants the same neither enters nor leaves
    settled(*second, *leg("ann", ChangeSegment("friends", enters=True), run="r3", at_ms=20), hub=hub)
    assert len(crossings(hub)) == 4
    assert_balanced(hub, 4 + len(crossings(hub)) + 1)


def test_what_it_led_to_is_told_again_after_a_crash() -> None:
    """The collector dies once the batch is written; a new one tells all of it, and changes nothing."""
    some = segments(friends=None)
    hub = settled(sign_in("e1", "ann", 1), hub=Hub(partitions=1, definitions=with_segments(some)))
    hub.put(*leg("ann", ONE_MORE, ChangeSegment("friends", enters=True)))
    hub.owners[0].step(100, "written")
    outcome = hub.owners[0].begin(100)
    assert outcome is not None
    assert [one["type"] for one in outcome.stored] == ["sign-in", TYPE, "segment-entered"][-2:]
    assert outcome.stored[0]["segments_entered"] == ["friends"]
    assert outcome.batch.events == []
    hub.settle()
    assert hub.profile("ann")["stats"]["gifts"] == 1


def test_it_is_told_again_of_who_is_part_of_another_by_now() -> None:
    """The change and the merge are in one batch that is told after a crash."""
    hub = settled(sign_in("e1", "ann", 1), sign_in("e2", "bob", 1), hub=Hub(partitions=1))
    hub.put(*leg("bob", ONE_MORE), ask("bob", "ann"))
    hub.owners[0].step(100, "written")
    outcome = hub.owners[0].begin(100)
    assert outcome is not None
    assert [one["id"] for one in outcome.stored] == [leg("bob", ONE_MORE)[0]["id"]]


def test_filters_and_the_like_are_for_what_others_send() -> None:
    rules = compile_steps([("all", Filter(when="type != `null`"))])
    hub = settled(sign_in("e1", "ann", 1))
    for owner in hub.owners:
        owner.definitions = msgspec.structs.replace(DEFINITIONS, rules=rules)
    settled(sign_in("e2", "ann", 1), *leg("ann", ONE_MORE), hub=hub)
    assert hub.store.get("events", "e2") is None
    assert hub.profile("ann")["stats"]["gifts"] == 1


def test_an_event_type_may_be_defined_for_it() -> None:
    types = compile_event_types([(TYPE, EventType(name="Change", tags=["flow"]))])
    hub = settled(sign_in("e1", "ann", 1))
    for owner in hub.owners:
        owner.definitions = msgspec.structs.replace(DEFINITIONS, types=types)
    assert change_of(hub, "ann", ONE_MORE)["tags"]["values"] == ["flow"]
    assert hub.profile("ann")["stats"]["gifts"] == 1


def test_a_segment_that_is_defined_later_is_entered_by_later_legs_only() -> None:
    hub = settled(sign_in("e1", "ann", 1), *leg("ann", ChangeSegment("friends", enters=True)), hub=Hub())
    assert hub.profile("ann")["segments"] == []
    define(hub, segments(friends=None))
    settled(*leg("ann", ChangeSegment("friends", enters=True), run="r2"), hub=hub)
    assert hub.profile("ann")["segments"] == ["friends"]


def test_a_node_is_told_at_once_what_the_collector_would_not_do() -> None:
    check([GIFT, ONE_MORE, raised("gift-given")])
    for effect in (ChangeField("set", "ids", []), ChangeField("set", "stats.visits", 1), raised(TYPE, "ann")):
        with pytest.raises(NodeFault):
            check([effect])


def _gifts() -> Hub:
    mapping = Mapping.model_validate(
        {"event_type": "wish", "fields": [{"event": "properties.gift", "profile": "traits.gift", "op": "set"}]}
    )
    return Hub(definitions=Definitions(-1, compile_mappings([("gifts", mapping)])))


def _at(id: str, profile_id: str, gift: str, at_ms: int, *, clock_ms: int = 0) -> Inbound:
    """A wish, received so long after NOW_MS. Args: clock_ms: how far ahead the client's clock is."""
    one = event(id, "wish", time_ms=NOW_MS + at_ms + clock_ms, gift=gift)
    return track(profile_id, one, received_at_ms=NOW_MS + at_ms)


def _outcome(hub: Hub, *inbounds: Inbound) -> Any:
    """Of these, behind all that is on their partition; it is not written."""
    owner = hub.owners[hub.log.of(inbounds[0]["profile_id"])]
    end = len(hub.log.partitions[owner.number])
    made = [
        LogRecord(owner.number, end + n, NOW_MS, one["profile_id"].encode(), encode_inbound(one))
        for n, one in enumerate(inbounds)
    ]
    decoded = list(decode(made))
    progress = hub.store.progress(owner.epoch)
    state = Memory(Collector()).load(decoded, owner.epoch, progress, hub.store, definitions=owner.definitions)
    return process(decoded, state, owner.definitions)
