"""The balance sheet: what it shows, when it adds up, and the cause of every difference in words."""

from __future__ import annotations

from typing import Any

from hub.api.minutes import minute_text
from hub.api.sheet import balance_sheet, judge
from hub.model import Counts
from hub.store.port import MAX_ROWS, MAX_WRONG, Books, CountedMinute

EMPTY = Books(1, {}, {}, [], [], None)


def test_totals_are_sums_over_sources_with_what_is_in_flight() -> None:
    books = EMPTY._replace(
        progress={0: 3, 1: 1},
        totals={"b": Counts(received=2, stored=2), "a": Counts(received=3, duplicate=1, dropped=1, dead=1)},
        rows=[
            CountedMinute(11, "b", Counts(received=1, stored=1)),
            CountedMinute(11, "a", Counts(received=3, duplicate=1, dropped=1, dead=1)),
            CountedMinute(10, "b", Counts(received=1, stored=1)),
        ],
    )
    sheet = balance_sheet(books, {0: (0, 3), 1: (0, 5), 2: (0, 7)}, 10)
    assert sheet["totals"] == {
        "received": 5 + 11,
        "stored": 2,
        "duplicate": 1,
        "dropped": 1,
        "dead": 1,
        "in_flight": 11,
    }
    assert (sheet["balanced"], sheet["causes"], sheet["rows_from"]) == (True, [], minute_text(10))
    assert [(row["source"], row["received"]) for row in sheet["sources"]] == [("a", 3), ("b", 2)]
    assert [(row["minute"], row["source"]) for row in sheet["rows"]] == [
        (minute_text(10), "b"),
        (minute_text(11), "a"),
        (minute_text(11), "b"),
    ]
    assert "verified" not in sheet


def test_a_topic_that_is_younger_than_the_progress_has_nothing_in_flight() -> None:
    assert judge(EMPTY._replace(progress={0: 100}), {0: (0, 5)}).in_flight == 0


def test_a_gap_is_no_balance_and_names_partition_and_offsets() -> None:
    sheet = balance_sheet(EMPTY._replace(progress={0: 3}), {0: (10, 12), 1: (0, 4), 2: (1, 1)}, 0)
    assert sheet["gaps"] == [{"partition": 0, "first": 3, "last": 9}, {"partition": 2, "first": 0, "last": 0}]
    assert not sheet["balanced"]
    assert sheet["totals"]["in_flight"] == 6
    assert [cause[:68] for cause in sheet["causes"]] == [
        "gap: Kafka has deleted 7 records, partition 0 offset 3 to 9, before ",
        "gap: Kafka has deleted 1 record, partition 2 offset 0 to 0, before t",
    ]
    assert judge(EMPTY._replace(progress={0: 3}), {0: (10, 12)}).gap_records == 7


def test_rows_that_are_off_are_told_with_their_figures() -> None:
    wrong = [
        CountedMinute(29_925_561, "shop", Counts(received=5, stored=2, duplicate=1, dead=1)),
        CountedMinute(29_925_561, "app", Counts(received=1, stored=3)),
    ]
    verdict = judge(EMPTY._replace(wrong=wrong), {})
    at = minute_text(29_925_561)
    assert verdict.causes == [
        f"row: shop at {at}: 5 received, but 2 stored + 1 duplicate + 0 dropped + 1 dead: 1 event unaccounted for",
        f"row: app at {at}: 1 received, but 3 stored + 0 duplicate + 0 dropped + 0 dead: 2 events too many",
    ]
    assert verdict.unaccounted == 3


def test_documents_that_are_missing_or_too_many_are_told() -> None:
    def verified(there: int) -> tuple[Any, ...]:
        books = EMPTY._replace(totals={"a": Counts(received=2, stored=2)}, stored_events=there)
        sheet = balance_sheet(books, {}, 0)
        return sheet["balanced"], sheet["verified"]["agrees"], sheet["causes"]

    assert verified(2) == (True, True, [])
    assert verified(1) == (
        False,
        False,
        ["documents: 2 events counted as stored, but the store has 1: 1 missing"],
    )
    assert verified(4)[2] == ["documents: 2 events counted as stored, but the store has 4: 2 too many"]


def test_a_sheet_that_is_full_begins_with_a_whole_minute() -> None:
    counts = Counts(received=1, stored=1)
    per_minute = 3
    rows = [CountedMinute(-(n // per_minute), f"s{-n % per_minute}", counts) for n in range(MAX_ROWS + 1)]
    sheet = balance_sheet(EMPTY._replace(rows=rows), {}, -(1 << 30))
    assert len(sheet["rows"]) <= MAX_ROWS
    assert len(sheet["rows"]) % per_minute == 0
    assert sheet["rows"][0]["minute"] == sheet["rows_from"]
    assert sheet["rows"][-1]["minute"] == minute_text(0)


def test_a_hub_that_counts_wrong_everywhere_says_so_in_a_bounded_way() -> None:
    wrong = [CountedMinute(n, "shop", Counts(received=1)) for n in range(MAX_WRONG + 1)]
    causes = judge(EMPTY._replace(wrong=wrong), {}).causes
    assert len(causes) == MAX_WRONG + 1
    assert causes[-1].startswith("and more rows")
