"""Who is in which segment after an event, a merge, a list or another look; and what is told of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hub.conditions import QueryError
from hub.definitions.kinds import Validator
from hub.model import Counts
from hub.pipeline.documents import iso
from hub.pipeline.process import Outcome
from hub.pipeline.records import LogRecord, batches, decode
from hub.pipeline.rules.steps import compile_steps
from hub.pipeline.segments import Segments
from hub.replay.rebuild import inbound_of
from hub.store.factory import open_store
from hub.store.query.segment import segment_condition, warnings
from schemas.codec import encode_inbound
from schemas.records import Inbound
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import Hub
from tests.unit.segment_cases import crossings, define, listed, look_again, segments, sent, with_segments
from tests.unit.test_identity import ask, assert_balanced, settled, sign_in, told, undo
from tests.unit.test_privacy import order, sweep

MINUTE = 60_000
RICH = segments(rich="traits.sum > 5")


def hub_with(some: Segments, *inbounds: Inbound) -> Hub:
    return settled(*inbounds, hub=Hub(definitions=with_segments(some)))


def member(hub: Hub, profile_id: str) -> list[str]:
    found: list[str] = hub.profile(profile_id)["segments"]
    return found


def outcome(hub: Hub, *inbounds: Inbound) -> Outcome:
    """Of these as the next batch of the first partition, which is not written."""
    records = [
        LogRecord(0, 1_000 + n, NOW_MS, one["profile_id"].encode(), encode_inbound(one))
        for n, one in enumerate(inbounds)
    ]
    return hub.owners[0].process(next(batches(decode(records), 1_000)))


def test_an_event_lets_its_profile_in_and_out() -> None:
    hub = hub_with(RICH, sent("e1", "a", 3), sent("e2", "a", 4), sent("e3", "b", 1))
    assert (member(hub, "a"), member(hub, "b")) == (["rich"], [])
    entry = hub.profile("a")["metadata"]["segments"]["rich"]
    assert entry == {"since": iso(NOW_MS), "event": "e2", "by": "condition", "definition": 10}
    settled(sent("e4", "a", -5, at_ms=MINUTE), hub=hub)
    assert member(hub, "a") == []
    assert "segments" not in hub.profile("a")["metadata"]
    assert crossings(hub) == [("+", "rich"), ("-", "rich")]


def test_what_was_crossed_is_told_with_the_event_and_by_an_event_of_its_own() -> None:
    hub = hub_with(RICH, sent("e1", "a", 3))
    found = outcome(hub, sent("e2", "a", 4))
    first, second = found.stored
    assert (first["id"], first["segments_entered"], first["segments_left"]) == ("e2", ["rich"], [])
    assert (second["type"], second["source"], second["profile_id"]) == ("segment-entered", "@segments", "a")
    document = msgspec.json.decode(second["event"])
    assert document["properties"] == {"segment": "rich", "name": "Rich", "since": iso(NOW_MS), "event": "e2"}
    assert document["metadata"]["position"]["place"] > 0
    assert msgspec.json.decode(first["event"])["segments"] == {"looked": {"rich": 10}, "entered": ["rich"], "left": []}
    assert [one.doc for one in found.batch.events] == [one["event"] for one in found.stored]
    counted = {key.source: counts for key, counts in found.batch.counters.items()}
    assert counted["@segments"] == Counts(received=1, stored=1)


def test_an_event_on_a_segment_changes_nothing_itself() -> None:
    hub = hub_with(segments(rich="traits.sum > 5", busy="stats.events >= 2"), sent("e1", "a", 9))
    assert hub.profile("a")["stats"]["events"] == 1
    assert member(hub, "a") == ["rich"]


def test_a_payload_is_judged_once_and_its_last_event_says_so() -> None:
    both = track("a", event("e1", "sign-in", n=9), event("e2", "sign-in", n=-9))
    hub = hub_with(RICH, both)
    assert crossings(hub) == []
    assert "segments" not in told(hub, "e1")
    assert told(hub, "e2")["segments"] == {"looked": {"rich": 10}, "entered": [], "left": []}


def test_only_segments_that_ask_for_what_has_changed_are_looked_at() -> None:
    some = segments(
        rich="traits.sum > 5", gold='data.tier = "gold"', busy="count(purchase) >= 1", known="traits.last.name EXISTS"
    )
    hub = hub_with(some, sent("e1", "a", 1), sent("e2", "a", 2), sent("e3", "a", type="purchase"))
    assert told(hub, "e2")["segments"]["looked"] == {"known": 10, "rich": 10}
    assert told(hub, "e3")["segments"]["looked"] == {"busy": 10}
    assert member(hub, "a") == ["busy"]


def test_a_new_profile_is_looked_at_by_what_holds_for_one_of_which_nothing_is_known() -> None:
    hub = hub_with(segments(new="traits.sum IS NULL", old="count(purchase) >= 1"), sent("e1", "a", type="visit"))
    assert member(hub, "a") == ["new"]
    assert told(hub, "e1")["segments"]["looked"] == {"new": 10}


def test_what_a_profile_begins_with_is_looked_at_as_it_begins() -> None:
    some = segments(early='id STARTS WITH "a"', recent="metadata.time.insert >= 2026-01-01")
    hub = hub_with(some, sent("e1", "a", type="visit"), sent("e2", "b", type="visit"))
    assert (member(hub, "a"), member(hub, "b")) == (["early", "recent"], ["recent"])


def test_a_definition_that_is_new_is_looked_at_with_the_next_touch() -> None:
    hub = hub_with(RICH, sent("e1", "a", 9))
    define(hub, segments(version=11, rich="traits.sum > 50", poor="traits.sum < 50"))
    settled(sent("e2", "a", type="visit"), hub=hub)
    assert member(hub, "a") == ["poor"]
    assert crossings(hub) == [("+", "rich"), ("+", "poor"), ("-", "rich")]
    assert told(hub, "e2")["segments"]["looked"] == {"poor": 11, "rich": 11}
    assert hub.profile("a")["metadata"]["segments"]["poor"]["definition"] == 11


def test_a_definition_that_says_the_same_leaves_since_as_it_was() -> None:
    hub = hub_with(RICH, sent("e1", "a", 9))
    define(hub, segments(version=11, rich="traits.sum > 6"))
    settled(sent("e2", "a", type="visit", at_ms=MINUTE), hub=hub)
    assert hub.profile("a")["metadata"]["segments"]["rich"] == {
        "since": iso(NOW_MS),
        "event": "e1",
        "by": "condition",
        "definition": 11,
    }


def test_a_segment_that_is_gone_is_left_and_one_that_is_off_is_frozen() -> None:
    hub = hub_with(segments(rich="traits.sum > 5", odd="traits.sum > 5"), sent("e1", "a", 9))
    define(hub, segments(version=11, frozen=frozenset({"odd"}), odd="traits.sum > 5"))
    settled(sent("e2", "a", -9), sent("e3", "b", 9), hub=hub)
    assert (member(hub, "a"), member(hub, "b")) == (["odd"], [])
    define(hub, Segments())
    settled(sent("e4", "a", 1), hub=hub)
    assert member(hub, "a") == []


def test_histories_count_what_holds_and_only_once() -> None:
    some = segments(
        often="count(sign-in) >= 3",
        spent="sum(sign-in.properties.n) > 6",
        high="count(sign-in where properties.n > 3) >= 1",
        never_nine="never(sign-in where properties.n = 9)",
    )
    first = sent("e1", "a", 3)
    hub = hub_with(some, first, first, sent("e2", "a", 3))
    assert member(hub, "a") == ["never_nine"]
    settled(sent("e3", "a", 9), hub=hub)
    assert member(hub, "a") == ["high", "often", "spent"]


def test_an_event_that_is_invalid_goes_into_no_history() -> None:
    schema = Validator(event_type="sign-in", properties={"required": ["n"]})
    rules = compile_steps([], [("v", schema)], [], [], key=b"key")
    definitions = msgspec.structs.replace(with_segments(segments(any_one="count(sign-in) >= 1")), rules=rules)
    hub = settled(sent("e1", "a"), hub=Hub(definitions=definitions))
    assert member(hub, "a") == []
    settled(sent("e2", "a", 1), hub=hub)
    assert member(hub, "a") == ["any_one"]


def test_a_history_that_is_needed_later_is_made_of_what_is_stored() -> None:
    hub = Hub(definitions=with_segments(RICH))
    settled(sent("e1", "a", 1), sent("e2", "a", 1), hub=hub)
    define(hub, segments(version=11, often="count(sign-in) >= 2", three="count(sign-in) >= 3"))
    settled(sent("e3", "a", type="visit"), hub=hub)
    assert member(hub, "a") == ["often"]
    settled(sent("e4", "a", 1), hub=hub)
    assert member(hub, "a") == ["often", "three"]


def test_a_history_that_nobody_asked_for_for_a_while_has_no_gap_afterwards() -> None:
    often = "count(sign-in) >= 3"
    hub = hub_with(segments(often=often), sent("e1", "a", 1))
    define(hub, Segments())
    settled(sent("e2", "a", 1), hub=hub)
    assert "history" not in hub.profile("a")["metadata"]
    define(hub, segments(version=12, often=often))
    settled(sent("e3", "a", 1), hub=hub)
    assert member(hub, "a") == ["often"]


def test_a_longer_window_is_filled_from_the_store() -> None:
    hub = hub_with(segments(twice="count(sign-in) in last 1 minute >= 2"), sent("e1", "a"))
    for day in range(1, 5):
        settled(sent(f"d{day}", "a", at_ms=day * 24 * 60 * MINUTE), hub=hub)
    assert member(hub, "a") == []
    define(hub, segments(version=11, twice="count(sign-in) in last 30 days >= 5"))
    settled(look_again("a", at_ms=5 * 24 * 60 * MINUTE), hub=hub)
    assert member(hub, "a") == ["twice"]


def test_a_window_is_left_when_somebody_looks_again_and_says_when_that_has_to_be() -> None:
    hub = hub_with(segments(twice="count(sign-in) in last 10 minutes >= 2"), sent("e1", "a"))
    found = outcome(hub, sent("e2", "a", at_ms=MINUTE))
    assert found.batch.due == {"a": NOW_MS + 10 * MINUTE}
    settled(sent("e2", "a", at_ms=MINUTE), hub=hub)
    assert hub.profile("a")["metadata"]["due"] == NOW_MS + 10 * MINUTE
    settled(look_again("a", at_ms=10 * MINUTE - 1), hub=hub)
    assert member(hub, "a") == ["twice"]
    settled(look_again("a", at_ms=10 * MINUTE), hub=hub)
    assert member(hub, "a") == []
    assert crossings(hub) == [("+", "twice"), ("-", "twice")]


def test_when_nothing_is_due_any_more_the_store_is_told_so() -> None:
    hub = hub_with(segments(once="count(sign-in) in last 10 minutes >= 1"), sent("e1", "a"))
    found = outcome(hub, look_again("a", at_ms=11 * MINUTE))
    assert found.batch.due == {"a": None}
    assert [one["type"] for one in found.stored] == ["segment-left"]
    assert found.stored[0]["segments_left"] == ["once"]


def test_time_that_has_come_is_seen_by_any_event() -> None:
    hub = hub_with(segments(once="count(sign-in) in last 10 minutes >= 1"), sent("e1", "a"))
    settled(sent("e2", "a", type="visit", at_ms=11 * MINUTE), hub=hub)
    assert member(hub, "a") == []


def test_another_look_is_no_event_and_makes_no_profile() -> None:
    hub = hub_with(RICH, look_again("a"), listed("a", ["rich"]))
    assert hub.profiles() == []
    assert hub.counts()["received"] == 0
    settled(sent("e1", "a", 1), look_again("a"), look_again("a"), hub=hub)
    assert hub.counts()["received"] == hub.counts()["stored"] == 1
    assert hub.profile("a")["stats"]["events"] == 1


def test_lists_let_profiles_into_segments_without_a_condition_only() -> None:
    some = segments(vip=None, off=None, rich="traits.sum > 5", frozen=frozenset({"off"}))
    hub = hub_with(some, sent("e1", "a", 1), listed("a", ["vip", "off", "rich", "nowhere"]))
    assert member(hub, "a") == ["vip"]
    assert hub.profile("a")["metadata"]["segments"]["vip"]["by"] == "list"
    settled(sent("e2", "a", 1), look_again("a"), listed("a", ["vip"], at_ms=MINUTE), hub=hub)
    assert hub.profile("a")["metadata"]["segments"]["vip"]["since"] == iso(NOW_MS)
    settled(listed("a", remove=["vip", "rich"], at_ms=2 * MINUTE), hub=hub)
    assert member(hub, "a") == []
    assert crossings(hub) == [("+", "vip"), ("-", "vip")]


def test_operations_of_others_are_refused_as_before() -> None:
    foreign = {**look_again("a"), "source": "somebody"}
    hub = hub_with(RICH, foreign)  # type: ignore[arg-type]
    assert hub.counts()["dead"] == 1


def test_told_again_it_is_the_same() -> None:
    hub = hub_with(RICH, sent("e1", "a", 3))
    record = sent("e2", "a", 9)
    number = hub.log.of("a")
    hub.put(record)
    owner = hub.owners[number]
    (first,) = [owner.begin(10)]
    assert first is not None
    hub.store.write(first.batch)
    owner.take_over()
    again = owner.begin(10)
    assert again is not None
    assert [one for one in again.stored if one["id"] != "e1"] == first.stored
    assert again.batch.events == again.batch.profiles == []
    assert again.batch.counters == {}


def test_another_look_told_again_is_the_same() -> None:
    hub = hub_with(segments(once="count(sign-in) in last 10 minutes >= 1"), sent("e1", "a"))
    hub.put(look_again("a", at_ms=11 * MINUTE))
    owner = hub.owners[hub.log.of("a")]
    first = owner.begin(10)
    assert first is not None
    hub.store.write(first.batch)
    owner.take_over()
    again = owner.begin(10)
    assert again is not None
    assert [one for one in again.stored if one["id"] != "e1"] == first.stored


def test_two_who_become_one_are_judged_together() -> None:
    some = segments(rich="traits.sum > 5", often="count(sign-in) >= 3", vip=None, poor="traits.sum < 3")
    hub = hub_with(some, sent("a1", "a", 2), sent("b1", "b", 2), sent("b2", "b", 2), listed("b", ["vip"]))
    assert (member(hub, "a"), member(hub, "b")) == (["poor"], ["vip"])
    settled(ask("b", "a"), hub=hub)
    assert member(hub, "a") == ["often", "rich", "vip"]
    assert hub.profile("a")["metadata"]["segments"]["vip"]["by"] == "list"
    assert crossings(hub, "a") == [("+", "poor"), ("+", "often"), ("-", "poor"), ("+", "rich")]


def test_who_was_in_before_a_merge_has_not_entered_again() -> None:
    hub = hub_with(RICH, sent("b1", "b", 9), sent("a1", "a", 1, at_ms=MINUTE), ask("b", "a"))
    assert member(hub, "a") == ["rich"]
    assert hub.profile("a")["metadata"]["segments"]["rich"]["since"] == iso(NOW_MS)
    assert crossings(hub) == [("+", "rich")]


def test_a_merge_that_is_undone_gives_each_its_own_back() -> None:
    some = segments(rich="traits.sum > 5", often="count(sign-in) >= 3", vip=None, news=None)
    hub = hub_with(some, sign_in("a1", "a", 2, at=1), sign_in("b1", "b", 2, at=2), sign_in("b2", "b", 2, at=3))
    settled(listed("b", ["vip"]), ask("b", "a"), listed("b", ["news"], at_ms=1), sign_in("b3", "b", 2, at=4), hub=hub)
    assert member(hub, "a") == ["news", "often", "rich", "vip"]
    settled(undo(hub, "b"), hub=hub)
    assert member(hub, "a") == ["news"]
    assert member(hub, "b") == ["often", "rich", "vip"]


@pytest.mark.parametrize("order", ["bc", "cb"])
def test_merges_undone_in_any_order_leave_each_in_the_lists_that_it_was_put_into(order: str) -> None:
    """a was in `old` and left it when b was in it already; b and c were in others before they came."""
    hub = hub_with(segments(vip=None, news=None, old=None), *(sign_in(f"{id}1", id, 1) for id in "abc"))
    settled(listed("a", ["old"]), listed("b", ["vip"]), listed("c", ["news"]), ask("b", "a"), hub=hub)
    settled(listed("a", ["news"], ["old"], at_ms=1), ask("c", "a"), hub=hub)
    assert member(hub, "a") == ["news", "vip"]
    settled(*(undo(hub, id) for id in order), hub=hub)
    assert {id: member(hub, id) for id in "abc"} == {"a": ["news"], "b": ["vip"], "c": ["news"]}


def test_histories_that_are_made_of_the_store_know_whose_events_they_are_after_an_undo() -> None:
    hub = hub_with(RICH, sign_in("a1", "a", 1, at=1), sign_in("b1", "b", 1, at=2), ask("b", "a"))
    settled(sign_in("b2", "b", 1, at=3), hub=hub)
    settled(undo(hub, "b"), hub=hub)
    define(hub, segments(version=11, one="count(sign-in) = 1", two="count(sign-in) = 2"))
    settled(look_again("a"), look_again("b"), hub=hub)
    assert (member(hub, "a"), member(hub, "b")) == (["one"], ["two"])


def test_who_is_erased_is_in_no_segment_any_more(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'hub.sqlite'}")
    some = segments(once="count(sign-in) in last 10 minutes >= 1", vip=None)
    hub = Hub(definitions=with_segments(some), store=store)
    settled(sent("e1", "a", 1), sent("e2", "b", 1), listed("a", ["vip"]), hub=hub)
    settled(order("o1", "a"), hub=hub)
    sweep(store)
    settled(look_again("a", at_ms=2 * MINUTE), listed("a", ["vip"], at_ms=2 * MINUTE), hub=hub)
    assert [one["id"] for one in hub.profiles()] == ["b"]
    assert crossings(hub) == [("+", "once")]
    assert [id for id, _ in store.due(NOW_MS + 60 * MINUTE, 10)] == ["b"]
    settled(sent("e3", "a", 1, at_ms=3 * MINUTE), hub=hub)
    assert member(hub, "a") == ["once"]
    store.close()


def test_nothing_is_done_for_segments_where_there_are_none() -> None:
    hub = settled(sent("e1", "a", 9))
    assert hub.profile("a")["metadata"].keys() == {"version", "time", "fields"}
    assert "segments" not in told(hub, "e1")


def test_a_replay_from_the_store_leaves_events_on_segments_out() -> None:
    hub = hub_with(RICH, sent("e1", "a", 9))
    entered = hub.store.search("events", "type = segment-entered", 1, None).items
    documents = [msgspec.json.encode(one) for one in (told(hub, "e1"), *entered)]
    record = inbound_of(documents)
    assert record is not None
    assert [one["id"] for one in record["body"][1]["events"]] == ["e1"]  # type: ignore[typeddict-item]
    assert inbound_of(documents[1:]) is None


def test_the_books_balance() -> None:
    hub = hub_with(RICH, sent("e1", "a", 9), sent("e2", "a", -9), look_again("a"))
    assert_balanced(hub, 4)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("traits.x >", 1, 11, "expected"),
        ("traits.x = 1 AND\n  event@type = purchase", 2, 3, "event@"),
        ('segments CONTAINS "vip"', 1, 1, "cannot ask for segments"),
        ("count(segment-entered) > 1", 1, 1, "no history"),
        ("count(purchase where metadata.flags = x) > 1", 1, 22, "it knows type, properties"),
        ('never("Order Placed")', 1, 1, "no event is of the type 'Order Placed': it would be 'order-placed'"),
        ("count(purchase where properties.at > now) > 1", 1, 22, "now"),
    ],
)
def test_a_condition_that_cannot_be_is_refused_with_its_place(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(QueryError, match=words) as refused:
        segment_condition(text)
    assert (refused.value.line, refused.value.column) == (line, column)


@pytest.mark.parametrize(
    ("text", "warned"),
    [(" ", True), ("traits.x != 1", True), ("traits.x = 1", False), ("never(purchase)", True), ("now > 2020", True)],
)
def test_a_condition_that_nearly_everybody_meets_is_warned_of(text: str, warned: bool) -> None:
    assert bool(warnings(text)) == warned
