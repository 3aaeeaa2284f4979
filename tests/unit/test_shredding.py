"""Records whose keys were thrown away: what a collector makes of them, and how keys go for ever."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hub.collector.sweeper import NO_KEY, Sweeper
from hub.definitions.catalogue import Catalogue
from hub.errors import Unavailable
from hub.model import DAY_MS
from hub.pipeline.data_keys import DataKey, Wrapping
from hub.pipeline.privacy import PROFILE, mark
from hub.pipeline.records import LogRecord
from hub.pipeline.sealed import Sealer, stub
from schemas.codec import encode_inbound
from schemas.records import Inbound
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import DEFINITIONS, Hub, step_record
from tests.unit.test_privacy import LAST_MS, order, sign_in

SEALER = Sealer(Wrapping("correct horse"), DEFINITIONS.identity_key)
MARK = mark(PROFILE, "ann", DEFINITIONS.identity_key)


@pytest.fixture
def hub() -> Hub:
    return Hub(3)


def put_shredded(hub: Hub, *inbounds: Inbound) -> None:
    for inbound in inbounds:
        left = stub(SEALER.seal(encode_inbound(inbound))[0])
        assert left is not None
        number = hub.log.of(inbound["profile_id"])
        places = hub.log.partitions[number]
        places.append(LogRecord(number, len(places), NOW_MS, inbound["profile_id"].encode(), left, is_shredded=True))


def test_they_are_counted_as_dropped_and_do_nothing(hub: Hub) -> None:
    """Also without a mark: a store that is made anew from the log meets them before the request to erase."""
    hub.put(sign_in("e0", "ann", "w1", session="s1", n=2))
    put_shredded(hub, track("ann", event("e1"), event("e2"), session_id="s1"), step_record("m1", "ann", "bob", "data"))
    put_shredded(hub, step_record("m2", "ann", "bob", "ask"), step_record("m3", "bob", "ann", "restore"))
    hub.settle()
    counts = hub.counts()
    assert (counts["received"], counts["stored"], counts["dropped"], counts["dead"]) == (3, 1, 2, 0)
    assert [(one["id"], one["stats"]["events"]) for one in hub.profiles()] == [("ann", 1)]
    assert hub.merges()[:0] == []
    assert hub.store.count("dead-letters", "") == 0


def test_one_that_was_handed_on_is_counted_once(hub: Hub) -> None:
    handed_on: Inbound = {**track("bob", event("e1")), "sent_as": "ann", "first_at": "1/0/7", "forwarded_for": "e1"}
    put_shredded(hub, handed_on, handed_on)
    hub.settle()
    assert hub.counts()["dropped"] == 1


def test_an_erasure_ends_when_kafka_has_it_that_the_keys_are_gone(hub: Hub) -> None:
    """However often Kafka is away meanwhile."""
    thrown: list[bytes] = []
    away = [True, True]

    def throw_away(ids: Sequence[bytes]) -> None:
        if away:
            away.pop()
            raise Unavailable("kafka", "is away")
        thrown.extend(ids)

    sweeper = Sweeper(hub.store, Catalogue(DEFINITIONS.identity_key), lambda: LAST_MS, throw_away=throw_away)
    hub.put(sign_in("e1", "ann"))
    hub.settle()
    keys = [DataKey(bytes([n]) * 16, MARK, NOW_MS, b"") for n in (1, 2, 3)]
    assert hub.store.keep_keys("t", 0, 3, keys, [], at_ms=NOW_MS)
    hub.put(order("o1", "ann"))
    hub.settle()
    for _ in range(2):
        with pytest.raises(Unavailable):
            sweeper.sweep()
        assert [one.id for one in hub.store.removals()] == ["o1"]
    sweeper.sweep()
    assert hub.store.removals() == []
    assert sorted(set(thrown) - {NO_KEY}) == [key.id for key in keys]
    row = hub.store.order("o1")
    assert row is not None
    assert (row.removed["keys"], row.done_ms) == (3, LAST_MS)


def test_keys_go_when_their_records_have_gone(hub: Hub) -> None:
    now = [NOW_MS]
    thrown: list[bytes] = []
    sweeper = Sweeper(
        hub.store,
        Catalogue(),
        lambda: now[0],
        throw_away=thrown.extend,
        kept_ms=lambda: 7 * DAY_MS,
        retention_s=0,
    )
    key = DataKey(b"k" * 16, MARK, 5, b"")
    assert hub.store.keep_keys("t", 0, 1, [key], [], at_ms=NOW_MS)
    now[0] += 8 * DAY_MS
    sweeper.sweep()
    assert hub.store.data_keys([key.id])
    now[0] += 1
    sweeper.sweep()
    assert not hub.store.data_keys([key.id])
    assert key.id in thrown


def test_a_hub_without_keys_asks_nobody(hub: Hub) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("asked")

    Sweeper(hub.store, Catalogue(), lambda: NOW_MS, throw_away=fail, kept_ms=fail, retention_s=0).sweep()
