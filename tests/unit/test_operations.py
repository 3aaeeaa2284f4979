"""What a mapping does with a value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.definitions.fields import FieldMapping, Operation
from hub.definitions.kinds import Mapping
from hub.pipeline.documents import new_profile
from hub.pipeline.draft import Draft
from hub.pipeline.mapping import Change, Problem, Sent, compile_mappings, map_event
from hub.pipeline.merging import merge
from hub.pipeline.operations import MISSING, OperationError, apply

AT = "2026-01-01T00:00:00.000Z"
CENTS = st.integers(-10_000_000, 10_000_000)


@pytest.mark.parametrize(
    ("op", "current", "value", "wanted"),
    [
        ("set", "old", "new", "new"),
        ("set", MISSING, 0, 0),
        ("set-if-empty", MISSING, "new", "new"),
        ("set-if-empty", None, "new", "new"),
        ("set-if-empty", "", "new", "new"),
        ("set-if-empty", [], "new", "new"),
        ("set-if-empty", 0, "new", 0),
        ("set-if-empty", False, "new", False),
        ("add", MISSING, 5, 5),
        ("add", None, 5, 5),
        ("add", 0.1, 0.2, 0.3),
        ("add", 1, 0.5, 1.5),
        ("add", 3, -1, 2),
        ("min", MISSING, 5, 5),
        ("min", 5, 4.5, 4.5),
        ("min", "2026-01-02", "2026-01-01", "2026-01-01"),
        ("max", 5, 4.5, 5),
        ("max", "2026-01-02", "2026-01-03", "2026-01-03"),
        ("append-unique", MISSING, "a", ["a"]),
        ("append-unique", ["a"], "a", ["a"]),
        ("append-unique", ["a"], ["b", "a", "b"], ["a", "b"]),
        ("append-unique", "a", "b", ["a", "b"]),
        ("append-unique", [1], True, [1, True]),
        ("append-unique", [{"x": 1}], {"x": 1}, [{"x": 1}]),
        ("set-if-newer", "old", "", ""),
        ("increment", MISSING, 1, 1),
        ("increment", 0, 0, 0),
        ("decrement", 0.3, 0.1, 0.2),
        ("decrement", MISSING, 2, -2),
        ("append", MISSING, "a", ["a"]),
        ("append", ["a"], ["a", "b"], ["a", "a", "b"]),
        ("append", "a", 0, ["a", 0]),
        ("remove", ["a", "b", "a"], "a", ["b"]),
        ("remove", [1, True, 0], [True, 0], [1]),
        ("remove", "a", "a", MISSING),
        ("remove", "a", "b", "a"),
        ("remove", MISSING, "a", MISSING),
        ("delete", 5, None, MISSING),
        ("delete", MISSING, None, MISSING),
    ],
)
def test_operation(op: Operation, current: Any, value: Any, wanted: Any) -> None:
    result = apply(op, current, value)
    assert result == wanted
    assert type(result) is type(wanted)


@pytest.mark.parametrize(
    ("op", "current", "value"),
    [
        ("add", 1, "2"),
        ("add", "1", 2),
        ("add", 1, True),
        ("add", 2**63 - 1, 1),
        ("add", 1.7e308, 1.7e308),
        ("min", 1, "2"),
        ("max", [1], [2]),
        ("max", True, 2),
        ("increment", "1", 1),
        ("decrement", 1, "1"),
        ("decrement", 1, True),
    ],
)
def test_values_that_do_not_go_together_are_refused(op: Operation, current: Any, value: Any) -> None:
    with pytest.raises(OperationError):
        apply(op, current, value)


@given(st.lists(CENTS, min_size=1, max_size=200))
def test_money_adds_up_to_the_cent(amounts: list[int]) -> None:
    total: Any = MISSING
    for cents in amounts:
        total = apply("add", total, cents / 100)
    assert Decimal(repr(total)) == Decimal(sum(amounts)) / 100


def test_a_mapping_leaves_a_trail() -> None:
    compiled = compile_mappings(
        [
            (
                "m",
                Mapping(
                    event_type="seen",
                    fields=[
                        FieldMapping(event="properties.page.tags", profile="interests.tags", op="append-unique"),
                        FieldMapping(event="properties.nothing", profile="traits.nothing"),
                        FieldMapping(event="type", profile="traits.last_type"),
                    ],
                ),
            ),
            ("off", Mapping(event_type="seen", enabled=False, fields=[FieldMapping(event="id", profile="traits.id")])),
        ]
    )
    draft = Draft(
        {"id": "p", "metadata": {"fields": {}}, "interests": {"tags": ["a"]}, "traits": {"last_type": "seen"}}
    )
    event = {"id": "e1", "type": "seen", "properties": {"page": {"tags": ["a", "b"]}, "nothing": None}}
    changes, problems = map_event(compiled["seen"], event, draft, Sent(AT, "e1", "p"))
    assert not problems
    assert [(change.field, change.op, change.new) for change in changes] == [("interests.tags", "append-unique", ["b"])]
    assert draft.doc["interests"] == {"tags": ["a", "b"]}
    fields = {"interests.tags": [AT, "e1", "union"], "traits.last_type": [AT, "e1"]}
    assert draft.doc["metadata"] == {"fields": fields}
    assert draft.doc["traits"] == {"last_type": "seen"}


def mapped(
    profile: Draft, *lines: dict[str, Any], at: str = AT, sender: str = "p", when: str | None = None, **properties: Any
) -> tuple[list[Change], list[Problem]]:
    """What the lines of one mapping do to a profile for one event."""
    spec = {"event_type": "seen", "when": when, "fields": list(lines)}
    compiled = compile_mappings([("m", Mapping.model_validate(spec))])
    event = {"id": "e1", "type": "seen", "time": at, "source": "shop", "properties": properties, "context": {}}
    return map_event(compiled["seen"], event, profile, Sent(at, "e1", sender))


def fresh(id: str = "p", **traits: Any) -> Draft:
    return Draft({**new_profile(id, AT), "traits": traits})


def time_of(number: int) -> str:
    return f"2026-01-01T00:00:{number:02d}.000Z"


MOMENTS = st.lists(
    st.tuples(st.integers(0, 59), st.sampled_from("ab"), st.sampled_from([None, 0, False, "", "x", 7, [1]])),
    min_size=1,
    max_size=8,
    unique_by=lambda moment: moment[0],
)
SET = {"event": "properties.n", "profile": "traits.x.y", "op": "set-if-newer"}
DELETE = {"profile": "traits.x.y", "op": "delete"}


def happens(profile: Draft, moment: tuple[int, str, Any]) -> None:
    number, sender, value = moment
    if value is None:
        mapped(profile, DELETE, at=time_of(number), sender=sender)
    else:
        mapped(profile, SET, at=time_of(number), sender=sender, n=value)


@given(MOMENTS, st.randoms())
def test_the_newest_counts_in_whatever_order_events_come_and_profiles_meet(moments: list[Any], random: Any) -> None:
    """Values and deletions, sent by two; into one profile, or into two that become one later, either into the other."""
    newest = max(moments)[2]
    expected = {} if newest is None else {"x": {"y": newest}}
    random.shuffle(moments)
    for survivor, loser in (("a", None), ("a", "b"), ("b", "a")):
        ours, theirs = fresh(survivor), fresh(loser or "none")
        for moment in moments:
            happens(theirs if moment[1] == loser else ours, moment)
        if loser:
            merge(ours, theirs.doc)
        assert ours.doc["traits"] == expected
        assert type(ours.get(("traits", "x", "y"))) is type(newest if newest is not None else object())


@given(MOMENTS, st.permutations(["a", "b", "c"]))
def test_three_profiles_meet_in_any_order(moments: list[Any], order: list[str]) -> None:
    profiles = {id: fresh(id) for id in "abc"}
    for number, (at, _, value) in enumerate(moments):
        sender = "abc"[number % 3]
        happens(profiles[sender], (at, sender, value))
    first = profiles[order[0]]
    for other in order[1:]:
        merge(first, profiles[other].doc)
    newest = max(moments)[2]
    assert first.doc["traits"] == ({} if newest is None else {"x": {"y": newest}})


@given(
    st.lists(st.tuples(st.sampled_from(["increment", "decrement", "add"]), st.integers(-9, 9)), min_size=1),
    st.randoms(),
)
def test_counts_are_the_same_in_whatever_order_they_come(steps: list[Any], random: Any) -> None:
    total = sum(-n if op == "decrement" else n for op, n in steps)
    random.shuffle(steps)
    profile = fresh()
    for op, n in steps:
        mapped(profile, {"event": "properties.n", "profile": "traits.sum", "op": op}, n=n)
    assert profile.doc["traits"] == {"sum": total}


NUMBERS = (
    st.integers(-(10**16), 10**16).map(lambda cents: cents / 100)
    | st.integers(-(10**13), 10**13)
    | st.floats(-1e15, 1e15)
    | st.decimals(-1000, 1000, places=3).map(float)
)


@given(NUMBERS, NUMBERS)
def test_numbers_add_up_as_they_are_written(current: float, value: float) -> None:
    """Whether they are cents, which is quick, or anything else: as by hand, on paper."""
    total = apply("add", current, value)
    by_hand = Decimal(repr(current)) + Decimal(repr(value))
    assert total == (by_hand if isinstance(total, int) else float(by_hand))


@pytest.mark.parametrize("op", ["set", "set-if-empty", "set-if-newer", "add", "append", "append-unique", "min"])
def test_what_is_older_than_a_deletion_does_not_bring_the_field_back(op: str) -> None:
    line = {"event": "properties.n", "profile": "traits.x", "op": op}
    profile = fresh(x=1)
    mapped(profile, {"profile": "traits.x", "op": "delete"}, at=time_of(5), sender="p")
    mapped(profile, line, at=time_of(3), sender="another", n=7)
    assert profile.doc["traits"] == {}
    mapped(profile, line, at=time_of(6), sender="another", n=7)
    assert profile.doc["traits"]["x"] in (7, [7])


def test_a_line_is_used_when_its_condition_is_true_of_event_and_profile() -> None:
    lines = [
        {"event": "properties.n", "profile": "traits.big", "when": "properties.n > `10`"},
        {"event": "properties.n", "profile": "traits.shop", "when": "source == 'shop' && !(profile.traits.shop)"},
        {"value": "vip", "profile": "traits.level", "when": "profile.traits.big"},
        {"value": "none", "profile": "traits.none", "when": "properties.tags"},
    ]
    profile = fresh()
    assert mapped(profile, *lines, n=5, tags=[]) == mapped(fresh(), *lines, n=5, tags=[])
    assert profile.doc["traits"] == {"shop": 5}
    mapped(profile, *lines, n=50)
    assert profile.doc["traits"] == {"shop": 5, "big": 50, "level": "vip"}


def test_a_condition_that_cannot_be_evaluated_costs_its_line_and_no_other() -> None:
    lines = [
        {"event": "properties.n", "profile": "traits.a", "when": "starts_with(properties.n, 'x')"},
        {"event": "properties.n", "profile": "traits.b"},
    ]
    profile = fresh()
    changes, problems = mapped(profile, *lines, n=5)
    assert [change.field for change in changes] == ["traits.b"]
    assert [problem.field for problem in problems] == ["traits.a"]
    assert "cannot be evaluated" in problems[0].detail


def test_the_condition_of_a_mapping_is_asked_once() -> None:
    lines = [{"event": "properties.n", "profile": f"traits.{name}"} for name in "abc"]
    profile = fresh()
    changes, problems = mapped(profile, *lines, when="abs(properties.n) > `1`", n="five")
    assert (changes, len(problems)) == ([], 1)
    assert mapped(profile, *lines, when="properties.n > `9`", n=5) == ([], [])
    mapped(profile, *lines, when="properties.n > `1`", n=5)
    assert profile.doc["traits"] == {"a": 5, "b": 5, "c": 5}


def test_constants_places_in_lists_and_keys_that_the_event_names() -> None:
    profile = fresh()
    mapped(
        profile,
        {"value": False, "profile": "traits.no"},
        {"event": "properties.missing", "value": 0, "profile": "traits.zero"},
        {"event": "properties.list.1.x", "profile": "traits.second"},
        {"event": "properties.list.9", "profile": "traits.ninth"},
        {"profile": "stats.counters.{type}", "op": "increment"},
        {"profile": "stats.shops.{source}.{properties.number}", "op": "increment", "value": 2},
        {"profile": "stats.nobody.{properties.missing}", "op": "increment"},
        {"event": "properties.more.**", "profile": "traits.more.**"},
        list=[1, {"x": 0}],
        number=7,
        more={"a": {"b": 1, "none": None, "empty": {}}, "c": [], "d.e": 2},
    )
    assert profile.doc["traits"] == {"no": False, "zero": 0, "second": 0, "more": {"a": {"b": 1}, "c": []}}
    assert profile.doc["stats"] == {"events": 0, "visits": 0, "counters": {"seen": 1}, "shops": {"shop": {"7": 2}}}
    assert {"traits.more.a.b", "stats.shops.shop.7"} <= profile.doc["metadata"]["fields"].keys()


def test_one_bad_value_costs_its_own_line() -> None:
    lines = [{"event": f"properties.{name}", "profile": f"traits.{name}", "op": "add"} for name in "abc"]
    profile = fresh()
    changes, problems = mapped(profile, *lines, a=1, b="two", c=3)
    assert profile.doc["traits"] == {"a": 1, "c": 3}
    assert [change.field for change in changes] == ["traits.a", "traits.c"]
    assert [problem.field for problem in problems] == ["traits.b"]


def test_what_was_removed_is_told() -> None:
    profile = fresh(list=["a", "b"], word="x")
    lines = [{"event": "properties.gone", "profile": f"traits.{name}", "op": "remove"} for name in ("list", "word")]
    changes, _ = mapped(profile, *lines, gone=["a", "x"])
    assert changes == [Change("traits.list", "remove", ["a"], None), Change("traits.word", "remove", "x", None)]
    assert profile.doc["traits"] == {"list": ["b"]}


def test_a_list_that_something_was_removed_from_is_still_merged_as_it_was() -> None:
    ours, theirs = fresh("a"), fresh("b")
    for profile, items in ((ours, ["x", "y", "y"]), (theirs, ["y", "z"])):
        mapped(profile, {"event": "properties.n", "profile": "traits.list", "op": "append"}, sender="a", n=items)
    mapped(ours, {"value": "x", "profile": "traits.list", "op": "remove"}, at=time_of(9), sender="a")
    merge(ours, theirs.doc)
    assert sorted(ours.doc["traits"]["list"]) == ["y", "y", "y", "z"]


@pytest.mark.parametrize(("second", "expected"), [(1, "ours"), (5, "ours"), (9, "theirs")])
def test_a_field_that_no_mapping_has_made_goes_to_whoever_was_updated_later(second: int, expected: str) -> None:
    ours, theirs = fresh("a", plan="ours"), fresh("b", plan="theirs", more="theirs")
    ours.doc["metadata"]["time"]["update"] = time_of(5)
    theirs.doc["metadata"]["time"]["update"] = time_of(second)
    merge(ours, theirs.doc)
    assert ours.doc["traits"] == {"plan": expected, "more": "theirs"}
