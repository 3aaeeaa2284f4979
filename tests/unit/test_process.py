"""What a batch does to events and profiles."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.collector.state import Memory
from hub.definitions.kinds import FieldMapping, Mapping
from hub.model import OUTLIERS, Batch
from hub.pipeline.definitions import Definitions
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.process import Outcome, process
from hub.pipeline.records import LogRecord, decode, lookup_partitions
from hub.settings import Collector
from hub.store.memory import MemoryStore
from schemas.codec import decode_inbound
from schemas.records import Inbound
from schemas.replays import Replay, replay_header
from tests.factories import NOW_MS, event, log, totals, track

ADD = Definitions(
    7,
    compile_mappings(
        [
            (
                "totals",
                Mapping(
                    event_type="purchase",
                    fields=[
                        FieldMapping(event="properties.amount", profile="traits.total", op="add"),
                        FieldMapping(event="time", profile="traits.first", op="min"),
                    ],
                ),
            )
        ]
    ),
)


class Hub:
    """A collector without Kafka: `take` reads records from the store's progress on."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.epoch = self.store.epoch("topic")

    def outcome(self, records: list[LogRecord]) -> Outcome:
        decoded = list(decode(records))
        state = Memory(Collector()).load(decoded, self.epoch, self.store.progress(self.epoch), self.store)
        return process(decoded, state, ADD)

    def take(self, *records: LogRecord) -> Outcome:
        outcome = self.outcome(list(records))
        self.store.write(outcome.batch)
        return outcome

    def profile(self, id: str) -> dict[str, Any]:
        found = self.store.get("profiles", id)
        assert found is not None
        return found

    def counts(self) -> dict[str, int]:
        return totals(self.store)


def test_a_purchase_makes_a_profile_and_adds_up() -> None:
    hub = Hub()
    hub.take(*log(track("p1", event("e1", amount=0.1)), track("p1", event("e2", amount=0.2))))
    profile = hub.profile("p1")
    assert profile["traits"]["total"] == 0.3
    assert profile["stats"]["events"] == 2
    assert profile["metadata"]["fields"]["traits.total"][1] == "e2"
    assert hub.counts() == {"received": 2, "stored": 2, "duplicate": 0, "dropped": 0, "dead": 0}


def test_an_event_sent_twice_counts_once_in_one_batch_and_across_batches() -> None:
    hub = Hub()
    first = track("p1", event("e1", amount=5))
    hub.take(*log(first, first))
    hub.take(*log(first, start=2))
    assert hub.profile("p1")["traits"]["total"] == 5
    assert hub.profile("p1")["stats"]["events"] == 1
    assert hub.counts() == {"received": 3, "stored": 1, "duplicate": 2, "dropped": 0, "dead": 0}


def test_a_duplicate_that_says_something_else_is_a_conflict_and_changes_nothing() -> None:
    hub = Hub()
    outcome = hub.take(*log(track("p1", event("e1", amount=5)), track("p1", event("e1", amount=6))))
    assert outcome.conflicts == {"shop": 1}
    assert hub.profile("p1")["traits"]["total"] == 5


def test_a_replayed_batch_changes_nothing_and_tells_the_same_again() -> None:
    """The collector died after the store's write and before the commit."""
    hub = Hub()
    records = log(
        track("p1", event("e1", amount=5), event("e2", amount=6), session_id="s1"),
        track("p1", event("e1", amount=5)),
        b"rubbish",
    )
    first = hub.take(*records)
    before = hub.profile("p1"), hub.store.get("sessions", "s1"), hub.counts()
    again = hub.take(*records)
    assert (hub.profile("p1"), hub.store.get("sessions", "s1"), hub.counts()) == before
    assert again.stored == first.stored
    assert [letter.id for letter in again.batch.dead_letters] == [letter.id for letter in first.batch.dead_letters]


def test_events_that_were_written_without_their_profile_are_applied_at_the_replay() -> None:
    """Crash window of a store without transactions: events first, profiles second."""
    hub = Hub()
    records = log(track("p1", event("e1", amount=5), session_id="s1"))
    whole = hub.outcome(records).batch
    hub.store.write(
        Batch(
            epoch=whole.epoch,
            progress={},
            events=whole.events,
            profiles=[],
            sessions=[],
            dead_letters=[],
            counters={},
        )
    )
    hub.take(*records)
    assert hub.profile("p1")["traits"]["total"] == 5
    assert hub.profile("p1")["stats"] == {"events": 1, "visits": 1}
    assert hub.counts()["stored"] == 0  # it was not new; the counter went with the batch that was lost
    assert hub.store.count("events", "") == 1


