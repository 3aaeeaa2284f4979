"""What every store promises about the keys that records are sealed with."""

from __future__ import annotations

import msgspec

from hub.model import Void
from hub.pipeline.data_keys import DataKey
from hub.store import Store
from hub.store.port import Removal
from tests.contracts.batches import NOW_MS, batch
from tests.contracts.test_store_privacy import ANN, erasure


def key(number: int, mark: str = "m", at_ms: int = NOW_MS) -> DataKey:
    return DataKey(bytes([number]) * 16, mark, at_ms, b"wrapped %d" % number)


def there(store: Store, *keys: DataKey) -> list[DataKey]:
    found = store.data_keys([one.id for one in keys])
    assert all(found[one.id] == one.wrapped for one in keys if one.id in found)
    return [one for one in keys if one.id in found]


def test_what_a_topic_says_is_kept_once_and_in_order(store: Store) -> None:
    """Of several collectors one keeps each part: a second one that is late would bring back what was thrown away."""
    a, b, c = key(1), key(2), key(3)
    assert (store.keys_read("t"), store.has_keys()) == (0, False)
    assert store.keep_keys("t", 0, 2, [a, b], [], at_ms=1)
    assert store.has_keys()
    assert not store.keep_keys("t", 0, 3, [a, b, c], [], at_ms=1)
    assert (store.keys_read("t"), there(store, a, b, c)) == (2, [a, b])
    assert store.keep_keys("t", 2, 4, [c], [a.id], at_ms=1)
    assert (store.keys_read("t"), there(store, a, b, c)) == (4, [b, c])
    assert store.keys_read("other") == 0
    assert store.data_keys([]) == {}


def test_another_topic_begins_anew_and_keeps_what_is_there(store: Store) -> None:
    a, b = key(1), key(2)
    assert store.keep_keys("t", 0, 1, [a], [], at_ms=1)
    assert store.keep_keys("u", 0, 2, [a, b], [], at_ms=1)
    assert (store.keys_read("t"), store.keys_read("u"), there(store, a, b)) == (1, 2, [a, b])


def test_keys_of_who_is_erased_are_thrown_away(store: Store) -> None:
    """Those of what was received up to then, in steps; what comes late is never kept."""
    old, last, new, other = key(1), key(2, at_ms=NOW_MS - 5), key(3, at_ms=NOW_MS + 1), key(4, "n")
    assert store.keep_keys("t", 0, 4, [old, last, new, other], [], at_ms=1)
    store.write(erasure("o1"))
    removal = Removal("o1", ANN, NOW_MS)
    steps = [store.remove_keys(removal, ["m"], 1) for _ in range(3)]
    assert (steps, there(store, old, last, new, other)) == ([1, 1, 0], [new, other])
    late = key(5)
    assert store.keep_keys("t", 4, 5, [late], [], at_ms=1)
    assert there(store, late) == []
    row = store.order("o1")
    assert row is not None
    assert row.removed["keys"] == 2

    gone = store.keys_to_bury(9)
    assert sorted(gone) == [old.id, last.id, late.id]
    assert len(store.keys_to_bury(2)) == 2
    store.forget_keys(gone[:2])
    assert store.keys_to_bury(9) == gone[2:]
    store.forget_keys(gone[2:])
    assert store.keys_to_bury(9) == []


def test_who_is_suppressed_keeps_the_keys(store: Store) -> None:
    """What was received before is still there to be read."""
    a = key(1)
    store.write(msgspec.structs.replace(batch(), voids=[Void("m", NOW_MS - 9, NOW_MS + 9, "o1")]))
    assert store.keep_keys("t", 0, 1, [a], [], at_ms=1)
    assert store.remove_keys(Removal("o1", ANN, NOW_MS), ["m"], 9) == 0
    assert (there(store, a), store.keys_to_bury(9)) == ([a], [])


def test_keys_of_records_that_kafka_has_deleted_go(store: Store) -> None:
    """By when they were kept here: a replay sends old records anew, with new keys."""
    a, b, c = key(1), key(2), key(3, at_ms=5)
    assert store.keep_keys("t", 0, 2, [a, b], [], at_ms=100)
    assert store.keep_keys("t", 2, 3, [c], [], at_ms=200)
    assert [store.remove_old_keys(150, 1) for _ in range(3)] == [1, 1, 0]
    assert there(store, a, b, c) == [c]
    assert sorted(store.keys_to_bury(9)) == [a.id, b.id]
