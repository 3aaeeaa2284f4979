"""What every store promises when a topic's log is numbered anew, as when it gets more partitions."""

from __future__ import annotations

import pytest

from hub.errors import Fenced
from hub.model import EventKey, Wanted
from hub.store import Store
from hub.store.fences import older_log
from tests.contracts.batches import NOW_MS, batch, event
from tests.contracts.test_store_identity import of, outgoing


def test_a_log_that_is_numbered_anew_goes_on_where_it_was(store: Store) -> None:
    """Progress and what is still to be sent go along; events keep the number of the log on which they were applied."""
    old = store.epoch("topic")
    waits = outgoing(4, partition=3)
    store.write(of(event("e1"), progress={0: (0, 5), 3: (2, 4)}, outbox=[outgoing(3, partition=3)]))
    store.write(of(progress={3: (4, 9)}, outbox=[waits]))
    new = store.new_epoch("topic", at_ms=NOW_MS)
    assert new > old
    assert (store.epoch("topic"), store.known_epoch("topic")) == (new, new)
    assert (store.latest_progress(), store.progress(old)) == ((new, {0: 5, 3: 9}), {0: 5, 3: 9})
    assert store.known_epoch(older_log("topic", old)) == old
    assert store.outbox(new, [0, 3]) == [outgoing(4, partition=3, epoch=new)]
    assert store.known(Wanted([], [], [EventKey("e1", (event("e1").partition,))])).events["e1"].position.epoch == 1


def test_who_wrote_before_its_log_was_numbered_anew_is_fenced(store: Store) -> None:
    old = store.epoch("topic")
    store.write(batch(progress={0: (0, 5)}, epoch=old))
    store.new_epoch("topic", at_ms=NOW_MS)
    with pytest.raises(Fenced, match="more partitions"):
        store.write(batch(event("e1"), progress={0: (5, 6)}, epoch=old))
    assert (store.count("events", ""), store.promoted()) == (0, [])


def test_a_log_that_is_numbered_anew_twice_is_as_one_that_was_once(store: Store) -> None:
    """Whoever does it may be killed before it knows of it; also the log of a store that has none."""
    first = store.new_epoch("topic", at_ms=NOW_MS)
    second = store.new_epoch("topic", at_ms=NOW_MS)
    assert second == first + 1
    assert store.known_epoch(older_log("topic", first)) == first
    assert store.epoch("other") == second + 1
