"""What a mapping does with a value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.definitions.kinds import FieldMapping, Mapping, Operation
from hub.pipeline.draft import Draft
from hub.pipeline.mapping import Sent, compile_mappings, map_event
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
