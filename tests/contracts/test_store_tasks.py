"""What every store promises of tasks: two who do the same do not count twice, and nothing that is over moves."""

from __future__ import annotations

import pytest

from hub.store import Store
from hub.task import MOST_SLICES, Page, Planned, Slice, Task, after_page, summed


def task(id: str = "t1", **more: object) -> Task:
    return Task(**{"id": id, "kind": "copy", "queue": "q", "arguments": {"where": "x"}, "asked_ms": 5, **more})  # type: ignore[arg-type]


def running(store: Store, *slices: Planned, id: str = "t1") -> None:
    assert store.add_task(task(id))
    assert store.plan_task(id, slices or [Planned({"n": 1}, 10), Planned({"n": 2})], 7)


def begun(store: Store, number: int = 0) -> Slice:
    part = store.begin_slice("t1", number)
    assert part is not None
    return part


def state(store: Store, id: str = "t1") -> str:
    found = store.task(id)
    assert found is not None
    return found.state


def test_a_task_is_kept_once(store: Store) -> None:
    assert store.add_task(task(by="ann"))
    assert not store.add_task(task(by="bob"))
    found = store.task("t1")
    assert found == task(by="ann")
    assert found.state == "waiting"
    assert store.task("t2") is None
    assert store.slices("t1") == store.slices("t2") == []


def test_tasks_newest_first(store: Store) -> None:
    for number in range(5):
        store.add_task(task(f"t{number}", kind="copy" if number % 2 else "import"))
    store.cancel_task("t3", 9)
    assert [one.id for _, one in store.tasks(10)] == ["t4", "t3", "t2", "t1", "t0"]
    (number, _), *_ = store.tasks(3)[::-1]
    assert [one.id for _, one in store.tasks(3, number)] == ["t1", "t0"]
    assert [one.id for _, one in store.tasks(10, kind="copy")] == ["t3", "t1"]
    assert [one.id for _, one in store.tasks(10, state="cancelled")] == ["t3"]


def test_open_tasks_of_a_queue(store: Store) -> None:
    for id, queue in (("a", "q"), ("b", "other"), ("c", "q"), ("d", "q")):
        store.add_task(task(id, queue=queue))
    store.cancel_task("c", 9)
    assert [one.id for one in store.open_tasks("q")] == ["a", "d"]


def test_it_is_cut_once(store: Store) -> None:
    store.add_task(task())
    assert [getattr(store.begin_plan("t1"), "begun", 0) for _ in range(2)] == [1, 2]
    assert store.plan_task("t1", [Planned({"n": 1}, 10), Planned({"n": 2})], 7)
    assert not store.plan_task("t1", [Planned({"n": 3})], 8)
    assert store.begin_plan("t1") is None
    assert store.slices("t1") == [Slice(number=0, spec={"n": 1}, total=10), Slice(number=1, spec={"n": 2})]
    assert store.open_slices("t1") == [0, 1]
    found = store.task("t1")
    assert found is not None
    assert (found.state, found.started_ms) == ("running", 7)


def test_without_slices_it_is_done(store: Store) -> None:
    store.add_task(task())
    assert store.plan_task("t1", [], 7)
    assert state(store) == "done"


def test_too_many_slices(store: Store) -> None:
    store.add_task(task())
    with pytest.raises(ValueError, match="at most"):
        store.plan_task("t1", [Planned({})] * (MOST_SLICES + 1), 7)
    assert state(store) == "waiting"


def test_pages_add_up_and_the_last_slice_ends_it(store: Store) -> None:
    running(store)
    part = after_page(begun(store), Page({"at": 4}, 4, {"ok": 3, "bad": 1}, ["x"]))
    assert store.save_slice("t1", part, 8)
    part = after_page(part, Page({"at": 9}, 5, {"ok": 5}, ["y"]))
    assert store.save_slice("t1", part, 9)
    kept = store.slices("t1")[0]
    assert (kept.done, kept.counts, kept.at, kept.sample, kept.begun) == (
        9,
        {"ok": 8, "bad": 1},
        {"at": 9},
        ["x", "y"],
        0,
    )
    for number in (0, 1):
        last = store.slices("t1")[number]
        assert state(store) == "running"
        assert store.save_slice("t1", Slice(**{**_fields(last), "state": "done", "step": last.step + 1}), 10)
    found = store.task("t1")
    assert found is not None
    assert (found.state, found.ended_ms, found.error) == ("done", 10, "")
    assert summed(store.slices("t1")).counts == {"ok": 8, "bad": 1}
    assert store.open_slices("t1") == []


def test_of_two_who_do_a_page_one_counts(store: Store) -> None:
    """As a worker may be thought dead that is not."""
    running(store)
    first, second = begun(store), begun(store)
    assert store.save_slice("t1", after_page(first, Page({"at": 1}, 10)), 8)
    assert not store.save_slice("t1", after_page(second, Page({"at": 1}, 10)), 8)
    assert store.slices("t1")[0].done == 10


def test_how_often_it_was_begun(store: Store) -> None:
    running(store)
    assert [begun(store).begun for _ in range(3)] == [1, 2, 3]
    store.note_slice_error("t1", 0, "oh", 8, is_final=False)
    assert (begun(store).begun, store.slices("t1")[0].error) == (4, "oh")
    store.note_slice_error("t1", 0, "kafka is away", 8, is_final=False, is_fault=False)
    assert begun(store).begun == 1
    assert store.begin_slice("t1", 7) is None


def test_one_that_fails_does_not_hold_up_the_others(store: Store) -> None:
    running(store)
    begun(store)
    store.note_slice_error("t1", 0, "a bad row", 8, is_final=True)
    assert state(store) == "running"
    assert store.begin_slice("t1", 0) is None
    other = begun(store, 1)
    assert store.save_slice("t1", Slice(**{**_fields(other), "state": "done", "step": 1}), 9)
    found = store.task("t1")
    assert found is not None
    assert (found.state, found.error, found.ended_ms) == ("failed", "a bad row", 9)


def test_what_cannot_be_planned_has_failed(store: Store) -> None:
    store.add_task(task())
    store.note_plan_error("t1", "not yet", 8, is_final=False)
    assert state(store) == "waiting"
    store.note_plan_error("t1", "never", 9, is_final=True)
    assert state(store) == "failed"
    assert not store.plan_task("t1", [Planned({})], 10)


def test_cancelled_is_cancelled(store: Store) -> None:
    running(store)
    part = begun(store)
    found = store.cancel_task("t1", 8)
    assert found is not None
    assert (found.state, found.ended_ms) == ("cancelled", 8)
    assert not store.save_slice("t1", after_page(part, Page({"at": 1}, 1)), 9)
    assert store.begin_slice("t1", 1) is None
    store.note_slice_error("t1", 0, "oh", 9, is_final=True)
    again = store.cancel_task("t1", 10)
    assert again == found
    assert store.cancel_task("none", 10) is None


def test_old_ones_are_forgotten_once_they_are_over(store: Store) -> None:
    running(store)
    store.add_task(task("t2"))
    store.cancel_task("t2", 8)
    assert store.forget_tasks(5) == 0
    assert store.forget_tasks(6) == 1
    assert store.task("t2") is None
    assert state(store) == "running"
    store.cancel_task("t1", 8)
    store.forget_tasks(6)
    assert store.slices("t1") == []


def _fields(part: Slice) -> dict[str, object]:
    return {name: getattr(part, name) for name in part.__struct_fields__}
