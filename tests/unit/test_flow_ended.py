"""Which events end which pauses, and who is needed for that."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from hub.flows.ended import awaited, by_event, by_then
from hub.flows.kept import KeptRun
from hub.flows.pause import Pause
from hub.flows.run import run
from hub.flows.trace import Saved
from hub.model import Alias, Identity
from hub.pipeline.documents import iso
from hub.store.memory import MemoryStore
from hub.task import Task
from schemas.jobs import IMPORT, SCHEDULER, SEGMENTATION
from tests.contracts.batches import batch
from tests.contracts.batches import event as stored_event
from tests.contracts.batches import profile as stored_profile
from tests.unit.flow_cases import DOCUMENTS, FIRED, NOW_MS, compiled
from workers.jobs.on_demand import is_wanted

HOUR_MS = 3_600_000
TWICE = {
    "start": ("start", {}, "first"),
    "first": ("pause", {"wait": "1h"}, "second"),
    "second": ("pause", {"wait": "1h", "event_type": "visit"}, {"out": "end", "timeout": "end"}),
    "end": ("end",),
}


def kept(**pauses: Pause) -> KeptRun:
    return KeptRun(
        id="r1",
        flow="f",
        version=7,
        profile_id='an"n*',
        fired=FIRED,
        state="paused",
        began_ms=NOW_MS,
        changed_ms=NOW_MS,
        due_ms=min(pause.until_ms for pause in pauses.values()),
        saved=Saved(paused=pauses),
        turn=1,
    )


def visit(received_ms: int, type: str = "visit") -> dict[str, object]:
    return {"id": "e2", "type": type, "metadata": {"time": {"insert": iso(received_ms)}}}


def test_an_event_ends_what_waits_for_its_type_from_its_beginning_to_its_time() -> None:
    one = kept(a=Pause(NOW_MS + 10, "visit", None, NOW_MS), b=Pause(NOW_MS + 20, "order", None, NOW_MS))
    for received_ms, ends in ((NOW_MS, False), (NOW_MS + 1, True), (NOW_MS + 10, True), (NOW_MS + 11, False)):
        event = visit(received_ms)
        assert by_event(event, [one]) == ({"r1": {"a": event}} if ends else {})
    assert by_event(visit(NOW_MS + 1, "sign-in"), [one]) == {}


def test_what_is_looked_for_can_be_nothing_but_the_profile_s() -> None:
    (one,) = awaited(kept(a=Pause(NOW_MS + 10, "visit", None, NOW_MS - 5)), NOW_MS + 3)
    assert (one.since_ms, one.until_ms) == (NOW_MS - 5, NOW_MS + 3)
    assert 'profile.id IN ("an\\"n\\*")' in one.query([one.run.profile_id])


def test_what_came_for_who_the_profile_is_part_of_by_now_ends_its_pause() -> None:
    """The event lies under the id of the survivor."""
    store = MemoryStore()
    survivor = replace(stored_profile("ann"), doc={**stored_profile("ann").doc, "ids": ["ann", "bea"]})
    document = {**visit(NOW_MS + 1), "profile": {"id": "ann"}}
    event = replace(stored_event("e2", profile_id="ann", type="visit"), doc=msgspec.json.encode(document))
    merged = Identity(
        aliases={"bea": Alias("ann", 1, "m1")},
        restored=[],
        taken=[],
        uses={},
        merges=[],
        undone={},
        forwarded=[],
        outbox=[],
    )
    store.write(replace(batch(survivor, event), identity=merged))
    one = replace(kept(a=Pause(NOW_MS + 10, "visit", None, NOW_MS)), profile_id="bea")
    assert by_then(store, [one], NOW_MS + 5) == {"r1": {"a": document}}


def test_a_pause_that_the_run_comes_to_at_once_began_with_what_let_it_run() -> None:
    flow = compiled({"start": ("start", {}, "second"), "second": TWICE["second"], "end": TWICE["end"]})
    found = run(flow, FIRED, DOCUMENTS, now_ms=NOW_MS + HOUR_MS)
    assert found.saved.paused["second"].since_ms == FIRED.at_ms
    again = run(flow, FIRED, DOCUMENTS, now_ms=NOW_MS + 2 * HOUR_MS, saved=found.saved)
    assert again.saved.paused == found.saved.paused


def test_a_later_one_begins_when_the_run_comes_to_it() -> None:
    flow = compiled(TWICE)
    first = run(flow, FIRED, DOCUMENTS, now_ms=NOW_MS)
    found = run(flow, FIRED, DOCUMENTS, now_ms=NOW_MS + HOUR_MS, saved=first.saved, resumed={"first": None})
    assert found.saved.paused["second"].since_ms == NOW_MS + HOUR_MS


def test_a_worker_is_there_a_minute_before_a_flow_goes_on() -> None:
    store = MemoryStore()
    store.write(batch(stored_profile('an"n*')))
    assert not is_wanted(store, SCHEDULER, NOW_MS)
    store.save_flow_runs([kept(a=Pause(NOW_MS + HOUR_MS))])
    assert not is_wanted(store, SCHEDULER, NOW_MS)
    assert not is_wanted(store, IMPORT, NOW_MS + HOUR_MS)
    assert is_wanted(store, SCHEDULER, NOW_MS + HOUR_MS - 60_000)


def test_a_worker_is_there_for_tasks_and_for_runs_that_wait() -> None:
    store = MemoryStore()
    store.write(batch(stored_profile("ann")))
    waiting = KeptRun(
        id="r1", flow="f", version=7, profile_id="ann", fired=FIRED, began_ms=NOW_MS, changed_ms=NOW_MS, turn=1
    )
    store.save_flow_runs([waiting])
    assert is_wanted(store, SCHEDULER, NOW_MS)
    assert not is_wanted(store, SEGMENTATION, NOW_MS)
    store.add_task(Task(id="t1", kind="import", queue=IMPORT, arguments={}, asked_ms=NOW_MS))
    assert is_wanted(store, IMPORT, NOW_MS)
