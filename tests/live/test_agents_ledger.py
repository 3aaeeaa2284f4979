"""Leaders, runs and slices in a real Valkey: who is late writes nothing, and what is over stays so."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from hub import redis
from hub.errors import Fenced, Unavailable
from schemas.heartbeats import Asked, Keys, Run, Slice, Work, encode
from tests.servers.running import Own, own
from workers.agents.leader import Leader
from workers.agents.ledger import Ledger

NOW = 1_800_000_000_000


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def client(valkey: Own) -> Iterator[Redis]:
    with redis.client(valkey.url) as opened:
        yield opened


@pytest.fixture
def keys() -> Keys:
    return Keys(f"t{secrets.token_hex(6)}")


@pytest.fixture
def ledger(client: Redis, keys: Keys) -> Ledger:
    return Ledger(client, keys)


@pytest.fixture
def term(client: Redis, keys: Keys) -> str:
    leader = Leader(client, keys, "first")
    assert leader.claim()
    return leader.term


def run(id: str, **changes: Any) -> Run:
    return Run(id=id, heartbeat="h", due_ms=NOW, work=Work(event_type="x"), started_ms=NOW, **changes)


def cut(number: int) -> tuple[int, Slice]:
    return number, Slice(after=str(number), until=str(number + 1), profiles=10)


def test_one_leads_and_another_when_its_lease_has_run_out(client: Redis, keys: Keys) -> None:
    first, second = Leader(client, keys, "first"), Leader(client, keys, "second")
    assert [first.claim(), second.claim(), first.claim()] == [True, False, True]
    assert client.pttl(keys.leader) > 0
    client.delete(keys.leader)  # as time does
    assert [second.claim(), first.claim()] == [True, False]
    assert first.term == ""
    second.release()
    assert first.claim()
    assert [int(term.split()[0]) for term in ("1 first", first.term)] == [1, 3], "each term has a number"


def test_who_has_led_writes_nothing_any_more(client: Redis, keys: Keys, ledger: Ledger, term: str) -> None:
    """It was asleep, and does not know that another leads: Redis does."""
    ledger.begin(term, run("r1"), NOW)
    client.delete(keys.leader)
    assert Leader(client, keys, "second").claim()
    before = {key: client.dump(key) for key in client.keys(f"{keys.open.split(':', 1)[0]}:heartbeats:*")}
    late = run("r1", slices=1)
    for write in (
        lambda: ledger.begin(term, run("r2"), NOW + 1),
        lambda: ledger.move(term, "h", NOW + 1),
        lambda: ledger.cut(term, late, [cut(0)]),
        lambda: ledger.end(term, late),
    ):
        with pytest.raises(Fenced):
            write()
    assert {key: client.dump(key) for key in client.keys(f"{keys.open.split(':', 1)[0]}:heartbeats:*")} == before


def test_a_run_begins_once_and_one_at_a_time(ledger: Ledger, client: Redis, keys: Keys, term: str) -> None:
    client.hset(keys.asked, "r2", encode(Asked("h", NOW)))
    assert ledger.begin(term, run("r1"), NOW)
    assert not ledger.begin(term, run("r2"), NOW + 1), "the one before it has not ended"
    assert ledger.books() == ({"h": "r1"}, {}, {"h": NOW + 1})
    ledger.end(term, run("r1", state="done"))
    assert not ledger.begin(term, run("r1"), NOW + 2), "it was before"
    assert ledger.begin(term, run("r3"), NOW + 2)
    assert client.lrange(keys.runs("h"), 0, -1) == [b"r3", b"r1"]


def test_slices_wait_until_they_are_sent_also_under_another_leader(ledger: Ledger, term: str) -> None:
    """Cut before they are sent: who goes on sends the same ones, and cuts behind them."""
    ledger.begin(term, run("r1"), None)
    ledger.cut(term, run("r1", slices=2, cut="2"), [cut(0), cut(1)])
    assert ledger.waiting("r1") == [cut(0), cut(1)]
    ledger.sent("r1", [0])
    assert ledger.waiting("r1") == [cut(1)]
    found = ledger.run("r1")
    assert found is not None
    assert (found.cut, found.slices) == ("2", 2)


def test_what_is_over_stays_so_and_counts_once(ledger: Ledger, term: str) -> None:
    """Two agents did it: one was thought to be dead."""
    ledger.begin(term, run("r1"), None)
    ledger.cut(term, run("r1", slices=2), [cut(0), cut(1)])
    one = Slice(after="0", until="1", profiles=10, at="0x", state="running", events=4)
    ledger.note("r1", 0, one)
    assert ledger.slice("r1", 0) == one
    one.state, one.events, one.left_out = "done", 7, 3
    ledger.note("r1", 0, one)
    ledger.note("r1", 0, one)
    late = Slice(after="0", until="1", profiles=10, at="0y", state="running", events=5)
    ledger.note("r1", 0, late)
    assert ledger.slice("r1", 0) == one
    ledger.note("r1", 1, Slice(after="1", until="2", profiles=5, state="failed", error="no"))
    assert ledger.counts("r1") == {"done": 1, "failed": 1, "events": 7, "left_out": 3, "looked": 15}


def test_what_was_left_because_of_a_pause_waits_again(ledger: Ledger, term: str) -> None:
    ledger.begin(term, run("r1"), None)
    ledger.cut(term, run("r1", slices=2), [cut(0), cut(1)])
    ledger.sent("r1", [0, 1])
    ledger.note("r1", 0, Slice(after="0", until="1", profiles=10, at="0x", state="paused", events=4))
    ledger.again(term, "r1")
    ledger.again(term, "r1")
    assert ledger.waiting("r1") == [(0, Slice(after="0", until="1", profiles=10, at="0x", state="cut", events=4))]


def test_redis_that_is_away_is_said_in_our_words(keys: Keys) -> None:
    with redis.client("redis://127.0.0.1:1/0") as away, pytest.raises(Unavailable, match="HUB_REDIS__URL"):
        Ledger(away, keys).books()
