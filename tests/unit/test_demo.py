"""The demo's own arithmetic: what the file says, and that one wrong cent is noticed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.demo import figures
from hub.demo.figures import Customer
from hub.demo.run import FILE, Report


def profile(**changes: Any) -> dict[str, Any]:
    """Of a customer with two purchases; `changes` are traits."""
    traits = {
        "cds": 3,
        "dollars": 40.73,
        "first_purchase": "1997-01-01T00:00:00Z",
        "last_purchase": "1998-06-30T00:00:00Z",
    }
    return {"id": "cdnow-1", "traits": traits | changes, "stats": {"events": 2}}


EXPECTED = {"cdnow-1": Customer(2, 3, Decimal("40.73"), "1997-01-01", "1998-06-30")}


def report(wrong: dict[str, str], *, balanced: bool = True) -> Report:
    """Of a demo that found this."""
    return Report(
        totals={},
        rows=2,
        customers=1,
        new=2,
        wrong=wrong,
        balance={"balanced": balanced},
        best=[],
        sum=Customer(),
        took_s=1.0,
    )


def test_the_file_is_the_published_one() -> None:
    """Fader & Hardie's figures: 255 purchases equal an earlier one, and are counted."""
    customers = figures.read(FILE)
    assert len(customers) == 23_570
    assert figures.total(customers) == Customer(69_659, 167_881, Decimal("2500315.63"), "1997-01-01", "1998-06-30")


def test_what_is_as_in_the_file_is_exact() -> None:
    wrong = figures.differences(EXPECTED, {"cdnow-1": figures.of_profile(profile())})
    assert wrong == {}
    assert report(wrong).exact


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (profile(dollars=40.74), "40.74"),
        (profile(dollars=40.73000001), "40.73000001"),
        (profile(cds=2), "cds=2"),
        (profile(first_purchase="1997-01-02T00:00:00Z"), "1997-01-02"),
        (profile(last_purchase="1998-06-29T00:00:00Z"), "1998-06-29"),
        (profile() | {"stats": {"events": 3}}, "purchases=3"),
        ({"id": "cdnow-1", "traits": {}, "stats": {"events": 0}}, "purchases=0"),
    ],
)
def test_one_wrong_cent_is_noticed(found: dict[str, Any], words: str) -> None:
    """And a wrong day, a CD, a purchase too many; the customer is named, with both sides."""
    wrong = figures.differences(EXPECTED, {"cdnow-1": figures.of_profile(found)})
    assert list(wrong) == ["cdnow-1"]
    assert "40.73" in wrong["cdnow-1"]
    assert words in wrong["cdnow-1"]
    assert not report(wrong).exact


def test_a_customer_that_only_one_side_has_is_noticed() -> None:
    assert list(figures.differences(EXPECTED, {})) == ["cdnow-1"]
    stranger = figures.of_profile(profile())
    assert list(figures.differences(EXPECTED, {**EXPECTED, "cdnow-2": stranger})) == ["cdnow-2"]


def test_right_totals_are_not_enough() -> None:
    """The balance has to add up as well."""
    assert not report({}, balanced=False).exact
