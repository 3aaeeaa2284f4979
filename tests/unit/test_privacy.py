"""People who are erased or suppressed: with real collectors on lists in place of Kafka, on both stores."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.collector.sweeper import Sweeper
from hub.definitions.catalogue import Catalogue
from hub.edge.identifiers import identifier_hash
from hub.errors import Unavailable
from hub.model import DAY_MS, Person, Profile
from hub.pipeline.letter_owner import Looking, is_about
from hub.pipeline.privacy import PROFILE, SOURCE, Order, mark
from hub.pipeline.records import decode
from hub.store.factory import open_store
from hub.store.port import Store
from schemas.codec import encode_inbound
from schemas.records import PATCH, Inbound, Patch
from schemas.replays import Replay
from tests.contracts.batches import batch
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import DEFINITIONS, Hub

LATER_MS = NOW_MS + 60_000
LAST_MS = NOW_MS + 120_000


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'hub.sqlite'}")


@pytest.fixture
def hub(store: Store) -> Hub:
    return Hub(3, store=store)


def sign_in(
    id: str, profile_id: str, who: str = "", *, n: int = 1, session: str | None = None, at_ms: int = NOW_MS
) -> Inbound:
    properties: dict[str, Any] = {"n": n} | ({"who": who} if who else {})
    one = event(id, "sign-in", time_ms=at_ms, **properties)
    return track(profile_id, one, session_id=session, received_at_ms=at_ms)


def order(id: str, profile_id: str, op: Any = "erase", *, at_ms: int = LATER_MS, suppress: bool = False) -> Inbound:
    body: Patch = {"cause": id, "operations": msgspec.json.encode([Order(op, "asked by mail", suppress)])}
    return {
        "id": id,
        "source": SOURCE,
        "profile_id": profile_id,
        "received_at_ms": at_ms,
        "definitions_offset": -1,
        "origin": "rest",
        "body": (PATCH, body),
    }


def sweep(store: Store) -> None:
    Sweeper(store, Catalogue(DEFINITIONS.identity_key), lambda: LAST_MS).sweep()


def erased(hub: Hub, *records: Inbound) -> list[Inbound]:
    """Two profiles that are one person, with sessions, and somebody else; then the person is erased."""
    sent = [
        sign_in("e1", "bob", "w1", session="s1"),
        sign_in("e2", "ann", "w1", session="s2"),
        sign_in("e3", "bob", session="s1"),
        sign_in("e4", "dan", "w2"),
        *records,
    ]
    hub.put(*sent)
    hub.settle()
    hub.put(order("o1", hub.store.survivor("bob")))
    hub.settle()
    sweep(hub.store)
    return sent


def ids_of(store: Store, kind: Any = "events") -> list[str]:
    return sorted(one["id"] for one in store.search(kind, "", 1_000, None).items)


def test_all_of_a_person_goes_and_nothing_of_others(hub: Hub) -> None:
    erased(hub)
    assert (ids_of(hub.store), ids_of(hub.store, "profiles"), ids_of(hub.store, "sessions")) == (["e4"], ["dan"], [])
    row = hub.store.order("o1")
    assert row is not None
    assert row.removed == {
        "profiles": 1,
        "sessions": 2,
        "identifiers": 1,
        "aliases": 1,
        "merges": 1,
        "flow_runs": 0,
        "events": 3,
        "dead_letters": 0,
        "records_to_send": 1,  # of the merge: its batch was the last of its partition
    }
    assert (row.done_ms, row.reason, row.until_ms) == (LAST_MS, "asked by mail", LATER_MS)
    assert row.mark == mark(PROFILE, "ann", DEFINITIONS.identity_key)
    assert hub.store.merges(["ann", "bob"]) == []
    assert hub.store.aliases(["ann", "bob"]) == {}


def test_what_was_received_before_never_comes_back(hub: Hub) -> None:
    """A redelivery, a replay of the log, what was on its way, in whichever order: dropped, and the counts add up."""
    sent = erased(hub)
    late = [sign_in("e5", "bob", n=9), sign_in("e6", "eve", "w1"), sign_in("e7", "", session="s1")]
    hub.put(*sent, *late)
    hub.settle()
    assert ids_of(hub.store) == ["e4"]
    assert ids_of(hub.store, "profiles") == ["dan"]
    counts = hub.counts()
    assert (counts["received"], counts["stored"], counts["duplicate"], counts["dropped"]) == (11, 4, 1, 6)


def test_who_comes_back_is_somebody_new(hub: Hub) -> None:
    erased(hub)
    hub.put(sign_in("e8", "bob", "w1", n=5, session="s1", at_ms=LAST_MS))
    hub.settle()
    bob = hub.profile("bob")
    assert (bob["id"], bob["ids"], bob["traits"]["sum"], bob["stats"]["events"]) == ("bob", ["bob"], 5, 1)
    assert hub.store.get("sessions", "s1")["stats"]["events"] == 1  # type: ignore[index]
    sweep(hub.store)
    assert ids_of(hub.store) == ["e4", "e8"]
    hub.put(sign_in("e9", "ann", "w1", n=6, at_ms=LAST_MS))
    hub.settle()
    assert (hub.profile("bob")["id"], hub.profile("bob")["traits"]["sum"]) == ("ann", 11)


def test_who_comes_back_at_once_keeps_what_is_new(hub: Hub) -> None:
    """Before the events of before are removed."""
    hub.put(sign_in("e1", "bob", session="s1"), order("o1", "bob"), sign_in("e2", "bob", session="s1", at_ms=LAST_MS))
    hub.settle()
    assert hub.profile("bob")["stats"]["events"] == 1
    sweep(hub.store)
    assert ids_of(hub.store) == ["e2"]


def test_to_ask_twice_removes_nothing_that_came_between(hub: Hub) -> None:
    erased(hub)
    hub.put(sign_in("e8", "ann", at_ms=LAST_MS), order("o1", "ann"))
    hub.settle()
    sweep(hub.store)
    assert ids_of(hub.store) == ["e4", "e8"]
    hub.put(order("o2", "ann", at_ms=LAST_MS + 1))
    hub.settle()
    sweep(hub.store)
    assert ids_of(hub.store) == ["e4"]
    hub.put(order("o3", "ann", at_ms=LAST_MS + 2))
    hub.settle()
    row = hub.store.order("o3")
    assert row is not None
    assert sum(row.removed.values()) == 0


def test_who_is_merged_meanwhile_is_erased_as_a_whole(hub: Hub) -> None:
    """The order was for an id that has become part of another one by the time its turn comes."""
    hub.put(sign_in("e1", "bob", "w1"))
    hub.settle()
    hub.put(sign_in("e2", "ann", "w1"))
    hub.owners[hub.log.of("ann")].step(10)  # ann has learned of it, bob not yet
    hub.put(order("o1", "bob"))
    hub.settle()
    sweep(hub.store)
    assert (ids_of(hub.store), ids_of(hub.store, "profiles")) == ([], [])


@pytest.mark.parametrize("crash", ["computed", "written", "told"])
@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_crash_anywhere_ends_the_same(hub: Hub, crash: str, most: int) -> None:
    hub.put(
        sign_in("e1", "bob", "w1", session="s1"),
        sign_in("e2", "ann", "w1", session="s2"),
        sign_in("e3", "dan", "w2"),
    )
    hub.settle()
    hub.put(order("o1", "bob"), sign_in("e4", "bob", at_ms=LAST_MS), sign_in("e5", "ann", "w1"))
    for owner in hub.owners:
        while owner.step(most, crash) and owner.committed < len(hub.log.partitions[owner.number]):
            if not owner.step(most):
                break
    hub.settle()
    sweep(hub.store)
    assert ids_of(hub.store) == ["e3", "e4"]
    assert ids_of(hub.store, "profiles") == ["bob", "dan"]
    counts = hub.counts()
    assert counts["received"] == counts["stored"] + counts["dropped"] == 5


def test_who_is_suppressed_is_taken_no_more_until_that_is_lifted(hub: Hub) -> None:
    hub.put(sign_in("e1", "bob", "w1", session="s1"), order("o1", "bob", "suppress"))
    hub.settle()
    later = LATER_MS + 1
    hub.put(
        sign_in("e2", "bob", at_ms=later),
        sign_in("e3", "eve", at_ms=later),
        sign_in("e4", "eve", "w1", session="s3", at_ms=later + 1),
        sign_in("e5", "eve", at_ms=later + 2),
        sign_in("e6", "zoe", session="s1", at_ms=later + 2),
    )
    hub.settle()
    assert ids_of(hub.store) == ["e1", "e3"]  # eve was nobody until she came with the address
    assert hub.profile("bob")["stats"]["events"] == 1
    hub.put(order("o2", "bob", "lift", at_ms=LAST_MS))
    hub.settle()
    hub.put(sign_in("e2", "bob", at_ms=later), sign_in("e7", "bob", at_ms=LAST_MS + 1))
    hub.put(sign_in("e8", "eve", at_ms=LAST_MS + 1))
    hub.settle()
    assert ids_of(hub.store) == ["e1", "e3", "e7", "e8"]
    counts = hub.counts()
    assert counts["received"] == counts["stored"] + counts["dropped"]


def test_erased_and_suppressed(hub: Hub) -> None:
    hub.put(sign_in("e1", "bob", "w1"), order("o1", "bob", suppress=True), sign_in("e2", "bob", at_ms=LAST_MS))
    hub.settle()
    sweep(hub.store)
    assert (ids_of(hub.store), ids_of(hub.store, "profiles")) == ([], [])
    hub.put(order("o2", "bob", "lift", at_ms=LAST_MS + 5), sign_in("e3", "bob", at_ms=LAST_MS + 6))
    hub.settle()
    hub.put(sign_in("e1", "bob", "w1"), sign_in("e2", "bob", at_ms=LAST_MS))
    hub.settle()
    assert ids_of(hub.store) == ["e3"]


@pytest.mark.parametrize("first", ["ann", "bob"])
@pytest.mark.parametrize("erased", ["ann", "bob"])
def test_who_was_about_to_become_one_with_the_erased_is_erased_too(hub: Hub, first: str, erased: str) -> None:
    """Both have come with the address; the merge is on the log, behind the erasure."""
    second = "bob" if first == "ann" else "ann"
    hub.put(sign_in("e1", first, "w1"))
    hub.settle()
    hub.put(sign_in("e2", second, "w1"), sign_in("e3", "dan", "w2"))
    hub.owners[hub.log.of(second)].step(1)
    there = hub.log.partitions[hub.log.of(erased)]
    hub.put(order("o1", erased))
    there.insert(hub.owners[hub.log.of(erased)].next, there.pop())
    for offset, record in enumerate(there):
        there[offset] = record._replace(offset=offset)
    hub.settle()
    sweep(hub.store)
    assert (ids_of(hub.store), ids_of(hub.store, "profiles")) == (["e3"], ["dan"])


def test_what_was_handed_on_twice_counts_once(hub: Hub) -> None:
    """The collector died after it had sent it, so whoever took over has sent it again; meanwhile they were erased."""
    hub.put(sign_in("e1", "bob", "w1"))
    hub.settle()
    hub.put(sign_in("e2", "ann", "w1"))
    hub.settle()
    hub.put(order("o1", "ann", at_ms=LATER_MS), sign_in("e3", "bob"))
    hub.owners[hub.log.of("bob")].step(1, "told")
    hub.settle()
    sweep(hub.store)
    counts = hub.counts()
    assert (counts["received"], counts["stored"], counts["dropped"]) == (3, 2, 1)
    assert ids_of(hub.store) == []


def test_a_dead_letter_of_before_that_is_sent_again_is_dropped_and_done(hub: Hub) -> None:
    """Also one of a bridge, whose new record says only when it was sent again."""
    erased(hub)
    again = sign_in("e9", "bob", at_ms=LAST_MS)
    hub.put(again)
    there = hub.log.partitions[hub.log.of("bob")]
    there[-1] = there[-1]._replace(replay=Replay("letter", 2), received_ms=NOW_MS)
    hub.settle()
    assert ids_of(hub.store) == ["e4"]
    counts = hub.counts()
    assert (counts["received"], counts["stored"], counts["dropped"]) == (5, 4, 1)


def test_who_was_sent_by_a_link_of_the_erased_before_is_not_kept(hub: Hub) -> None:
    """From one site to the other: the first record there names the profile and session of the one before."""

    def led(id: str, at_ms: int) -> Inbound:
        record = sign_in(id, f"{id}-there", session=f"{id}-session", at_ms=at_ms)
        about = {"tracardi": {"pass": {"profile": "bob", "session": "s1"}}}
        record["body"][1]["context"] = msgspec.json.encode(about)  # type: ignore[typeddict-unknown-key]
        return record

    erased(hub)
    hub.put(led("e5", NOW_MS + 1), led("e6", LAST_MS))
    hub.settle()
    assert ids_of(hub.store) == ["e4", "e6"]
    assert (hub.counts()["received"], hub.counts()["dropped"]) == (6, 1)


def test_letters_that_name_the_person_go_too(hub: Hub) -> None:
    store, key = hub.store, DEFINITIONS.identity_key
    hash = identifier_hash("id", "", "", "somebody@w1", key)
    phone = identifier_hash("phone", "", "", "+442079460123", key)
    person = Person({"ann": 1, "profile-of-bob": 1}, ["session-1"], {hash: ("id", 1), phone: ("phone", 1)})

    def is_theirs(body: Any, stage: str = "bridge", letter_key: bytes = b"") -> bool:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return is_about(person, stage=stage, key=letter_key, body=raw, by=Looking(key, ["GB"]))

    assert is_theirs({"profile": {"id": "ann"}})
    assert is_theirs({"a": [{"b": "profile-of-bob"}]})
    assert is_theirs({"who": "somebody@w1"})
    assert is_theirs({"call": "020 7946 0123"})
    assert is_theirs({"call": "+44 20 7946 0123"})
    assert not is_theirs({"call": "020 7946 0124"})
    assert is_theirs(b"not json: session-1;")
    assert is_theirs(b"x", letter_key=b"ann")
    assert is_theirs(encode_inbound(sign_in("e1", "ann")), "collector")
    assert is_theirs(encode_inbound(sign_in("e1", "zoe", session="session-1")), "collector")
    for place in ("context", "properties", "request"):
        around = sign_in("e1", "zoe")
        body: Any = around["body"][1]
        body[place] = b'{"who": "somebody@w1"}'
        assert is_theirs(encode_inbound(around), "collector")
    about = sign_in("e1", "zoe")
    body = about["body"][1]
    body["events"][0]["context"] = b'{"who": "somebody@w1"}'
    assert is_theirs(encode_inbound(about), "collector")
    for other in ({"n": "ann"}, {"ann": 1}, {"profile": {"id": "anna"}}, b"ann", {"who": "somebody@w2"}, [1, None]):
        assert not is_theirs(other)
    assert not is_theirs(encode_inbound(sign_in("e1", "zoe")), "collector")
    assert store.letters_after(0, 1) == []


def test_nothing_of_who_is_erased_can_be_read_in_the_file(tmp_path: Path) -> None:
    """Neither in its write-ahead log, nor in what was free already, nor if somebody was erased before."""
    path, secret = tmp_path / "hub.sqlite", "zoe@example.com "
    hub = Hub(3, store=open_store(f"sqlite:///{path}"))
    erased(hub)
    with closing(sqlite3.connect(path)) as other:
        for version, text in enumerate([secret * 1_000, secret * 100, secret]):
            time = {"insert": "2026-05-28T20:26:40.000Z", "update": "2026-05-28T20:26:40.000Z"}
            metadata = {"version": version, "time": time}
            document = {"id": "zoe", "ids": ["zoe"], "metadata": metadata, "traits": {"text": text}}
            hub.store.write(batch(Profile("zoe", version, document)))
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        hub.put(order("o2", "zoe"))
        hub.settle()
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM profiles").fetchall()
        with pytest.raises(Unavailable, match="somebody reads"):
            sweep(hub.store)
        assert hub.store.order("o2").done_ms is None  # type: ignore[union-attr]
        other.execute("ROLLBACK")
        sweep(hub.store)
        assert hub.store.order("o2").done_ms == LAST_MS  # type: ignore[union-attr]
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        files = sorted(tmp_path.iterdir())
        assert path.with_name("hub.sqlite-wal") in files
        assert [file.name for file in files if secret.encode() in file.read_bytes()] == []


def test_events_that_are_too_old_go_and_no_replay_brings_them_back(hub: Hub) -> None:
    day = DAY_MS
    old = sign_in("e1", "bob", at_ms=NOW_MS - 40 * day)
    hub.put(old, sign_in("e2", "bob", at_ms=NOW_MS - 20 * day))
    hub.settle()
    catalogue = Catalogue(b"key")
    document = {"spec": {"event_type": "*", "days": 30}, "updated_at_ms": 0}
    catalogue.apply(b"retention/month", msgspec.json.encode(document), 0)
    Sweeper(hub.store, catalogue, lambda: NOW_MS).sweep()
    assert ids_of(hub.store) == ["e2"]
    assert hub.profile("bob")["stats"]["events"] == 2
    for owner in hub.owners:
        owner.take_over()  # who has it in memory knows it as a duplicate
    hub.put(old)
    hub.settle()
    assert ids_of(hub.store) == ["e2"]
    counts = hub.counts()
    assert (counts["received"], counts["stored"], counts["dropped"]) == (3, 2, 1)
    assert hub.profile("bob")["stats"]["events"] == 2


def test_the_batch_behind_an_erasure_waits_until_that_is_stored(hub: Hub) -> None:
    """A collector reads the next batch while the last is written."""
    hub.put(sign_in("e1", "bob", "w1", session="s1"))
    hub.settle()
    owner = hub.owners[hub.log.of("bob")]
    hub.put(order("o1", "bob"), sign_in("e2", "bob", session="s1", at_ms=LAST_MS))
    erasing = owner.begin(5)
    assert erasing is not None
    owner.memory.keep(erasing)
    written = []

    def finish() -> None:
        if not written:
            written.append(hub.store.write(erasing.batch))

    (record,) = decode(hub.log.partitions[owner.number][-1:])
    progress = {owner.number: owner.reached}
    state = owner.memory.load([record], owner.epoch, progress, hub.store, definitions=DEFINITIONS, finish=finish)
    assert written
    assert (state.profiles, state.sessions) == ({}, {})
