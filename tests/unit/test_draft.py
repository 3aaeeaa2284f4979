"""Copy on write of documents."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.pipeline.draft import Draft
from hub.pipeline.operations import MISSING

_KEYS = st.sampled_from("abc")
_PATHS = st.lists(_KEYS, min_size=1, max_size=4).map(tuple)
_VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_DOCUMENTS = st.dictionaries(_KEYS, _VALUES, max_size=3)


@given(_DOCUMENTS, st.lists(st.tuples(_PATHS, _VALUES), max_size=8))
def test_the_original_stays_as_it_was_and_the_draft_has_what_was_set(
    original: dict[str, Any], changes: list[tuple[tuple[str, ...], Any]]
) -> None:
    before = copy.deepcopy(original)
    draft = Draft(original)
    for path, value in changes:
        draft.set(path, copy.deepcopy(value))
        assert draft.get(path) == value
    assert original == before


@given(_DOCUMENTS, st.lists(st.tuples(_PATHS, st.none() | st.integers()), max_size=8))
def test_what_was_removed_is_gone_with_the_objects_that_are_empty_then(
    original: dict[str, Any], changes: list[tuple[tuple[str, ...], Any]]
) -> None:
    """None removes. The outermost object stays."""
    before = copy.deepcopy(original)
    draft = Draft(original)
    for path, value in changes:
        if value is not None:
            draft.set(path, value)
            continue
        there = draft.get(path) is not MISSING
        draft.remove(path)
        assert draft.get(path) is MISSING
        if there:
            assert all(draft.get(path[:length]) != {} for length in range(2, len(path)))
    assert original == before
    # what is in hand is part of the document
    draft.set(("a", "b", "c"), 7)
    assert draft.get(("a", "b", "c")) == 7


def test_what_is_not_changed_is_not_copied() -> None:
    original: dict[str, Any] = {"traits": {"a": 1}, "big": {"list": [1, 2, 3]}}
    draft = Draft(original)
    draft.set(("traits", "a"), 2)
    assert draft.doc["big"] is original["big"]
    assert draft.doc == {"traits": {"a": 2}, "big": {"list": [1, 2, 3]}}


def test_a_value_in_the_way_is_replaced_by_an_object() -> None:
    draft = Draft({"traits": "none"})
    draft.set(("traits", "a"), 1)
    assert draft.doc == {"traits": {"a": 1}}


def test_an_object_that_was_replaced_is_not_written_to_any_more() -> None:
    draft = Draft({"traits": {"a": {"b": 1}}})
    draft.set(("traits", "a", "b"), 2)
    draft.set(("traits", "a"), {"c": 3})
    draft.set(("traits", "a", "d"), 4)
    assert draft.doc == {"traits": {"a": {"c": 3, "d": 4}}}


def test_what_is_missing_is_missing() -> None:
    draft = Draft({"a": None, "b": [1]})
    assert draft.get(("a",)) is None
    assert draft.get(("a", "x")) is MISSING
    assert draft.get(("b", "0")) is MISSING
