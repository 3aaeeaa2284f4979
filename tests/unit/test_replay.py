"""Replays: bounds, records rebuilt from the store, filters, definitions of a shadow, the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.edge.times import END_MS, FIRST_MS
from hub.model import Position
from hub.pipeline.definitions import Definitions
from hub.pipeline.process import process
from hub.pipeline.records import decode
from hub.pipeline.state import State
from hub.replay.bounds import BEGINNING, At, BoundError, Offset, Offsets, Selection, parse_bound, select
from hub.replay.definitions import DefinitionError, changes, read_folder, wanted_specs
from hub.replay.diff import compare
from hub.replay.logged import Logged
from hub.replay.matching import document_of, make_filter
from hub.replay.rebuild import inbound_of
from hub.replay.source import Originals
from hub.replay.stored import StoredRecords
from hub.settings import Kafka
from hub.store import open_store
from hub.store.query import QueryError
from schemas.codec import encode_inbound
from schemas.records import MERGE, PATCH, Inbound
from schemas.replays import Replay, copy_header, is_copy, replay_header
from tests.contracts.batches import batch
from tests.contracts.batches import event as stored_event
from tests.factories import NOW_MS, event, log, track

HOUR_MS = 3_600_000


# Bounds


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("beginning", BEGINNING),
        ("2026-05-28T20:26:40Z", At(NOW_MS)),
        ("2026-05-28T22:26:40.000+02:00", At(NOW_MS)),
        ("2h", At(NOW_MS - 2 * HOUR_MS)),
        ("30m", At(NOW_MS - HOUR_MS // 2)),
        ("999999999d", BEGINNING),
        ("0", Offset(0)),
        (" 1780000000 ", Offset(1_780_000_000)),
        ("0:0", Offsets({0: 0})),
        ("0:120,3:95", Offsets({0: 120, 3: 95})),
    ],
)
def test_bounds_as_people_write_them(text: str, bound: Any) -> None:
    assert parse_bound(text, NOW_MS) == bound


@pytest.mark.parametrize(
    "text", ["", "yesterday", "-1", "0:1,0:2", "0:", "1:2,", "2 h", "2026-13-01", "5:x", "1.5", "٣"]
)
def test_what_is_no_bound_is_refused_in_words(text: str) -> None:
    with pytest.raises(BoundError, match=r"neither a time|twice"):
        parse_bound(text, NOW_MS)


def selection(since: Any, until: Any = None, **more: Any) -> Selection:
    """Of a log with three partitions: 0 is whole, of 1 the first 50 are deleted, 2 is empty since its 70 were."""
    given: dict[str, Any] = {
        "ends": {0: (0, 100), 1: (50, 90), 2: (70, 70)},
        "by_time": {0: 0, 1: 50, 2: 70},
        "epoch": 2,
        "newest_epoch": 2,
        **more,
    }
    return select(since, until, **given)


def wanted(chosen: Selection, epoch: int, partition: int, offset: int, received_at_ms: int = NOW_MS) -> bool:
    return chosen.wants_stored(Position(epoch, partition, offset, 0), received_at_ms)


def test_from_the_beginning_everything_is_wanted_once() -> None:
    """From the store exactly what the log does not have."""
    chosen = selection(BEGINNING)
    assert {n: (part.log_first, part.last) for n, part in chosen.parts.items()} == {
        0: (0, 100),
        1: (50, 90),
        2: (70, 70),
    }
    assert chosen.is_whole
    assert chosen.needs_store
    assert wanted(chosen, 1, 0, 5), "on a log before this one"
    assert not wanted(chosen, 2, 0, 5), "the log has it"
    assert wanted(chosen, 2, 1, 49)
    assert not wanted(chosen, 2, 1, 50)
    assert wanted(chosen, 2, 2, 69)


def test_a_log_that_is_whole_needs_no_store() -> None:
    whole = {"ends": {0: (0, 10)}, "by_time": {0: 0}}
    assert not selection(BEGINNING, **whole, epoch=1, newest_epoch=1).needs_store
    assert selection(BEGINNING, **whole, epoch=2, newest_epoch=2).needs_store, "there was a log before it"
    assert selection(BEGINNING, **whole, epoch=None, newest_epoch=1).needs_store, "the log was made anew"
    assert not selection(BEGINNING, **whole, epoch=None, newest_epoch=0).needs_store, "a new hub"


def test_a_time_that_the_log_reaches_needs_no_store() -> None:
    """A record from before that time is still there: then so is everything after it."""
    chosen = selection(At(NOW_MS), by_time={0: 40, 1: 60, 2: 71}, ends={0: (0, 100), 1: (50, 90), 2: (70, 80)})
    assert not chosen.needs_store
    assert [part.log_first for part in chosen.parts.values()] == [40, 60, 71]
    assert not chosen.is_whole
    assert selection(At(NOW_MS), by_time={0: 40, 1: 50, 2: 71}).needs_store
    assert not selection(At(NOW_MS)).has_time(NOW_MS - 1)


def test_offsets_are_of_this_log_only() -> None:
    chosen = selection(Offset(60), Offset(80))
    assert [(part.log_first, part.last) for part in chosen.parts.values()] == [(60, 80), (60, 80), (70, 70)]
    assert not wanted(chosen, 1, 0, 65)
    assert wanted(chosen, 2, 2, 65)
    assert not wanted(chosen, 2, 2, 59)
    chosen = selection(Offsets({1: 20}), Offsets({1: 30}))
    assert list(chosen.parts) == [1]
    assert wanted(chosen, 2, 1, 29)
    assert not wanted(chosen, 2, 1, 30)
    assert chosen.parts[1].log_first == 30, "nothing of the log"


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (Offsets({9: 0}), None, "no partition 9"),
        (Offset(0), Offsets({9: 0}), "no partition 9"),
        (Offsets({0: 101}), None, "ends at offset 100"),
        (Offset(1000), None, "nothing between"),
        (Offset(5), Offset(5), "nothing between"),
        (At(NOW_MS), At(NOW_MS), "nothing between"),
        (At(NOW_MS), At(NOW_MS - 1), "nothing between"),
    ],
)
def test_bounds_that_make_no_sense(since: Any, until: Any, words: str) -> None:
    with pytest.raises(BoundError, match=words):
        selection(since, until)


# Rebuilding


def documents(*inbounds: Inbound) -> list[bytes]:
    """What the collector stores of them."""
    state = State(epoch=1, progress={}, profiles={}, sessions={}, events={}, replayed={})
    outcome = process(list(decode(log(*inbounds))), state, Definitions(7, {}))
    return [one.doc for one in outcome.batch.events]


def test_a_record_comes_back_from_its_documents() -> None:
    sent = track("ann", event("e1", n=1), event("e2", "view", time_ms=None, x="é"), session_id="s")
    sent["body"][1]["request"] = b'{"ip": "::1",  "headers":{}}'  # type: ignore[typeddict-unknown-key]
    sent["body"][1]["events"][0]["properties"] = b'{ "n" : 1.0, "big":12345678901234567890.5 }'  # type: ignore[typeddict-item]
    sent["body"][1]["events"][0]["client_id"] = "1001"  # type: ignore[typeddict-item]
    sent["body"][1]["events"][1]["tags"] = ["a", "b"]  # type: ignore[typeddict-item]
    assert inbound_of(documents(sent)) == sent
    profile_less = track("", event("e3"))
    assert inbound_of(documents(profile_less)) == profile_less


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(FIRST_MS, END_MS - 1),
            st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 99) | st.text(max_size=3)
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, END_MS - 1),
    st.none() | st.just("s"),
)
def test_any_record_comes_back(
    events: list[tuple[int | None, dict[str, Any]]], received_at_ms: int, session_id: str | None
) -> None:
    sent = track("p", *(event(f"e{n}", time_ms=at) for n, (at, _) in enumerate(events)), session_id=session_id)
    sent["received_at_ms"] = received_at_ms
    for one, (_, properties) in zip(sent["body"][1]["events"], events, strict=True):  # type: ignore[typeddict-item]
        one["properties"] = msgspec.json.encode(properties)
    assert inbound_of(documents(sent)) == sent


def test_stored_events_come_out_in_the_order_of_the_log() -> None:
    """Whatever months their own times are in: by log, offset and place; a payload in one piece."""
    store = open_store("memory://")
    store.epoch("topic-of-old")
    store.epoch("topic")
    month_ms = 31 * 86_400_000
    events = []
    for n, (epoch, partition, offset, place, months) in enumerate(
        [
            (2, 0, 0, 0, 0),
            (1, 1, 9, 0, 0),
            (2, 0, 1, 1, 3),
            (2, 0, 1, 0, 1),
            (2, 1, 0, 0, 5),
            (1, 1, 8, 0, 9),
            (2, 0, 5, 0, 0),
        ]
    ):
        (document,) = documents(track(f"p{partition}", event(f"e{n}")))
        one = stored_event(f"e{n}", time_ms=NOW_MS - months * month_ms)
        position = Position(epoch, partition, offset, place)
        events.append(msgspec.structs.replace(one, doc=document, position=position, received_at_ms=NOW_MS))
    store.write(batch(*events))
    rebuilt = StoredRecords(store, selection(BEGINNING, ends={0: (5, 9), 1: (1, 2)}, by_time={0: 5, 1: 1}))
    found = [(one.partition, one.offset, [e["id"] for e in one.inbound["body"][1]["events"]]) for one in rebuilt]  # type: ignore[typeddict-item]
    assert found == [(1, 8, ["e5"]), (1, 9, ["e1"]), (0, 0, ["e0"]), (1, 0, ["e4"]), (0, 1, ["e3", "e2"])]
    assert rebuilt.events == 6
    rebuilt.close()
    store.close()


def test_copies_are_told_from_dead_letters() -> None:
    assert is_copy([copy_header(3, 17)])
    assert not is_copy([replay_header(Replay("id", 2))])
    assert not is_copy(None)
    assert not is_copy([])


# Filters


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["e1", "e2"]),
        ("type = purchase", ["e1"]),
        ("profile.id = ann AND source = shop", ["e1", "e2"]),
        ("properties.n = 1", ["e1"]),
        ("session@id = s", ["e1", "e2"]),
        ('metadata.time.create = "2026-05-28T20:26:39.000Z"', ["e1", "e2"]),
        ("metadata.payload_id = payload-ann-e1 AND tags.count = 0 AND name = Page-View", []),
        ('name = "Page View"', ["e2"]),
        ("profile.id = bob", []),
    ],
)
def test_a_filter_leaves_the_events_that_match(query: str, ids: list[str]) -> None:
    sent = track("ann", event("e1", n=1), event("e2", "page-view", n=2), session_id="s")
    kept = make_filter(query)(sent)
    assert (kept is None) == (ids == [])
    if kept is not None:
        assert [one["id"] for one in kept["body"][1]["events"]] == ids  # type: ignore[typeddict-item]
    assert len(sent["body"][1]["events"]) == 2, "the record itself was changed"  # type: ignore[typeddict-item]


def test_a_filter_sees_what_a_search_sees() -> None:
    """Every field of the document but those that processing adds: else a replay and a search would differ."""
    sent = track("ann", event("e1", n=1), session_id="s")
    (document,) = documents(sent)
    shown = msgspec.json.decode(document)
    del shown["outcome"]
    for late in ("flags", "definitions", "position"):
        del shown["metadata"][late]
    track_body: Any = sent["body"][1]
    assert document_of(track_body["events"][0], track_body, sent) == shown


@pytest.mark.parametrize(
    "query", ["outcome.profile_version = 1", "metadata.flags = x AND type = y", "metadata.position.offset = 1"]
)
def test_what_is_only_known_afterwards_cannot_be_searched(query: str) -> None:
    with pytest.raises(QueryError, match="once an event is processed"):
        make_filter(query)


# Definitions of a shadow

A, B, C = ({"name": name} for name in "abc")
X, Y = ("mapping", "x"), ("mapping", "y")


def test_a_shadow_gets_lives_definitions_and_keeps_its_own() -> None:
    assert wanted_specs({X: A}, {}, None) == {X: A}
    assert wanted_specs({X: A}, {Y: B}, None) == {Y: B}
    assert wanted_specs({}, {}, None) == {}


def test_files_replace_the_copies() -> None:
    """By id; null takes one out, and what an earlier replay has put there goes."""
    assert wanted_specs({X: A, Y: B}, {}, {X: C}) == {X: C, Y: B}
    assert wanted_specs({X: A, Y: B}, {X: A, Y: B}, {X: None}) == {Y: B}
    assert wanted_specs({X: A}, {X: C, Y: C}, {X: C}) == {X: C}


def test_only_definitions_that_differ_are_written() -> None:
    assert changes({X: A, Y: B}, {X: C, Y: B}) == {X: C}
    assert changes({X: A}, {X: A, Y: B}) == {Y: B}
    assert changes({X: A, Y: C}, {X: A}) == {Y: None}


def test_a_folder_of_definitions(tmp_path: Path) -> None:
    (tmp_path / "mapping" / "team").mkdir(parents=True)
    line = {"event": "properties.n", "profile": "traits.n"}
    text = msgspec.json.encode({"event_type": "purchase", "fields": [line]})
    (tmp_path / "mapping" / "x.json").write_bytes(text)
    (tmp_path / "mapping" / "team" / "y.json").write_text("null")
    (tmp_path / "notes.json").write_text("not one of ours")
    found = read_folder(tmp_path)
    assert found["mapping", "team/y"] is None
    assert found["mapping", "x"] is not None
    assert found["mapping", "x"]["fields"][0]["op"] == "set", "defaults are filled in, as the API does it"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("mapping/x.json", "{", "x.json"),
        ("mapping/x.json", '{"event_type": "a", "fields": []}', "x.json"),
        ("mapping/x.json", '{"event_type": "a", "fields": [], "typo": 1}', "typo"),
        ("bridge/x.json", "{}", "no definitions of kind bridge"),
        ("mappings/x.json", "{}", "no definitions of kind mappings"),
        ("mapping/x.yaml", "", "has no files"),
    ],
)
def test_what_is_no_definition_is_named(tmp_path: Path, file: str, text: str, words: str) -> None:
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(text)
    with pytest.raises(DefinitionError, match=words):
        read_folder(tmp_path)


# The comparison


def profiles(**documents: dict[str, Any]) -> list[tuple[str, bytes]]:
    return [(id, msgspec.json.encode(document)) for id, document in sorted(documents.items())]


def diff(live: list[tuple[str, bytes]], shadow: list[tuple[str, bytes]], samples: int = 9, later: str = "") -> Any:
    return msgspec.to_builtins(compare(live, shadow, lambda key, _: key == later, samples))


def test_profiles_that_are_the_same_but_for_their_place_on_the_log() -> None:
    one = {"metadata": {"version": 5, "fields": {"traits.n": ["t", "e"]}, "time": {}}, "traits": {"n": 1, "l": [1]}}
    other = {"metadata": {"version": 9, "fields": {}, "time": {}}, "traits": {"l": [1], "n": 1}}
    found = diff(profiles(a=one), profiles(a=other))
    assert (found["same"], found["differ"], found["fields"]) == (1, 0, [])


def test_each_difference_is_counted_by_its_path() -> None:
    found = diff(
        profiles(a={"traits": {"n": 1, "o": {"p q": 1}, "gone": None}}, b={"traits": {"n": 2}, "segments": ["x"]}),
        profiles(a={"traits": {"n": True, "o": {"p q": 2}}}, b={"traits": {"n": 3}, "segments": ["y"]}),
    )
    assert found["differ"] == 2
    assert {field["path"]: field["samples"] for field in found["fields"]} == {
        "traits.n": [{"profile": "a", "live": 1, "shadow": True}, {"profile": "b", "live": 2, "shadow": 3}],
        "traits.gone": [{"profile": "a", "live": None}],
        'traits.o."p q"': [{"profile": "a", "live": 1, "shadow": 2}],
        "segments": [{"profile": "b", "live": ["x"], "shadow": ["y"]}],
    }
    assert found["fields"][0]["path"] == "traits.n", "the most frequent first"


def test_profiles_of_one_side_only() -> None:
    found = diff(profiles(a={}, c={}, e={}, z={}), profiles(b={}, c={}, d={}, f={}))
    assert (found["live"], found["shadow"], found["same"], found["only_live"], found["only_shadow"]) == (4, 4, 1, 3, 3)
    assert found["samples"] == {"differ": [], "only_live": ["a", "e", "z"], "only_shadow": ["b", "d", "f"]}
    assert diff([], [])["live"] == 0
    assert diff(profiles(a={}), [])["only_live"] == 1


def test_what_live_has_changed_since_is_not_compared() -> None:
    found = diff(profiles(a={"traits": {"n": 1}}, b={}), profiles(a={"traits": {"n": 2}}, b={}), later="a")
    assert (found["later"], found["differ"], found["same"]) == (1, 0, 1)


def test_a_report_stays_small() -> None:
    """However many profiles and fields differ."""
    live = profiles(**{f"p{n}": {"traits": {f"f{m}": n for m in range(600)}} for n in range(5)})
    shadow = profiles(**{f"p{n}": {"data": {f"g{m}": n for m in range(600)}} for n in range(5)})
    found = diff(live, shadow, samples=2)
    assert found["differ"] == 5
    assert len(found["fields"]) <= 1_000
    assert found["samples"]["differ"] == ["p0", "p1"]
    assert all(len(field["samples"]) <= 2 for field in found["fields"])
    many = profiles(a={"traits": {f"f{m}": m for m in range(1_200)}}), profiles(a={"traits": {"x": 1}})
    found = diff(*many)
    assert (len(found["fields"]), found["fields_left_out"]) == (1_000, 201)


# What is sent of a record of the log


def judged(
    inbound: Inbound | bytes, *, copy: bool = False, query: str = "", **bounds: Any
) -> tuple[str, Inbound | None]:
    """Of a record at partition 1, offset 60."""
    chosen = selection(bounds.pop("since", BEGINNING), **bounds)
    store = open_store("memory://")
    originals = Originals(
        kafka=Kafka(),
        namespace="hub",
        store=store,
        selection=chosen,
        keep=make_filter(query),
        on_step=lambda _: None,
    )
    value = inbound if isinstance(inbound, bytes) else encode_inbound(inbound)
    return originals.judge(Logged(1, 60, b"key", value, copy))


def test_only_originals_are_sent() -> None:
    """Each once: not the record that the collector made of it for another profile."""
    sent = track("ann", event("e1"))
    assert judged(sent)[1] == {**sent, "sent_as": None, "first_at": None, "forwarded_for": None}
    forwarded: Any = {**sent, "profile_id": "amy", "sent_as": "ann", "first_at": "2/0/7", "forwarded_for": "alias"}
    assert judged(forwarded) == ("forwarded", None)
    assert judged({**forwarded, "first_at": "2/1/50"}) == ("forwarded", None)


@pytest.mark.parametrize("first_at", ["2/1/49", "1/1/60"])
def test_what_was_forwarded_is_sent_as_it_was_when_kafka_has_deleted_the_original(first_at: str) -> None:
    sent = track("ann", event("e1"))
    forwarded: Any = {**sent, "profile_id": "amy", "sent_as": "ann", "first_at": first_at, "forwarded_for": "alias"}
    assert judged(forwarded) == judged(sent)


def test_other_records_are_left_alone() -> None:
    sent = track("ann", event("e1"))
    merge: Any = {
        **sent,
        "body": (MERGE, {"loser_id": "a", "loser_version": 1, "snapshot": b"{}", "step": "ask", "reason": b"{}"}),
    }
    patch: Any = {**sent, "body": (PATCH, {"cause": "run", "operations": b"[]"})}
    assert judged(merge) == ("other", None)
    assert judged(patch) == ("other", None)
    assert judged(b"rubbish") == ("undecodable", None)
    assert judged(sent, since=At(NOW_MS + 1)) == ("out_of_time", None)
    assert judged(sent, query="type = view") == ("not_matching", None)
    assert judged(sent, copy=True)[1] is not None, "the only one that there is"


def test_an_event_that_is_a_dead_letter_is_not_sent_with_the_others() -> None:
    """It would become another dead letter."""
    broken = event("e2")
    broken["properties"] = b"{oops"
    _, kept = judged(track("ann", event("e1"), broken))
    assert kept is not None
    assert [one["id"] for one in kept["body"][1]["events"]] == ["e1"]  # type: ignore[typeddict-item]
    assert judged(track("ann", broken)) == ("undecodable", None)
