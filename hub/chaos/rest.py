"""Waits until the hub has come to rest once nothing is sent any more, and reads what it has then."""

from __future__ import annotations

import time
from typing import Any, Final

from hub.chaos.checker import ledger, model
from hub.chaos.checker.documents import milliseconds
from hub.chaos.checker.flows import Flows
from hub.chaos.checker.heartbeats import Heartbeat
from hub.chaos.checker.persons import persons
from hub.chaos.checker.reading import Reader
from hub.chaos.definitions import Defined

REST_S: Final = 2.0
"""Nothing has moved for so long, and everything is there: the hub has come to rest."""
ARRIVED_S: Final = 10.0
"""The same when something is missing, and the hub has reached the end of a log that has all that was acknowledged."""
STILL_S: Final = 45.0
"""What has not moved for so long is not on its way any more."""
LOOK_S: Final = 0.2
BY_ITSELF: Final = frozenset({"segment", "crossing"})
"""What may come right with time alone: agents may be on their way back, and a segment still be filled."""


def read_at_rest(reader: Reader, sent: ledger.Ledger, what: Defined, *, has_agents: bool) -> model.Found:
    """
    Once nothing moves any more, whether all is there or not: then the checker names what is missing.

    Args: has_agents: whether segments, heartbeat and flows are defined.

    Raises: httpx.HTTPError: the hub does not answer.
    """
    ids = list({step.profile: None for step in sent.steps.values()})
    _wait_for_events(reader, sent, what.name, ids)
    if not has_agents:
        return reader.find([what.name], ids)
    _wait_for_flows(reader, sent, what.flows)
    heartbeat = _last_beat(reader, what)
    found = reader.find([what.name], ids)
    found.heartbeat = heartbeat
    found.flows = what.flows, reader.flows(what.flows)
    deadline = time.monotonic() + STILL_S
    while True:
        found.segments = what.segments, reader.segments(what.segments)
        verdict = model.check(sent, found)
        if time.monotonic() > deadline or not any(one.kind in BY_ITSELF for one in verdict.violations):
            break
        time.sleep(LOOK_S)
        found.profiles = reader.profiles(ids)
    found.balance = reader.get("/balance", verify="true").json()
    return found


def _wait_for_events(reader: Reader, sent: ledger.Ledger, source: str, ids: list[str]) -> None:
    people = len(set(persons(step for step in sent.steps.values() if step.id in sent.acked).values()))
    bad = sum(sent.bad.values())
    last: object = None
    moved_at = time.monotonic()
    still_s = 0.0
    while still_s < STILL_S:
        sheet = reader.get("/balance").json()
        ours = [row for row in sheet["sources"] if row["source"] == source]
        stored = reader.count("events", f'source = "{source}"')
        letters = reader.count("dead-letters", f'source = "{source}"')
        if (ours, stored, letters) != last:
            last, moved_at = (ours, stored, letters), time.monotonic()
        still_s = time.monotonic() - moved_at
        received = sum(row["received"] for row in ours)
        arrived = sheet["totals"]["in_flight"] == 0 and received >= sent.deliveries + bad
        if arrived and still_s > ARRIVED_S:
            return
        all_there = arrived and stored >= len(sent.acked) and letters >= bad
        # merges are the last to come to rest: they follow the events that they were made for
        if all_there and still_s > REST_S and len(reader.left(ids)) == people:
            return
        time.sleep(LOOK_S)


def _wait_for_flows(reader: Reader, sent: ledger.Ledger, flows: Flows) -> None:
    """Until every run has come to its end, and what they have sent is stored."""
    must = flows.events(step for step in sent.steps.values() if step.id in sent.acked)
    last = -1
    moved_at = time.monotonic()
    while time.monotonic() - moved_at < STILL_S:
        acted = reader.acted(flows)
        if acted != last:
            last, moved_at = acted, time.monotonic()
        is_still = time.monotonic() - moved_at > REST_S
        if is_still and acted >= must and reader.are_over(flows):
            return
        time.sleep(LOOK_S)


def _last_beat(reader: Reader, what: Defined) -> Heartbeat:
    """Wait for a run that has begun now that all is stored, then switch the heartbeat off."""
    path = f"/heartbeats/{what.name}"
    before = {run["id"] for run in reader.get(path).json()["runs"]}
    deadline = time.monotonic() + STILL_S
    until: str | None = None
    state: dict[str, Any] = {}
    while until is None and time.monotonic() < deadline:
        time.sleep(LOOK_S)
        state = reader.get(path).json()
        until = max(
            (run["due_at"] for run in state["runs"] if run["state"] == "done" and run["id"] not in before), default=None
        )
    reader.post(f"{path}/pause")
    while time.monotonic() < deadline + STILL_S:
        is_over = all(run["state"] != "running" for run in reader.get(path).json()["runs"])
        if is_over and reader.get("/balance").json()["totals"]["in_flight"] == 0:
            break
        time.sleep(LOOK_S)
    events = list(reader.everything("events", f'source = "@heartbeat" AND type = "{what.beat_type}"'))
    why = f"{state.get('state')}, {state.get('hint') or 'without a hint'}"
    return Heartbeat(
        what.beat_ending, what.every_s * 1_000, None if until is None else milliseconds(until), why, events
    )
