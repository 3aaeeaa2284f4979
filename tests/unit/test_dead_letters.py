"""A replayed letter counts its attempts once, is resolved once, and when too much is bad the collector stops."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.collector.state import Memory
from hub.edge.inbound import refused
from hub.errors import InvalidPayload
from hub.pipeline.definitions import Definitions
from hub.pipeline.identity import Reason
from hub.pipeline.letters import as_sent
from hub.pipeline.process import Outcome, process
from hub.pipeline.records import LogRecord, decode
from hub.pipeline.stop_rule import StopRule
from hub.settings import Collector
from hub.store.memory import MemoryStore
from schemas.records import PATCH, Inbound
from schemas.replays import REPLAY_HEADER, Replay, read_replay, replay_header
from tests.factories import NOW_MS, event, log, totals, track
from tests.unit import hub_model


class Hub:
    """A collector without Kafka on one partition."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.epoch = self.store.epoch("topic")

    def take(self, *records: LogRecord) -> Outcome:
        decoded = list(decode(records))
        state = Memory(Collector()).load(decoded, self.epoch, self.store.progress(self.epoch), self.store)
        outcome = process(decoded, state, Definitions(-1, {}))
        self.store.write(outcome.batch)
        return outcome

    def counts(self) -> dict[str, int]:
        return totals(self.store)

    def letter(self, id: str) -> tuple[str, int, str]:
        """Status, attempts, reason."""
        found = self.store.get("dead-letters", id)
        assert found is not None
        return found["status"], found["attempts"], found["reason"]


def refusal(reason: str = "mapping_failed") -> Inbound:
    _, record = refused(
        InvalidPayload(reason, "why"),
        body=b"the message",
        headers={},
        origin="bridge:b:t/0/7",
        source="shop",
        now_ms=NOW_MS,
        definitions_offset=-1,
        payload_id="payload-7",
        key=b"\xff",
        time_ms=5,
        meta={"topic": "t"},
    )
    return record


def replayed(record: LogRecord, letter_id: str, attempt: int = 2, at_ms: int = NOW_MS + 5_000) -> LogRecord:
    return record._replace(replay=Replay(letter_id, attempt), at_ms=at_ms)


def dead(hub: Hub) -> str:
    """One refused message; its letter's id."""
    (letter,) = hub.take(*log(refusal())).batch.dead_letters
    return letter.id


def test_a_letter_keeps_all_that_a_replay_needs() -> None:
    hub = Hub()
    found = hub.store.get("dead-letters", dead(hub))
    assert found is not None
    assert (found["payload_id"], found["key"], found["time_ms"]) == ("payload-7", "ÿ", 5)
    assert found["meta"] == {"topic": "t"}
    (rubbish,) = hub.take(*log(b"rubbish", start=1)).batch.dead_letters
    assert (rubbish.key, rubbish.payload_id) == (b"key", None)


def test_a_replay_that_is_stored_resolves_its_letter_and_adds_up() -> None:
    hub = Hub()
    id = dead(hub)
    (record,) = log(track("p1", event("e1")), start=1)
    hub.take(replayed(record, id))
    assert hub.letter(id) == ("resolved", 1, "mapping_failed")
    assert hub.store.get("dead-letters", id)["resolved_at"] == "2026-05-28T20:26:45.000Z"  # type: ignore[index]
    assert hub.counts() == {"received": 2, "stored": 1, "duplicate": 0, "dropped": 0, "dead": 1}
    # again: the same ids, so nothing changes but what was received
    (record,) = log(track("p1", event("e1")), start=2)
    hub.take(replayed(record, id, at_ms=NOW_MS + 9_000))
    assert hub.store.get("dead-letters", id)["resolved_at"] == "2026-05-28T20:26:45.000Z"  # type: ignore[index]
    assert hub.store.count("events", "") == 1
    assert hub.counts() == {"received": 3, "stored": 1, "duplicate": 1, "dropped": 0, "dead": 1}


