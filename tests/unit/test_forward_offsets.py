"""An offset is committed only when everything before it is acknowledged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridges.offsets import Tracker


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=20).flatmap(
        lambda sizes: st.tuples(st.just(sizes), st.permutations(range(len(sizes))))
    )
)
def test_done_is_the_end_of_the_acknowledged_front(case: tuple[list[int], list[int]]) -> None:
    sizes, order = case
    tracker = Tracker()
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    chunks = [tracker.take(end) for end in ends]
    acknowledged: set[int] = set()
    for place in order:
        tracker.ack(chunks[place])
        acknowledged.add(place)
        front = next((n for n in range(len(sizes)) if n not in acknowledged), len(sizes))
        assert tracker.done == (ends[front - 1] if front else -1)
    assert tracker.due
    tracker.committed = tracker.done
    assert not tracker.due
