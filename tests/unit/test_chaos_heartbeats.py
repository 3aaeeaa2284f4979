"""The checker names a heartbeat that a profile has twice, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from hub.chaos.checker.heartbeats import Heartbeat, check, figures

EVERY_MS: Final = 5_000
FIRST_MS: Final = 1_795_000_000_000
PERSON_OF: Final = {"ann-x": "ann-x", "cas-x": "ann-x", "bob-x": "bob-x", "dan": "dan"}
"""Cas became part of ann after the second due time; bob came before the third. It is not for dan."""
TOLD: Final = ["ann 0", "cas 0", "ann 1", "cas 1", "ann 2", "bob 2", "ann 3", "bob 3"]


def event(told: str) -> dict[str, Any]:
    """Args: told: whose, the number of its due time; and by whom it was taken, if it had to be handed on."""
    name, number, *holder = told.split()
    id = name if name == "dan" else f"{name}-x"
    at = datetime.fromtimestamp((FIRST_MS + round(float(number) * EVERY_MS)) / 1_000, UTC)
    return {
        "profile": {"id": f"{holder[0]}-x" if holder else id},
        "metadata": {
            "time": {"create": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")},
            **({"sent_as": id} if holder else {}),
        },
    }


def heartbeat(told: list[str], until: int | None = 3) -> Heartbeat:
    """Args: until: number of the last due time."""
    until_ms = None if until is None else FIRST_MS + until * EVERY_MS
    return Heartbeat("-x", EVERY_MS, until_ms, "no agents process is running", [event(one) for one in told])


def wrong(told: list[str], until: int | None = 3) -> set[str]:
    """Subjects."""
    found = list(check(heartbeat(told, until), PERSON_OF))
    assert all(one.kind == "heartbeat" for one in found)
    return {one.subject.removesuffix("-x") for one in found}


def test_one_of_each_profile_and_due_time() -> None:
    assert wrong(TOLD) == set()
    assert figures(heartbeat(TOLD)) == {"heartbeat_events": 8, "heartbeat_due_times": 4}
    assert wrong([*TOLD, "cas 2 ann"]) == set(), "it was on its way when the two became one"
    assert wrong([*TOLD, "ann 4", "cas 3 ann"]) == {"cas"}, "at the third due time nobody was cas any more"


@pytest.mark.parametrize(
    ("told", "subject"),
    [
        ([*TOLD, "bob 3"], "bob"),
        ([*TOLD, "cas 1 ann"], "cas"),
        ([*TOLD, "bob 3.5"], "bob"),
        ([*TOLD, "zoe 3"], "zoe"),
        ([*TOLD, "dan 3"], "dan"),
        ([one for one in TOLD if one != "ann 2"], "ann"),
        ([one for one in TOLD if one != "ann 1"], "ann"),
        ([*(one for one in TOLD if one != "cas 1"), "cas 2 ann"], "cas"),
        ([one for one in TOLD if one != "bob 3"], "bob"),
        ([one for one in TOLD if not one.startswith("bob")], "bob"),
    ],
)
def test_what_is_wrong_is_named(told: list[str], subject: str) -> None:
    assert subject in wrong(told)


def test_no_run_when_all_was_stored() -> None:
    assert wrong(TOLD, until=None) == {"all"}
    (one,) = check(heartbeat(TOLD, until=None), PERSON_OF)
    assert "no agents process is running" in one.detail