def test_a_replay_that_fails_is_one_more_attempt_of_the_same_letter() -> None:
    hub = Hub()
    id = dead(hub)
    (record,) = log(refusal("unknown_source"), start=1)
    outcome = hub.take(replayed(record, id))
    assert hub.letter(id) == ("open", 2, "unknown_source")
    assert hub.store.count("dead-letters", "") == 1
    assert hub.counts() == {"received": 2, "stored": 0, "duplicate": 0, "dropped": 0, "dead": 2}
    (told,) = outcome.dead_letters
    assert (told.id, told.attempts, told.body) == (id, 2, b"the message")


def test_records_that_are_read_again_count_no_attempt_and_are_told_alike() -> None:
    """The collector died between the store and the commit."""
    hub = Hub()
    id = dead(hub)
    (again,) = log(refusal("unknown_source"), start=1)
    (other,) = log(track("p1", event("e1")), start=2)
    records = replayed(again, id), replayed(other, id)
    first = hub.take(*records)
    before = hub.letter(id), hub.counts()
    second = hub.take(*records)
    assert (hub.letter(id), hub.counts()) == before == (("resolved", 2, "unknown_source"), hub.counts())
    assert second.dead_letters == first.dead_letters
    assert not second.batch.failed_again
    assert not second.batch.resolved


def test_bytes_that_are_no_record_keep_their_letter_at_every_replay() -> None:
    hub = Hub()
    (letter,) = hub.take(*log(b"rubbish")).batch.dead_letters
    (record,) = log(b"rubbish", start=1)
    hub.take(replayed(record, letter.id))
    assert hub.letter(letter.id) == ("open", 2, "undecodable_record")
    # after an update that knows the record, the same bytes are stored
    (record,) = log(track("p1", event("e1")), start=2)
    hub.take(replayed(record, letter.id, 3))
    assert hub.letter(letter.id)[:2] == ("resolved", 2)


def test_two_events_of_one_record_that_fail_again_are_one_attempt() -> None:
    hub = Hub()
    id = dead(hub)
    bad = [msgspec.convert({**event(f"e{n}"), "properties": b"{broken"}, type=dict) for n in range(2)]
    (record,) = log(track("p1", event("good"), *bad), start=1)  # type: ignore[arg-type]
    outcome = hub.take(replayed(record, id))
    assert hub.letter(id) == ("open", 2, "undecodable_record")
    assert len(outcome.dead_letters) == 1
    assert hub.counts() == {"received": 4, "stored": 1, "duplicate": 0, "dropped": 0, "dead": 3}


def test_a_letter_of_one_event_of_many_has_that_event_alone() -> None:
    hub = Hub()
    bad = {**event("bad"), "properties": b"{broken"}
    (record,) = log(track("p1", event("e1"), bad, event("e2")))  # type: ignore[arg-type]
    (letter,) = hub.take(record).batch.dead_letters
    (found,) = decode([record._replace(value=letter.body)])
    assert [one["id"] for one in found.events] == ["bad"]
    assert letter.body_size == len(letter.body)
    # whatever many there are: a payload of a thousand does not lie there a thousand times
    many = [{**event(f"bad{n}"), "properties": b"{" + b"x" * 900} for n in range(1_000)]
    (record,) = log(track("p1", *many), start=1)  # type: ignore[arg-type]
    letters = hub.take(record).batch.dead_letters
    assert len(letters) == 1_000
    assert sum(len(one.body) for one in letters) < 2 * len(record.value)
    assert len({one.id for one in letters}) == 1_000


def test_a_letter_of_a_record_that_was_handed_on_can_be_sent_again() -> None:
    """To whom it was for: where it was handed on to it counts as applied."""
    hub = hub_model.Hub()
    ask = hub_model.step_record("ask", "b", "a", "ask", msgspec.json.encode(Reason("request", "b", "a", "2026")))
    hub.put(track("a", event("a1")), track("b", event("b1")), ask)
    hub.settle()
    hub.put(track("b", {**event("bad"), "properties": b"{broken"}))
    hub.settle()
    (letter,) = hub.store.search("dead-letters", "", 10, None).items
    original = hub.store.dead_letter_body(letter["id"])
    for attempt in (2, 3):
        sent = as_sent(original or b"", 7)
        assert sent is not None
        key, value = sent
        assert key == b"b"
        hub.log.append(key.decode(), value, replay_header(Replay(letter["id"], attempt))[1])
        hub.settle()
        again = hub.store.get("dead-letters", letter["id"])
        assert again is not None
        assert again["attempts"] == attempt


