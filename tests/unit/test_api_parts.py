"""The API's pure parts: the count of refusals, unpacking."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from hub.api.body import unpack
from hub.api.refusals import KEPT_MINUTES, MINUTE_MS, Refusals
from hub.errors import InvalidPayload


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