def test_rubbish_on_the_topic_is_buried_and_holds_up_nobody() -> None:
    hub = Hub()
    outcome = hub.take(*log(track("p1", event("e1")), b"\x00rubbish", track("p2", event("e2"))))
    (letter,) = outcome.batch.dead_letters
    assert (letter.reason, letter.body) == ("undecodable_record", b"\x00rubbish")
    assert hub.counts() == {"received": 3, "stored": 2, "duplicate": 0, "dropped": 0, "dead": 1}


def test_an_event_with_broken_json_is_buried_and_its_neighbours_are_stored() -> None:
    bad = event("e2")
    bad["properties"] = b"{broken"
    hub = Hub()
    outcome = hub.take(*log(track("p1", event("e1", amount=1), bad, event("e3", amount=1))))
    assert [letter.reason for letter in outcome.batch.dead_letters] == ["undecodable_record"]
    assert hub.profile("p1")["traits"]["total"] == 2
    assert hub.counts()["dead"] == 1


def test_a_value_that_a_mapping_cannot_add_costs_nobody_the_event() -> None:
    hub = Hub()
    hub.take(*log(track("p1", event("e1", amount="much"))))
    stored = hub.store.get("events", "e1")
    assert stored is not None
    (problem,) = stored["outcome"]["problems"]
    assert problem["mapping"] == "totals"
    assert "numbers" in problem["detail"]
    assert "total" not in hub.profile("p1")["traits"]


def test_a_record_that_our_own_code_stumbles_over_is_buried_and_leaves_no_trace() -> None:
    """Here a profile that is none; what matters is that the exception is one that nobody expected."""
    hub = Hub()
    hub.take(*log(track("p1", event("e1", amount=1)), track("p2", event("e2", amount=1))))
    records = log(track("p1", event("e3", amount=1)), track("p2", event("e4", amount=1)), start=2)
    decoded = list(decode(records))
    state = Memory(Collector()).load(decoded, hub.epoch, hub.store.progress(hub.epoch), hub.store)
    state.profiles["p1"] = "no profile"  # type: ignore[assignment]
    outcome = process(decoded, state, ADD)
    (letter,) = outcome.batch.dead_letters
    assert (letter.body, letter.reason) == (records[0].value, "undecodable_record")
    assert "stumbled" in letter.detail
    assert [profile.id for profile in outcome.batch.profiles] == ["p2"]


def test_code_that_stumbles_over_everything_stops_instead_of_burying_everything() -> None:
    hub = Hub()
    decoded = list(decode(log(*[track("p1", event(f"e{n}")) for n in range(20)])))
    state = Memory(Collector()).load(decoded, hub.epoch, {}, hub.store)
    state.profiles["p1"] = "no profile"  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        process(decoded, state, ADD)


def test_times_out_of_range_are_filed_apart_and_flagged() -> None:
    hub = Hub()
    outcome = hub.take(*log(track("p1", event("e1", time_ms=0)), track("p1", event("e2", time_ms=NOW_MS * 2))))
    assert [stored.partition for stored in outcome.batch.events] == [OUTLIERS, OUTLIERS]
    document = hub.store.get("events", "e1")
    assert document is not None
    assert document["metadata"]["flags"] == ["time_out_of_range"]


@pytest.mark.parametrize("clock_ms", [2_000, -2_000, -86_000_000])
def test_an_event_without_a_time_is_known_again_beyond_the_turn_of_the_month(clock_ms: int) -> None:
    """The retry is received after it; or before it, by a clock that was set back."""
    turn = 1_777_593_600_000  # 2026-05-01T00:00:00Z
    first_ms = turn - 1_000 if clock_ms > 0 else turn
    first = track("p1", event("e1", time_ms=None, amount=1), received_at_ms=first_ms)
    again = track("p1", event("e1", time_ms=None, amount=1), received_at_ms=first_ms + clock_ms)
    hub = Hub()
    hub.take(*log(first))
    hub.take(*log(again, start=1))
    assert hub.counts()["duplicate"] == 1


def test_only_near_the_end_of_a_month_is_the_next_one_looked_into() -> None:
    turn = 1_777_593_600_000  # 2026-05-01T00:00:00Z
    assert lookup_partitions(None, turn - 1) == ("2026-04", "2026-03", "2026-05")
    assert lookup_partitions(None, turn - 86_400_001) == ("2026-04", "2026-03")
    assert lookup_partitions(None, turn) == ("2026-05", "2026-04")


