"""What every store promises to the balance sheet and the trace."""

from __future__ import annotations

import threading

import msgspec

from hub.model import CounterKey, Counts, Position
from hub.store import Store
from hub.store.port import MAX_ROWS, MAX_WRONG, CountedMinute
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, letter

ALWAYS = (-(1 << 40), 1 << 40)


def counted(*rows: tuple[int, str, Counts], partition: int = 0, epoch: int = 1) -> dict[CounterKey, Counts]:
    return {CounterKey(epoch, partition, source, minute): counts for minute, source, counts in rows}


def test_books_of_a_new_store_are_empty(store: Store) -> None:
    """A hub that has just been started has a balance sheet, too."""
    assert store.books(*ALWAYS, count_events=True) == (0, {}, {}, [], [], 0)
    assert store.books(*ALWAYS).stored_events is None


def test_totals_are_of_everything_and_rows_of_the_minutes_asked_for(store: Store) -> None:
    """Per source over all minutes, partitions and epochs; a row is a source and minute over all partitions."""
    store.epoch("topic")
    store.write(
        batch(
            event("e1"),
            event("e2", time_ms=NOW_MS - MONTH_MS),
            letter("d1"),
            progress={0: (0, 3)},
            counters=counted((10, "shop", Counts(received=2, stored=2)), (11, "app", Counts(received=1, dead=1))),
        )
    )
    store.write(batch(progress={1: (0, 2)}, counters=counted((11, "shop", Counts(received=1, stored=1)), partition=1)))
    store.write(batch(counters=counted((11, "shop", Counts(received=4, stored=1, duplicate=2, dropped=1)))))
    books = store.books(11, 12, count_events=True)
    assert books.totals == {
        "shop": Counts(received=7, stored=4, duplicate=2, dropped=1),
        "app": Counts(received=1, dead=1),
    }
    assert books.rows == [
        CountedMinute(11, "shop", Counts(received=5, stored=2, duplicate=2, dropped=1)),
        CountedMinute(11, "app", Counts(received=1, dead=1)),
    ]
    assert (books.epoch, books.progress, books.wrong, books.stored_events) == (1, {0: 3, 1: 2}, [], 2)
    assert [row.minute for row in store.books(10, 12).rows] == [11, 11, 10]
    assert store.books(12, 11).rows == []


def test_rows_that_do_not_add_up_show_whatever_minutes_are_asked_for(store: Store) -> None:
    """And two that are off in opposite ways do not make up for each other."""
    store.write(
        batch(
            counters=counted(
                (1, "shop", Counts(received=2, stored=1)),
                (1, "app", Counts(received=1, stored=2)),
                (2, "app", Counts(received=2, stored=1, dead=1)),
            )
        )
    )
    books = store.books(50, 60)
    assert books.rows == []
    assert books.wrong == [
        CountedMinute(1, "shop", Counts(received=2, stored=1)),
        CountedMinute(1, "app", Counts(received=1, stored=2)),
    ]
    assert [row.counts.difference for row in books.wrong] == [1, -1]


def test_a_row_is_judged_over_all_its_partitions(store: Store) -> None:
    """What one partition received may be accounted for on another."""
    store.write(batch(counters=counted((1, "shop", Counts(received=2, stored=1)))))
    assert len(store.books(*ALWAYS).wrong) == 1
    store.write(batch(counters=counted((1, "shop", Counts(stored=1)), partition=1)))
    assert store.books(*ALWAYS).wrong == []


def test_a_counter_that_is_put_right_is_no_difference_any_more(store: Store) -> None:
    """The judgement is of what the counters say now."""
    store.write(batch(counters=counted((1, "shop", Counts(received=2)))))
    store.write(batch(counters=counted((1, "shop", Counts(stored=2)))))
    assert store.books(*ALWAYS).wrong == []


def test_books_are_bounded_and_show_that_there_is_more(store: Store) -> None:
    """Months of minutes make no large answer: the newest rows, and one more than that."""
    minutes = range(MAX_ROWS + 50)
    store.write(batch(counters=counted(*((minute, "shop", Counts(received=1)) for minute in minutes))))
    books = store.books(*ALWAYS)
    assert books.totals == {"shop": Counts(received=len(minutes))}
    assert [row.minute for row in books.rows] == [*reversed(minutes)][: MAX_ROWS + 1]
    assert [row.minute for row in books.wrong] == [*reversed(minutes)][: MAX_WRONG + 1]


