"""What `hub heartbeat show` says of a run."""

from __future__ import annotations

from typing import Any

from hub.cli.heartbeat import line

RUN: dict[str, Any] = {
    "id": "r1",
    "due_at": "2026-11-26T09:00:00.000Z",
    "by": "schedule",
    "state": "running",
    "all_slices_known": False,
    "missed": 0,
    "slices_failed": 0,
    "profiles": 24_000,
    "profiles_done": 18_000,
    "events": 17_412,
    "left_out": 0,
}


def test_a_run_says_how_far_it_is_and_what_is_odd_about_it() -> None:
    begun = "run 2026-11-26T09:00:00.000Z  by schedule  "
    assert line(RUN) == begun + "running  17,412 events, 18,000 of 24,000 profiles or more"
    ended = {**RUN, "state": "done", "all_slices_known": True, "left_out": 588, "missed": 2}
    many = "17,412 events, 18,000 of 24,000 profiles, 588 left out, 2 due times before it missed"
    assert line(ended) == f"{begun}done     {many}"