def test_a_future_event_is_known_again_when_its_day_has_come() -> None:
    hub = Hub()
    first = track("p1", event("e1", time_ms=NOW_MS + 5 * 86_400_000, amount=1))
    again = track("p1", event("e1", time_ms=NOW_MS + 5 * 86_400_000, amount=1), received_at_ms=NOW_MS + 6 * 86_400_000)
    hub.take(*log(first))
    hub.take(*log(again, start=1))
    assert hub.counts()["duplicate"] == 1


def test_a_session_belongs_to_the_profile_that_came_with_it_first() -> None:
    """What another one sends with it goes there, and is not counted here."""
    hub = Hub()
    records = log(
        track("p1", event("e1"), session_id="s1", context=b'{"page": 1}'),
        track("p2", event("e2"), session_id="s1", context=b'{"page": 2}'),
    )
    outcome = hub.take(*records)
    session = hub.store.get("sessions", "s1")
    assert session is not None
    assert (session["profile"]["id"], session["context"]) == ("p1", {"page": 1})
    assert hub.profile("p1")["stats"]["visits"] == 1
    assert hub.store.get("profiles", "p2") is None
    assert hub.counts()["received"] == 1
    assert outcome.batch.identity is not None
    (sent,) = outcome.batch.identity.outbox
    handed = decode_inbound(sent.value)
    assert (sent.key, handed["profile_id"], handed.get("sent_as")) == (b"p1", "p1", "p2")
    assert (handed.get("forwarded_for"), handed.get("first_at")) == ("session", "1/0/1")

    again = hub.take(*records)
    assert [one["id"] for one in again.stored] == ["e1"], "the other is not ours to tell"
    assert again.batch.identity is None


def test_the_replay_of_a_dead_letter_goes_to_the_profile_that_holds_the_session() -> None:
    """With its header: there it is resolved, or fails again."""
    hub = Hub()
    hub.take(*log(track("p1", event("e1"), session_id="s1")))
    (record,) = log(track("p2", event("e2"), session_id="s1"), start=1)
    outcome = hub.take(record._replace(replay=Replay("letter", 2)))
    assert outcome.batch.identity is not None
    (sent,) = outcome.batch.identity.outbox
    assert sent.replay == replay_header(Replay("letter", 2))[1]
    assert outcome.batch.resolved == {}


def test_a_profile_less_event_leaves_its_session_alone() -> None:
    hub = Hub()
    outcome = hub.take(*log(track("p1", event("e1"), session_id="s1"), track("", event("e2"), session_id="s1")))
    assert outcome.batch.identity is None
    session = hub.store.get("sessions", "s1")
    assert session is not None
    assert (session["profile"]["id"], session["stats"]["events"]) == ("p1", 1)
    assert hub.counts()["stored"] == 2


def test_a_profile_less_event_is_stored_and_makes_no_profile() -> None:
    hub = Hub()
    hub.take(*log(track("", event("e1"))))
    assert hub.store.count("profiles", "") == 0
    assert hub.store.count("events", "") == 1


def test_the_event_document_has_what_the_client_sent() -> None:
    hub = Hub()
    hub.take(*log(track("p1", event("e1", amount=5, note="é"), session_id="s1")))
    document = hub.store.get("events", "e1")
    assert document is not None
    assert document["properties"] == {"amount": 5, "note": "é"}
    assert document["profile"] == {"id": "p1"}
    assert document["session"] == {"id": "s1"}
    assert document["source"] == {"id": "shop"}
    assert document["outcome"]["profile_created"] is True
    assert document["outcome"]["changes"][0] == {"field": "traits.total", "op": "add", "old": None, "new": 5}


_STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.integers(-100, 100)), min_size=1, max_size=40
)


@given(_STEPS, st.data())
def test_however_the_log_is_cut_and_replayed_the_result_is_the_same(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """Batches of any size, any of them read again from an earlier offset: every event counts once."""
    inbounds: list[Inbound] = [track(p, event(f"{p}-{number}", amount=value)) for p, number, value in steps]
    records = log(*inbounds)
    whole = Hub()
    whole.take(*records)
    cut = Hub()
    done = 0
    while done < len(records):
        start = data.draw(st.integers(0, done))
        end = data.draw(st.integers(done + 1, len(records)))
        cut.take(*records[start:end])
        done = end
    assert _everything(cut) == _everything(whole)
    assert cut.counts() == whole.counts()


def _everything(hub: Hub) -> str:
    found = [hub.store.search(kind, "", 1000, None).items for kind in ("profiles", "events")]  # type: ignore[arg-type]
    return json.dumps([sorted(map(msgspec.json.encode, items), key=bytes) for items in found], default=bytes.decode)
