"""Lines written out as Python do what the same lines do one after the other."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import example, given
from hypothesis import strategies as st

from hub.definitions.fields import Operation
from hub.definitions.kinds import Mapping
from hub.pipeline.draft import Draft
from hub.pipeline.mapping import Sent, compile_mappings, map_event

TIMES = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.just(1 << 62),
    st.floats(-2, 2, width=16),
    st.sampled_from(["", "", "a", "b", "2026-01-02"]),
    st.lists(st.one_of(st.sampled_from(["a", "b"]), st.integers(0, 2), st.booleans()), max_size=3),
    st.dictionaries(st.sampled_from(["a", "0"]), st.integers(0, 2), max_size=2),
)
OPERATIONS = sorted(get_args(Operation))
FIELDS = [
    "traits.a",
    "traits.a",
    "traits.b",
    "traits.b.c",
    "primary_id",
    "data.contact.email.main",
    "data.pii.firstname",
]
SOURCES = [
    "properties.a",
    "properties.a",
    "properties.b",
    "properties.b.0",
    "properties.b.a",
    "context.a.b.c",
    "time",
    "hit.not.there",
]


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    line: dict[str, Any] = {"event": draw(st.sampled_from(SOURCES)), "profile": draw(st.sampled_from(FIELDS))}
    line["op"] = draw(st.sampled_from([*OPERATIONS, "set", "add", "min", "max", "append-unique", "set-if-empty"]))
    if line["op"] == "delete":
        del line["event"]
    elif draw(st.integers(0, 5)) == 0:
        line["value"] = draw(st.sampled_from([1, "a"]))
    if draw(st.integers(0, 5)) == 0:
        line["when"] = "properties.a != 'a'"
    return line


EVENTS = st.fixed_dictionaries(
    {
        "properties": st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2),
        "context": st.dictionaries(st.just("a"), VALUES),
        "at": TIMES,
        "sender": st.sampled_from(["p", "p", "p", "q"]),
        "late": st.sampled_from([False, False, True]),
    }
)


def _sent(value: Any) -> dict[str, Any]:
    return {"properties": {"a": value}, "context": {}, "at": "2026-01-01T00:00:00Z", "sender": "p", "late": False}


@example(
    fields=[{"event": "properties.a", "profile": "traits.a", "op": "set-if-empty"}],
    events=[_sent(""), _sent("a"), _sent("b")],
)
@given(fields=st.lists(lines(), min_size=1, max_size=6), events=st.lists(EVENTS, min_size=1, max_size=6))
def test_written_out(fields: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    """The same profile, the same changes, the same problems, event after event."""
    compiled = compile_mappings([("m", Mapping.model_validate({"event_type": "seen", "fields": fields}))])["seen"]
    original = {"id": "p", "metadata": {"fields": {}}, "traits": {"b": "a"}, "data": {}}
    one, two = Draft(original), Draft(original)
    for number, sent in enumerate(events):
        event = {"id": f"e{number}", "type": "seen", "time": sent["at"], **sent}
        by = Sent(sent["at"], f"e{number}", sent["sender"], sent["late"])
        assert map_event(compiled, event, one, by) == map_event(list(compiled), event, two, by)
        assert repr(one.doc) == repr(two.doc), "1, 1.0 and true are the same in Python and not in JSON"
    assert original == {"id": "p", "metadata": {"fields": {}}, "traits": {"b": "a"}, "data": {}}
