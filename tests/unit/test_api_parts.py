"""The API's pure parts: the balance sheet, the count of refusals, unpacking."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from hub.api.balance import balance_sheet
from hub.api.body import unpack
from hub.api.minutes import minute_text
from hub.api.refusals import KEPT_MINUTES, MINUTE_MS, Refusals
from hub.errors import InvalidPayload
from hub.model import CounterKey, Counts


def test_rows_are_per_source_and_minute_whatever_the_partition_and_epoch():
    counters = [
        (CounterKey(1, 0, "b", 10), Counts(received=2, stored=2)),
        (CounterKey(2, 1, "a", 11), Counts(received=1, duplicate=1)),
        (CounterKey(1, 0, "a", 11), Counts(received=1, dead=1)),
    ]
    sheet = balance_sheet(counters, {0: 3, 1: 1}, {0: (0, 3), 1: (0, 5), 2: (0, 7)})
    assert sheet["totals"] == {
        "received": 4 + 11,
        "stored": 2,
        "duplicate": 1,
        "dropped": 0,
        "dead": 1,
        "in_flight": 11,
    }
    assert [(row["source"], row["minute"], row["received"]) for row in sheet["rows"]] == [
        ("b", minute_text(10), 2),
        ("a", minute_text(11), 2),
    ]
    assert sheet["balanced"]


def test_two_rows_that_are_off_do_not_make_up_for_each_other():
    counters = [
        (CounterKey(1, 0, "a", 1), Counts(received=2, stored=1)),
        (CounterKey(1, 0, "b", 1), Counts(received=1, stored=2)),
    ]
    assert not balance_sheet(counters, {}, {})["balanced"]


def test_a_topic_that_is_younger_than_the_progress_has_nothing_in_flight():
    assert balance_sheet([], {0: 100}, {0: (0, 5)})["totals"]["in_flight"] == 0


def test_refusals_of_more_than_a_day_ago_stay_in_the_totals_only():
    refusals = Refusals(0)
    refusals.add("shop", "not_json", 0)
    refusals.add("shop", "not_json", KEPT_MINUTES * MINUTE_MS)
    report = refusals.report()
    assert report["since"] == "1970-01-01T00:00Z"
    assert (report["total"], report["by_reason"]) == (2, {"not_json": 2})
    assert [row["minute"] for row in report["rows"]] == ["1970-01-02T00:00Z"]


def test_a_bomb_is_cut_at_the_limit():
    limit = 1000
    assert unpack(gzip.compress(b"x" * limit), b"gzip", limit) == b"x" * limit
    for bomb in (gzip.compress(b"x" * (limit + 1)), gzip.compress(b"x" * limit) + gzip.compress(b"x")):
        with pytest.raises(InvalidPayload) as caught:
            unpack(bomb, b"gzip", limit)
        assert caught.value.reason == "body_too_large"


def test_a_bomb_takes_no_more_memory_than_an_honest_body():
    bomb = gzip.compress(b"x" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidPayload):
            unpack(bomb, b"gzip", 100_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


@pytest.mark.parametrize("body", [b"", b"x", zlib.compress(b"x" * 100)[:-1], gzip.compress(b"x", mtime=0), b"\x78\x9c"])
def test_damaged_deflate_is_refused(body):
    with pytest.raises(InvalidPayload) as caught:
        unpack(body, b"deflate", 1000)
    assert caught.value.reason == "bad_encoding"


def test_records_that_kafka_deleted_before_they_were_stored_are_a_gap_and_no_balance() -> None:
    sheet = balance_sheet([], {0: 3}, {0: (10, 12), 1: (0, 4)})
    assert sheet["gaps"] == [{"partition": 0, "first": 3, "last": 9}]
    assert not sheet["balanced"]
    assert sheet["totals"]["in_flight"] == 6
