"""How large segments were: once an hour, for a year."""

from __future__ import annotations

from hub.segments.sizes import HOUR_MS, HourlySizes
from hub.store.memory import MemoryStore
from tests.contracts.batches import NOW_MS, batch
from tests.contracts.test_store_segments import member

HOUR, DAY = NOW_MS // HOUR_MS, 24


def test_each_hour_is_kept_for_a_year() -> None:
    """Also of segments without anybody; of the hour, its first size counts, whoever tells it."""
    store = MemoryStore()
    one, other = HourlySizes(store), HourlySizes(store)
    assert one.tick(["high", "empty"], HOUR * HOUR_MS)
    store.write(batch(member("p1", "high")))
    assert not one.tick(["high", "empty"], HOUR * HOUR_MS + HOUR_MS - 1)
    assert other.tick(["high", "empty"], HOUR * HOUR_MS + 1)
    assert one.tick(["high", "empty"], (HOUR + 1) * HOUR_MS)
    assert one.tick(["high", "empty"], (HOUR + 365 * DAY) * HOUR_MS)
    year = [(HOUR, 0), (HOUR + 1, 1), (HOUR + 365 * DAY, 1)]
    assert store.kept_sizes("high", 0, HOUR + 400 * DAY) == year
    assert store.kept_sizes("empty", 0, HOUR + 400 * DAY) == [(hour, 0) for hour, _ in year]
    assert one.tick(["high", "empty"], (HOUR + 367 * DAY) * HOUR_MS)
    assert [hour for hour, _ in store.kept_sizes("high", 0, HOUR + 400 * DAY)] == [HOUR + 365 * DAY, HOUR + 367 * DAY]
