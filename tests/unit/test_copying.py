"""Events that are copied into their profiles leave them as if the mapping had been there from the start."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.collector.copied import to_copy
from hub.copying.requests import look, requests, sample, types_of
from hub.copying.slices import by_profile, planned
from hub.definitions.kinds import Mapping
from hub.model import Copied
from hub.pipeline.applied import Promoted, key_of, named
from hub.pipeline.definitions import Definitions
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.patches import copies_of
from hub.pipeline.records import batches, decode
from hub.store import Store, open_store
from hub.store.port import EventSpan
from tests.contracts.batches import batch
from tests.factories import NOW_MS, event, log, track
from tests.unit.hub_model import Hub, step_record

OLD = {"event_type": "sign-in", "fields": [{"event": "properties.n", "profile": "traits.sum", "op": "add"}]}
LINES = [
    {"event": "properties.n", "profile": "traits.total", "op": "add"},
    {"event": "properties.n", "profile": "traits.last", "op": "set"},
    {"event": "properties.n", "profile": "traits.first", "op": "set-if-empty"},
    {"event": "properties.n", "profile": "traits.newest", "op": "set-if-newer"},
    {"event": "properties.n", "profile": "traits.most", "op": "max"},
    {"event": "properties.n", "profile": "traits.some", "op": "append-unique"},
    {"event": "properties.n", "profile": "traits.each", "op": "append"},
    {"profile": "traits.count", "op": "increment", "value": 1},
]
NEW = {"event_type": "sign-in", "fields": LINES}


def defined(**mappings: dict[str, Any]) -> Definitions:
    return Definitions(1, compile_mappings((id, Mapping.model_validate(spec)) for id, spec in mappings.items()))


BEFORE, AFTER = defined(old=OLD), defined(old=OLD, new=NEW)


def switch(hub: Hub, definitions: Definitions) -> None:
    for owner in hub.owners:
        owner.definitions = definitions


def copy(hub: Hub, definitions: Definitions, *, mappings: list[str] | None = None, where: str = "") -> dict[str, int]:
    """All of it, in slices of seven events and pages of three; returns the counts."""
    counts: dict[str, int] = {}
    types = types_of(definitions, mappings or [])
    for one in planned(hub.store, where, types, 7):
        span = EventSpan(**one.spec)
        for _, documents in by_profile(hub.store, span, where, types, None, size=3):
            found = look(documents, definitions, mappings or [])
            for name, number in found.counts.items():
                counts[name] = counts.get(name, 0) + number
            asked = requests(
                found.copies, span.partition, mappings or [], task="t", at_ms=NOW_MS + 50, definitions_offset=1
            )
            hub.put(*asked)
    hub.settle(most=4)
    return counts


def traits(hub: Hub) -> dict[str, Any]:
    """What is appended later stands behind what was there, so lists are sorted."""
    return {
        one["id"]: {name: sorted(value) if isinstance(value, list) else value for name, value in one["traits"].items()}
        for one in hub.profiles()
    }


def sign_in(number: int, profile: int, n: int) -> Any:
    """Times rise with the numbers, as far as a millisecond tells."""
    return track(f"p{profile}", event(f"e{number}", "sign-in", time_ms=NOW_MS - 5_000 + number, n=n))


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'hub.sqlite'}")


events = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=12)


@given(before=events, after=events, again=st.booleans())
@settings(max_examples=150)
def test_a_copy_makes_what_the_mapping_would_have_made(
    before: list[tuple[int, int]], after: list[tuple[int, int]], again: bool
) -> None:
    """Whatever had been applied live meanwhile, and however often it is copied."""
    late, early = Hub(2, BEFORE), Hub(2, AFTER)
    every = [sign_in(number, *one) for number, one in enumerate([*before, *after])]
    early.put(*every)
    early.settle()
    late.put(*every[: len(before)])
    late.settle()
    switch(late, AFTER)
    late.put(*every[len(before) :])
    late.settle()
    copy(late, AFTER)
    if again:
        assert copy(late, AFTER).get("to_copy", 0) == 0
    assert traits(late) == traits(early)
    assert late.counts() == early.counts()


def test_an_old_event_overwrites_nothing_newer(store: Store) -> None:
    hub = Hub(1, BEFORE, store)
    hub.put(sign_in(0, 0, 1), sign_in(1, 0, 2))
    hub.settle()
    switch(hub, AFTER)
    hub.put(sign_in(2, 0, 3))
    hub.settle()
    assert copy(hub, AFTER) == {"to_copy": 2, "applied_already": 1}
    found = hub.profile("p0")
    assert {name: found["traits"][name] for name in ("last", "newest", "first", "total", "count", "sum")} == {
        "last": 3,
        "newest": 3,
        "first": 1,
        "total": 6,
        "count": 3,
        "sum": 6,
    }
    assert found["metadata"]["fields"]["traits.last"][1] == "e2"
    assert found["stats"]["events"] == 3


def test_an_event_says_what_was_copied_of_it(store: Store) -> None:
    hub = Hub(1, BEFORE, store)
    hub.put(sign_in(0, 0, 7))
    hub.settle()
    before = hub.store.get("events", "e0")
    assert before is not None
    assert before["outcome"]["mapped"].keys() == {"old"}
    switch(hub, AFTER)
    copy(hub, AFTER)
    after = hub.store.get("events", "e0")
    assert after is not None
    assert after["outcome"]["mapped"].keys() == {"old", "new"}
    (copy_,) = after["outcome"]["copied"]
    assert copy_["mapped"].keys() == {"new"}
    told = {one["field"]: one["new"] for one in copy_["changes"]}
    assert told["traits.last"] == told["traits.total"] == 7
    del after["outcome"]["mapped"], before["outcome"]["mapped"], after["outcome"]["copied"]
    assert after == before


def test_only_what_is_asked_for_is_copied(store: Store) -> None:
    both = defined(a={**NEW, "fields": LINES[:1]}, b={**NEW, "fields": LINES[-1:]})
    hub = Hub(1, BEFORE, store)
    hub.put(*(sign_in(number, 0, number) for number in range(4)))
    hub.settle()
    switch(hub, both)
    copy(hub, both, mappings=["a"], where="properties.n >= 2")
    assert hub.profile("p0")["traits"] == {"sum": 6, "total": 5}
    copy(hub, both)
    assert hub.profile("p0")["traits"] == {"sum": 6, "total": 6, "count": 4}


def test_a_line_that_is_new_in_a_mapping_is_copied_and_the_others_are_not(store: Store) -> None:
    more = {**OLD, "fields": [*OLD["fields"], LINES[1]]}
    hub = Hub(1, BEFORE, store)
    hub.put(sign_in(0, 0, 5))
    hub.settle()
    switch(hub, defined(old=more))
    copy(hub, defined(old=more))
    assert hub.profile("p0")["traits"] == {"sum": 5, "last": 5}


def test_what_is_left_alone(store: Store) -> None:
    hub = Hub(1, BEFORE, store)
    nobody = track("", event("e1", "sign-in", n=1))
    hands_off = track("p1", event("e2", "sign-in", n=1))
    hands_off["body"][1]["options"] = b'{"saveProfile": false}'  # type: ignore[typeddict-unknown-key]
    hub.put(nobody, hands_off, sign_in(3, 1, 1))
    hub.settle()
    switch(hub, AFTER)
    assert copy(hub, AFTER) == {"not_mapped": 2, "to_copy": 1}
    assert hub.profile("p1")["traits"]["count"] == 1


def test_a_copy_follows_a_merge(store: Store) -> None:
    """Whoever the profile is part of by now gets it."""
    hub = Hub(2, BEFORE, store)
    hub.put(sign_in(0, 0, 1), sign_in(1, 1, 2))
    hub.settle()
    hub.put(step_record("m1", "p1", "p0", "ask", b'{"kind":"request","profile_id":"p0","other_id":"p1","at":"x"}'))
    hub.settle()
    ids = {one["id"] for one in hub.profiles()}
    switch(hub, AFTER)
    copy(hub, AFTER)
    assert sum(one["traits"]["total"] for one in hub.profiles()) == 3
    assert {one["id"] for one in hub.profiles()} == ids


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_merge_that_is_undone_leaves_copies_with_whom_they_belong_to(store: Store, when: str) -> None:
    """Whether the event came before the merge or after it; and a copy afterwards adds nothing again."""
    hub, plain = Hub(2, BEFORE, store), Hub(2, AFTER)
    first = [sign_in(0, 0, 1), sign_in(1, 1, 2)]
    for one in (hub, plain):
        one.put(*first)
        one.settle()
    hub.put(step_record("m1", "p1", "p0", "ask", b'{"kind":"request","profile_id":"p0","other_id":"p1","at":"x"}'))
    hub.settle()
    later = [sign_in(2, 0, 3), sign_in(3, 1, 4)] if when == "after" else []
    for one in (hub, plain):
        one.put(*later)
        one.settle()
    switch(hub, AFTER)
    copy(hub, AFTER)
    (merge,) = hub.store.merges(["p0", "p1"])
    hub.put(step_record(merge.id, merge.survivor_id, merge.loser_id, "undo"))
    hub.settle()
    assert traits(hub) == traits(plain)
    assert copy(hub, AFTER) == {"applied_already": 2 + len(later)}
    assert traits(hub) == traits(plain)


def test_a_sample_shows_before_and_after(store: Store) -> None:
    hub = Hub(1, BEFORE, store)
    hub.put(sign_in(0, 0, 1), sign_in(1, 0, 2))
    hub.settle()
    (partition,) = hub.store.event_partitions()
    rows = hub.store.events_between(EventSpan(partition, 0, 10), "", ["sign-in"], 10)
    found = look((document for _, document in rows), AFTER, [], whole=True)
    shown = sample(found.copies, AFTER, [], partial(hub.store.get, "profiles"), 5)
    totals = [one for part in shown for one in part["changes"] if one["field"] == "traits.total"]
    assert totals == [
        {"field": "traits.total", "before": None, "after": 1},
        {"field": "traits.total", "before": 1, "after": 3},
    ]
    assert "total" not in hub.profile("p0")["traits"]


def test_a_copy_of_a_crashed_collector_counts_once(store: Store) -> None:
    hub = Hub(1, BEFORE, store)
    hub.put(*(sign_in(number, 0, 1) for number in range(6)))
    hub.settle()
    switch(hub, AFTER)
    (partition,) = hub.store.event_partitions()
    rows = hub.store.events_between(EventSpan(partition, 0, 10), "", ["sign-in"], 10)
    copies = look((document for _, document in rows), AFTER, []).copies
    asked = list(requests(copies, partition, [], task="t", at_ms=NOW_MS, definitions_offset=1))
    hub.put(*asked, *asked)
    for crash in ("computed", "written", "told"):
        hub.owners[0].step(1, crash)
    hub.settle()
    assert hub.profile("p0")["traits"]["total"] == 6


def test_pages_of_a_slice_go_profile_by_profile_and_on_from_each_checkpoint(store: Store) -> None:
    hub = Hub(1, BEFORE, store)
    hub.put(track("", event("e0", "sign-in", n=0)), *(sign_in(number, number % 3, number) for number in range(1, 12)))
    hub.settle()
    (partition,) = hub.store.event_partitions()
    span = EventSpan(partition, 1, 11)

    def pages(at: dict[str, Any] | None, size: int) -> list[tuple[dict[str, Any], list[str]]]:
        found = by_profile(hub.store, span, "properties.n != 6", ["sign-in"], at, size=size)
        return [(at, [msgspec.json.decode(one)["id"] for one in documents]) for at, documents in found]

    every = pages(None, 4)
    assert [ids for _, ids in every] == [["e3", "e9", "e1", "e4"], ["e7", "e10", "e2", "e5"], ["e8"]]
    for number, (at, _) in enumerate(every):
        assert pages(at, 4) == every[number + 1 :]
    assert pages({"number": 99}, 4) == every, "the event has gone: all of it again"
    assert pages({"seq": 5}, 4) == every, "one of a hub before this: the same"


def test_many_events_of_a_profile_are_one_request_and_fill_a_batch() -> None:
    hub = Hub(1, BEFORE)
    hub.put(*(sign_in(number, number % 4, 1) for number in range(200)))
    hub.settle()
    (one,) = planned(hub.store, "", ["sign-in"], 1_000)
    span = EventSpan(**one.spec)
    asked = [
        record
        for _, documents in by_profile(hub.store, span, "", ["sign-in"], None, size=100)
        for record in requests(
            look(documents, AFTER, []).copies, span.partition, [], task="t", at_ms=NOW_MS, definitions_offset=1
        )
    ]
    assert [copies_of(record) for record in asked] == [50, 50, 50, 50]
    assert copies_of(sign_in(0, 0, 1)) == 0
    assert [len(batch) for batch in batches(decode(log(*asked)), 75)] == [2, 2]
    hub.put(*asked)
    switch(hub, AFTER)
    hub.settle()
    assert {id: one["total"] for id, one in traits(hub).items()} == {f"p{number}": 50 for number in range(4)}


def test_keys_of_lines_tell_what_would_be_added_twice() -> None:
    lines = Mapping.model_validate(
        {
            "event_type": "a",
            "fields": [
                {"profile": "traits.n", "op": "increment", "value": 1},
                {"profile": "traits.n", "op": "increment", "value": 2},
                {"profile": "traits.n", "op": "set", "value": 1},
                {"profile": "traits.n", "op": "set", "value": 2},
                {"event": "properties.n", "profile": "traits.n", "op": "add", "when": "properties.n > 1"},
                {"event": "properties.n", "profile": "traits.n", "op": "add"},
            ],
        }
    ).fields
    keys = [key_of(line) for line in lines]
    assert keys[0] == keys[1]
    assert keys[4] == keys[5]
    assert len(set(keys)) == 4
    assert all(len(key) == 6 for key in keys)


def test_documents_of_types_without_mappings_say_nothing() -> None:
    hub = Hub(1, BEFORE)
    hub.put(track("p0", event("e0", "purchase", n=1)))
    hub.settle()
    document = hub.store.get("events", "e0")
    assert document is not None
    assert "mapped" not in document["outcome"]
    assert msgspec.json.encode(document)


def test_the_batch_before_is_written_before_its_events_are_read(store: Store) -> None:
    """It may have copied the same ones: two tasks at once, or a page that was asked for twice."""
    hub = Hub(1, BEFORE, store)
    hub.put(sign_in(0, 0, 1))
    hub.settle()
    (partition,) = store.event_partitions()
    (row,) = store.events_between(EventSpan(partition, 0, 10), "", ["sign-in"], 10)
    copies = look([row[1]], AFTER, []).copies
    (asked,) = requests(copies, partition, [], task="t", at_ms=NOW_MS, definitions_offset=1)
    said = Copied("e0", partition, b'{"new":""}', b"[]")

    def finish() -> None:
        store.write(msgspec.structs.replace(batch(), copied=[said]))

    (decoded,) = decode(log(asked))
    assert b'"copied":[]' in to_copy([decoded], store, finish)["e0"]
    (other,) = decode(log(sign_in(1, 0, 1)))
    assert to_copy([other], store, finish) == {}


def test_what_a_promotion_has_applied_is_not_copied_again() -> None:
    """Its profiles come from a shadow that has applied the mapping to all events; their documents here say nothing."""
    promoted = Promoted(1, {0: 2}, {"sign-in": {"new": named(AFTER.mappings["sign-in"].own)["new"]}})
    hub = Hub(1, BEFORE)
    hub.put(sign_in(0, 0, 1), sign_in(1, 0, 2), sign_in(2, 0, 3))
    hub.settle()
    (partition,) = hub.store.event_partitions()
    documents = [row[1] for row in hub.store.events_between(EventSpan(partition, 0, 10), "", ["sign-in"], 10)]
    assert look(documents, AFTER, [], [promoted]).counts == {"to_copy": 1, "applied_already": 2}
    with hub.store.promotion("next", at_ms=NOW_MS, most_s=10) as pause:
        pause.note_mapped(promoted.mapped)
    (kept,) = hub.store.promoted()
    assert (kept.epoch, kept.progress, kept.mapped) == (1, {0: 3}, promoted.mapped)
    (asked,) = requests(look(documents, AFTER, []).copies, partition, [], task="t", at_ms=NOW_MS, definitions_offset=1)
    (decoded,) = decode(log(asked))
    found = to_copy([decoded], hub.store, lambda: None)
    assert [msgspec.json.decode(one)["outcome"]["mapped"].keys() for one in found.values()] == [{"old", "new"}] * 3