def test_a_message_of_a_flow_that_is_sent_again_counts_for_nothing_but_its_letter() -> None:
    """Once as long as it fails, and resolved when a worker says so by a record without events."""
    hub = Hub()

    def undelivered(why: str) -> Inbound:
        _, record = refused(
            InvalidPayload("undeliverable", why),
            body=b"the message",
            headers={},
            origin="destination:crm:flow/m1",
            source="@flow",
            now_ms=NOW_MS,
            definitions_offset=-1,
            payload_id="m1",
        )
        return record

    sent = track("")
    sent["origin"], sent["source"] = "destination:crm:flow/m1", "@flow"
    (first,) = log(undelivered("no"))
    (letter,) = hub.take(first).batch.dead_letters
    assert hub.letter(letter.id) == ("open", 1, "undeliverable")
    again = first._replace(offset=1, replay=Replay(letter.id, 2), value=log(undelivered("still no"))[0].value)
    hub.take(again)
    hub.take(again)  # told again after a crash
    assert hub.letter(letter.id) == ("open", 2, "undeliverable")
    (done,) = log(sent)
    hub.take(done._replace(offset=2))  # no replay of anything
    assert hub.letter(letter.id)[0] == "open"
    hub.take(done._replace(offset=3, replay=Replay(letter.id, 3)))
    assert hub.letter(letter.id) == ("resolved", 2, "undeliverable")
    assert not any(hub.counts().values())
    assert hub.store.count("dead-letters", "") == 1


def test_only_what_dies_here_for_the_first_time_counts_for_the_stop_rule() -> None:
    """Not what a bridge refused, not what was dead before, not what is read again."""
    hub = Hub()
    patch: Inbound = {**track("p1", event("e")), "body": (PATCH, {"cause": "c", "operations": b"[]"})}
    records = log(refusal(), b"rubbish", patch, track("p1", event("e1")))
    assert hub.take(*records).own_dead == 2
    assert hub.take(*records).own_dead == 0
    (record,) = log(b"rubbish", start=4)
    assert hub.take(replayed(record, "letter")).own_dead == 0


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [("x", b"1")],
        [(REPLAY_HEADER, b"")],
        [(REPLAY_HEADER, b"id")],
        [(REPLAY_HEADER, b"id x")],
        [(REPLAY_HEADER, "id ²".encode())],
        [(REPLAY_HEADER, b"id 99999999999")],
        [(REPLAY_HEADER, None)],
    ],
)
def test_headers_of_others_are_no_replay(headers: list[tuple[str, str | bytes | None]] | None) -> None:
    assert read_replay(headers) is None


def test_the_header_survives() -> None:
    replay = Replay("0190b5a0-0000-7000-8000-000000000001", 3)
    name, value = replay_header(replay)
    assert read_replay([("x", None), (name, value)]) == replay
    assert read_replay({name: value}) == replay


@pytest.mark.parametrize(
    ("steps", "broken"),
    [
        ([(9, 9)], False),  # too few to judge
        ([(10, 5)], False),  # the share itself is not too much
        ([(10, 6)], True),
        ([(5, 5), (5, 1)], True),
        ([(5, 5), (5, 0)], False),
        ([(10, 10), (10, 0)], False),  # long ago
        ([(4, 4), (4, 0), (4, 4)], True),
        ([(0, 0), (0, 0)], False),
    ],
)
def test_stop_rule(steps: list[tuple[int, int]], broken: bool) -> None:
    rule = StopRule(0.5, 10)
    for events, bad in steps:
        rule.add(events, bad)
    assert rule.broken is broken


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=60), st.integers(1, 40))
def test_a_stop_rule_judges_the_newest_steps_that_fill_its_window(steps: list[tuple[int, float]], window: int) -> None:
    rule = StopRule(0.3, window)
    given_ = [(events, int(events * share)) for events, share in steps]
    for events, bad in given_:
        rule.add(events, bad)
    all_, all_bad = 0, 0
    for events, bad in reversed(given_):
        if all_ < window:
            all_, all_bad = all_ + events, all_bad + bad
    assert rule.broken is (all_ >= window and all_bad > 0.3 * all_)
    never = StopRule(1, window)
    never.add(1_000, 1_000)
    assert not never.broken
