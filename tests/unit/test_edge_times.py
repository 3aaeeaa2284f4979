"""Times as clients write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.edge.times import time_ms
from hub.errors import InvalidPayload


def ms(*parts: int) -> int:
    return round(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-24T15:21:00Z", ms(2026, 11, 24, 15, 21)),
        ("2026-11-24t15:21:00z", ms(2026, 11, 24, 15, 21)),
        (" 2026-11-24 15:21:00 ", ms(2026, 11, 24, 15, 21)),
        ("2026-11-24T15:21", ms(2026, 11, 24, 15, 21)),
        ("2026-11-24T15:21:00 +01:00", ms(2026, 11, 24, 14, 21)),
        ("2026-11-24T15:21:00.123456789-0130", ms(2026, 11, 24, 16, 51) + 123),
        ("2026-11-24", ms(2026, 11, 24)),
        ("2016-12-31T23:59:60Z", ms(2017, 1, 1)),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("9998-12-31T23:59:59.999Z", ms(9998, 12, 31, 23, 59, 59) + 999),
        ("2100-01-01", ms(2100, 1, 1)),
        (0, 0),
        (1_795_533_660, 1_795_533_660_000),
        (1_795_533_660.25, 1_795_533_660_250),
        (1_795_533_660_000, 1_795_533_660_000),
        ("1795533660", 1_795_533_660_000),
        ("1795533660000", 1_795_533_660_000),
    ],
)
def test_times_that_are_taken(value, expected):
    assert time_ms(value, "time") == expected


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "yesterday",
            "2026-02-30T00:00:00Z",
            "2026-11-24T25:00:00Z",
            "2026-W48-2",
            "20261124T152100Z",
            "24.11.2026",
        ),
        *("0000-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "9999-12-31", "2026-11-24T15:21:00+25:00", "10000-01-01"),
        *("9998-12-31T23:30:00-01:00", "0001-01-01T00:00:00+01:00", "٢٠٢٦-11-24", "2026-11-24T15:21:60:60Z", "1e9"),
        *(1e300, -1e300, 253_370_764_800_000, -62_135_596_800_001, "9" * 18),
    ],
)
def test_times_that_are_refused(value):
    with pytest.raises(InvalidPayload) as caught:
        time_ms(value, "events[0].time.create")
    assert (caught.value.reason, caught.value.where) == ("bad_time", "events[0].time.create")


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),  # noqa: DTZ001 - the zone is drawn apart
    st.integers(-14 * 60, 14 * 60),
)
def test_any_iso_time_is_read_to_the_millisecond(moment, offset):
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert time_ms(moment.isoformat(), "time") == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        milliseconds=1
    )


@given(st.text() | st.floats(allow_nan=False) | st.integers(-(2**63), 2**63 - 1))
def test_any_value_is_a_time_or_a_refusal(value):
    try:
        outcome: int | str = time_ms(value, "time")
    except InvalidPayload as error:
        outcome = error.reason
    assert isinstance(outcome, int) or outcome == "bad_time"