def test_books_are_of_one_moment(store: Store) -> None:
    """Read while batches are written: counters, progress and documents never disagree."""
    number = 300
    store.epoch("topic")

    def write() -> None:
        for n in range(number):
            counters = counted((n % 7, "shop", Counts(received=1, stored=1)))
            store.write(batch(event(f"e{n}"), progress={0: (n, n + 1)}, counters=counters))

    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    while True:
        alive = thread.is_alive()
        books = store.books(*ALWAYS, count_events=True)
        stored = books.totals["shop"].stored if books.totals else 0
        assert books.progress.get(0, 0) == stored == books.stored_events
        assert sum(row.counts.stored for row in books.rows) == stored
        seen.add(stored)
        if not alive:
            break
    thread.join()
    assert max(seen) == number


def test_when_a_record_was_written_is_kept_by_batch_and_partition(store: Store) -> None:
    """The first time counts; what was written without a time, or not yet, has none."""
    store.write(batch(progress={0: (0, 5)}))
    store.write(batch(progress={0: (5, 8), 1: (0, 2)}), at_ms=1_000)
    store.write(batch(progress={0: (8, 9)}), at_ms=2_000)
    store.write(batch(progress={0: (9, 9)}), at_ms=3_000)
    assert [store.written_at(Position(1, 0, offset, 0)) for offset in range(3, 11)] == [
        *(None, None),
        *(1_000, 1_000, 1_000),
        2_000,
        *(None, None),
    ]
    assert store.written_at(Position(1, 1, 1, 7)) == 1_000
    assert store.written_at(Position(1, 2, 1, 0)) is None
    assert store.written_at(Position(2, 0, 6, 0)) is None


def test_the_time_of_a_write_changes_nothing_else(store: Store) -> None:
    """A replay gives the same document, whenever it is written."""
    store.write(batch(event("e1"), progress={0: (0, 1)}), at_ms=1_000)
    before = store.get("events", "e1")
    store.write(batch(event("e1"), progress={0: (1, 2)}), at_ms=9_000)
    assert store.get("events", "e1") == before


def test_neighbours_are_of_the_profile_across_months_the_nearest_first(store: Store) -> None:
    """In the order of a search: by event time, equal times as they were stored, times out of range before all else."""
    store.write(
        batch(
            event("month-ago", time_ms=NOW_MS - MONTH_MS),
            event("out-of-range", time_ms=NOW_MS * 2),
            event("of another", profile_id="p2"),
            event("first"),
            event("second"),
            event("nobody's", profile_id=""),
            event("later", time_ms=NOW_MS + 1),
        )
    )

    def ids(id: str, most: int = 10) -> tuple[list[str], list[str]]:
        before, after = store.neighbours(id, most)
        return [one.id for one in before], [one.id for one in after]

    assert ids("first") == (["month-ago", "out-of-range"], ["second", "later"])
    assert ids("first", 1) == (["month-ago"], ["second"])
    assert ids("second", 2) == (["first", "month-ago"], ["later"])
    assert ids("out-of-range") == ([], ["month-ago", "first", "second", "later"])
    assert ids("later") == (["second", "first", "month-ago", "out-of-range"], [])
    for stranger in ("of another", "nobody's", "unknown"):
        assert ids(stranger) == ([], [])
    line = [document["id"] for document in store.search("events", "profile.id = p1", 10, None).items]
    assert line == [*reversed(ids("first")[1]), "first", *ids("first")[0]]
    (nearest,), _ = store.neighbours("second", 1)
    assert nearest == ("first", "purchase", NOW_MS, Position(1, 0, 7, 0))


def test_a_neighbour_tells_which_record_it_came_with(store: Store) -> None:
    """Events of one payload share their coordinates but for the place."""
    mate = msgspec.structs.replace(event("mate"), position=Position(1, 0, 7, 1))
    store.write(batch(event("e1"), mate))
    _, (neighbour,) = store.neighbours("e1", 5)
    assert neighbour.position == Position(1, 0, 7, 1)
