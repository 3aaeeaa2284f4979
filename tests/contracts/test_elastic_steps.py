"""
What the store on a search engine promises without transactions: whoever is killed between two steps, or held up there
while others go on, leaves nothing that is half done, and brings nothing back.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace

from hub.model import FOREVER_MS, Person, Void
from hub.pipeline.data_keys import DataKey
from hub.store.elastic.blobs import PART_BYTES, BlobSide, remove_blobs
from hub.store.elastic.client import Engine
from hub.store.elastic.flow_runs import FlowRunSide, erase_runs
from hub.store.elastic.head import HeadDocument
from hub.store.elastic.indices import BLOBS, PROFILES, Layout, prepare
from hub.store.elastic.keys import KeySide
from hub.store.elastic.rows import Table, equal
from hub.store.elastic.tasks import TaskSide, forget_samples
from hub.store.port import Removal
from hub.task import Page, Planned, Slice, Task, after_page
from tests.contracts.conftest import remove_namespace
from tests.contracts.test_store_flow_runs import run

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


class Killed(BaseException):
    """Nobody catches it: as SIGKILL."""


class Watched(Engine):
    """Tells of each request before it is sent, by its number from 1."""

    def __init__(self, url: str, namespace: str, before: Callable[[int], None]) -> None:
        super().__init__(url, namespace)
        self.requests = 0
        self._before = before

    def asked(self, ask: Callable[[], Any]) -> Any:
        self.requests += 1
        self._before(self.requests)
        return super().asked(ask)


class Sides(TaskSide, FlowRunSide, KeySide, BlobSide):
    """Those of the store that are asked here. `erased`: by mark, up to when."""

    def __init__(self, engine: Engine, erased: dict[str, int]) -> None:
        self._engine = engine
        self._head = HeadDocument(engine)
        self._erased = erased

    def voids(self, marks: Sequence[str]) -> dict[str, list[Void]]:
        return {mark: [Void(mark, 0, self._erased[mark], "o")] for mark in marks if mark in self._erased}

    def removals(self) -> list[Removal]:
        return [Removal(mark, Person(), until_ms) for mark, until_ms in self._erased.items()]

    def survivor(self, id: str) -> str:
        return id

    def _count_removed(self, id: str, **more: object) -> None:
        """Nobody asks for the orders."""


class Cluster:
    """One namespace, that several have opened at once."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url, self._namespace = url, namespace
        self._engines: list[Engine] = []
        self.erased: dict[str, int] = {}
        self.engine = self._opened(lambda _: None)
        prepare(self.engine, Layout(copies=0))

    def opened(self, before: Callable[[int], None] = lambda _: None) -> Sides:
        """Args: before: as of Watched."""
        return Sides(self._opened(before), self.erased)

    def killed_at(self, number: int) -> Sides:
        """One that is killed before its request with this number."""

        def before(request: int) -> None:
            if request >= number:
                raise Killed

        return self.opened(before)

    def rows(self, table: str, **where: Any) -> list[str]:
        """Keys of all rows of a table."""
        found = Table(self.engine, table)
        found.refresh()
        return [row.key for row in found.every([equal(*one) for one in where.items()], ["key"])]

    def close(self) -> None:
        for engine in self._engines:
            engine.close()

    def _opened(self, before: Callable[[int], None]) -> Engine:
        self._engines.append(Watched(self._url, self._namespace, before))
        return self._engines[-1]


@pytest.fixture(scope="module")
def cluster(search_engine: str) -> Iterator[Cluster]:
    namespace = f"t{secrets.token_hex(6)}"
    made = Cluster(search_engine, namespace)
    yield made
    made.close()
    remove_namespace(search_engine, namespace)


def cut_off(cluster: Cluster, work: Callable[[Sides, int], object], then: Callable[[int], None]) -> None:
    """Do `work` with someone who is killed before the first request, the second, and so on; `then` after each."""
    for number in range(1, 40):
        try:
            work(cluster.killed_at(number), number)
        except Killed:
            then(number)
        else:
            then(number)
            assert number > 1
            return
    raise AssertionError("it never ends")


def held_up(
    cluster: Cluster,
    work: Callable[[Sides, int], object],
    meanwhile: Callable[[int], None],
    then: Callable[[int], None],
) -> None:
    """Do `work` with someone who is held up before the first request, the second, and so on, while others go on."""
    for number in range(1, 40):
        reached, go_on = threading.Event(), threading.Event()

        def before(request: int, number: int = number, reached: Any = reached, go_on: Any = go_on) -> None:
            if request == number:
                reached.set()
                assert go_on.wait(60)

        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(work, cluster.opened(before), number)
            job.add_done_callback(lambda _, reached=reached: reached.set())  # type: ignore[misc]
            assert reached.wait(60)
            is_over = job.done()
            if not is_over:
                meanwhile(number)
            go_on.set()
            job.result()
        if is_over:
            assert number > 1
            return
        then(number)
    raise AssertionError("it never ends")


def planned(store: Sides, id: str, *slices: Planned) -> str:
    assert store.add_task(Task(id=id, kind="copy", queue="q", arguments={}, asked_ms=5))
    if slices:
        assert store.plan_task(id, slices, 7)
    return id


def state(store: Sides, id: str) -> str:
    found = store.task(id)
    assert found is not None
    return found.state


def end(store: Sides, id: str, number: int) -> bool:
    """All of a slice in one page."""
    part = store.begin_slice(id, number)
    return part is not None and store.save_slice(id, replace(after_page(part, Page({}, 1, {"ok": 1})), state="done"), 9)


def test_a_task_is_cut_once_whoever_is_killed_at_it(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)
    for number in range(1, 20):
        planned(other, f"{name}-{number}")

    def again(number: int) -> None:
        id = f"{name}-{number}"
        is_first = other.plan_task(id, [Planned({"by": "other"})] * 3, 7)
        assert [part.spec["by"] for part in other.slices(id)] == (["other"] * 3 if is_first else ["first"] * 2)
        assert other.open_slices(id) == list(range(3 if is_first else 2))
        assert state(other, id) == "running"
        other.cancel_task(id, 9)
        assert other.forget_tasks(6) >= 1
        assert cluster.rows("slices", task=id) == []

    cut_off(
        cluster, lambda store, number: store.plan_task(f"{name}-{number}", [Planned({"by": "first"})] * 2, 7), again
    )


def test_of_two_who_cut_a_task_one_does(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)
    for number in range(1, 20):
        planned(other, f"{name}-{number}")
    done: dict[int, list[bool]] = {}

    def meanwhile(number: int) -> None:
        done[number] = [other.plan_task(f"{name}-{number}", [Planned({"by": "other"})], 7)]

    def plan(store: Sides, number: int) -> None:
        planned = store.plan_task(f"{name}-{number}", [Planned({"by": "held up"})] * 2, 7)
        done.setdefault(number, []).append(planned)

    def then(number: int) -> None:
        assert sorted(done[number]) == [False, True]
        winner = ["other"] if done[number][0] else ["held up"] * 2
        assert [part.spec["by"] for part in other.slices(f"{name}-{number}")] == winner
        assert len(cluster.rows("slices", task=f"{name}-{number}")) == len(winner)

    held_up(cluster, plan, meanwhile, then)


def test_the_last_slice_ends_a_task_whoever_is_killed_at_it(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)
    for number in range(1, 20):
        planned(other, f"{name}-{number}", Planned({}), Planned({}))
        assert end(other, f"{name}-{number}", 0)

    def as_workers_do(number: int) -> None:
        id = f"{name}-{number}"
        for one in other.open_slices(id):
            assert end(other, id, one)
        found = other.task(id)
        assert found is not None
        assert (found.state, found.ended_ms) == ("done", 9)
        assert [part.counts for part in other.slices(id)] == [{"ok": 1}, {"ok": 1}]

    cut_off(cluster, lambda store, number: end(store, f"{name}-{number}", 1), as_workers_do)


def test_the_last_two_slices_at_once_end_a_task(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)
    for number in range(1, 20):
        planned(other, f"{name}-{number}", Planned({}), Planned({}))
    held_up(
        cluster,
        lambda store, number: end(store, f"{name}-{number}", 0),
        lambda number: end(other, f"{name}-{number}", 1),
        lambda number: _is_equal(state(other, f"{name}-{number}"), "done"),
    )


def test_a_task_that_was_cut_just_now_is_not_over(cluster: Cluster) -> None:
    """Though others do not find its slices yet."""
    one, other = cluster.opened(), cluster.opened()
    for _ in range(5):
        id = planned(one, secrets.token_hex(4), Planned({}))
        other.open_slices(id)
        assert state(other, id) == "running"


def test_a_page_counts_once_however_many_do_it(cluster: Cluster) -> None:
    store = cluster.opened()
    id = planned(store, secrets.token_hex(4), Planned({}))
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            part = store.begin_slice(id, 0)
            assert part is not None
            page = after_page(part, Page({}, 1))
            saved = list(
                pool.map(lambda one, page=page: one.save_slice(id, page, 8), [cluster.opened() for _ in range(4)])
            )
            assert sorted(saved) == [False, False, False, True]
    assert store.slices(id)[0].done == 5


def test_samples_of_who_is_erased_are_not_kept(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)
    parts: dict[int, Slice] = {}
    for number in range(1, 12):
        planned(other, f"{name}-{number}", Planned({}))
        part = other.begin_slice(f"{name}-{number}", 0)
        assert part is not None
        parts[number] = after_page(part, Page({}, 1, {}, ["ann"]))

    def erase(number: int) -> None:
        cluster.erased["ann"] = 5
        forget_samples(cluster.engine)

    def then(number: int) -> None:
        cluster.erased.clear()
        (part,) = other.slices(f"{name}-{number}")
        assert (part.sample, part.done) == ([], 1)

    held_up(
        cluster,
        lambda store, number: store.save_slice(f"{name}-{number}", parts[number], 8),
        erase,
        then,
    )


def test_old_tasks_are_forgotten_whoever_is_killed_at_it(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)

    def forget(store: Sides, number: int) -> None:
        planned(other, f"{name}-{number}", *[Planned({})] * 3)
        other.cancel_task(f"{name}-{number}", 9)
        store.forget_tasks(6)

    def again(number: int) -> None:
        other.forget_tasks(6)
        assert other.task(f"{name}-{number}") is None
        assert cluster.rows("slices", task=f"{name}-{number}") == []

    cut_off(cluster, forget, again)


def test_running_numbers_are_given_once(cluster: Cluster) -> None:
    table = Table(cluster.engine, secrets.token_hex(4))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(table.numbers, [1, 3, 2_500] * 8))
    assert [len(one) for one in found] == [1, 3, 2_500] * 8
    every = [number for one in found for number in one]
    assert len(set(every)) == len(every)
    assert all(one == sorted(one) for one in found)


def key(name: str, number: int, mark: str = "m") -> DataKey:
    return DataKey(f"{name}{number:8}".encode(), mark, 5, b"wrapped")


def test_keys_are_kept_whoever_is_killed_at_it(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)
    cluster.erased["void"] = FOREVER_MS

    def again(number: int) -> None:
        topic, wanted, void = f"{name}-{number}", key(name, number), key(name, 100 + number, "void")
        other.keep_keys(topic, 0, 2, [wanted, void], [], at_ms=1)
        assert other.keys_read(topic) == 2
        assert set(other.data_keys([wanted.id, void.id])) == {wanted.id}
        Table(cluster.engine, "keys").refresh()
        assert void.id in other.keys_to_bury(100)

    cut_off(
        cluster,
        lambda store, number: store.keep_keys(
            f"{name}-{number}", 0, 2, [key(name, number), key(name, 100 + number, "void")], [], at_ms=1
        ),
        again,
    )
    cluster.erased.clear()


def test_who_keeps_keys_late_brings_none_back(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)

    def meanwhile(number: int) -> None:
        topic, one = f"{name}-{number}", key(name, number)
        other.keep_keys(topic, 0, 1, [one], [], at_ms=1)
        assert other.keep_keys(topic, 1, 2, [], [one.id], at_ms=1)
        assert other.data_keys([one.id]) == {}

    def then(number: int) -> None:
        assert other.keys_read(f"{name}-{number}") == 2
        assert other.data_keys([key(name, number).id]) == {}

    held_up(
        cluster,
        lambda store, number: store.keep_keys(f"{name}-{number}", 0, 1, [key(name, number)], [], at_ms=1),
        meanwhile,
        then,
    )


def test_a_key_of_who_is_erased_while_it_is_kept_is_thrown_away(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)
    removal = Removal("o", Person(), FOREVER_MS)

    def erase(number: int) -> None:
        cluster.erased[f"{name}-{number}"] = FOREVER_MS
        other.remove_keys(removal, [f"{name}-{number}"], 9)  # the only time

    def then(number: int) -> None:
        assert other.data_keys([key(name, number).id]) == {}

    held_up(
        cluster,
        lambda store, number: store.keep_keys(
            f"{name}-{number}", 0, 1, [key(name, number, f"{name}-{number}")], [], at_ms=1
        ),
        erase,
        then,
    )
    cluster.erased.clear()


def test_a_run_of_who_is_erased_meanwhile_is_not_kept(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)
    for number in range(1, 12):
        cluster.engine.put(PROFILES, f"{name}-{number}", {"at": 1})

    def erase(number: int) -> None:
        cluster.engine.put(PROFILES, f"{name}-{number}", {"at": 2, "gone": True})
        erase_runs(cluster.engine, Person({f"{name}-{number}": 1}, [], {}, 0, []))

    held_up(
        cluster,
        lambda store, number: store.save_flow_runs([run(f"{name}-{number}", profile_id=f"{name}-{number}")]),
        erase,
        lambda number: _is_equal(other.flow_runs([f"{name}-{number}"]), {}),
    )


def test_of_two_who_save_a_run_one_does(cluster: Cluster) -> None:
    other, name = cluster.opened(), secrets.token_hex(4)
    assert other.save_flow_runs([run(f"{name}-{number}", profile_id="") for number in range(1, 12)]) == []
    refused: dict[int, list[str]] = {}

    def save(store: Sides, number: int, error: str = "held up") -> None:
        found = store.save_flow_runs([run(f"{name}-{number}", profile_id="", turn=2, error=error)])
        refused.setdefault(number, []).extend([error] if found else [])

    def then(number: int) -> None:
        kept = other.flow_runs([f"{name}-{number}"])[f"{name}-{number}"]
        assert sorted([kept.error, *refused[number]]) == ["held up", "other"]

    held_up(cluster, save, lambda number: save(other, number, "other"), then)


def test_a_blob_of_many_parts_is_there_once_all_are(cluster: Cluster) -> None:
    other = cluster.opened()
    data = bytes(range(256)) * (PART_BYTES // 256) + secrets.token_bytes(9)
    hashes: list[str] = []

    def again(number: int) -> None:
        if not hashes:
            hashes.append(other.put_blob(data))
            remove_blobs(cluster.engine, hashes)
        assert other.get_blob(hashes[0]) in (None, data)
        assert other.put_blob(data) == hashes[0]
        assert other.get_blob(hashes[0]) == data
        remove_blobs(cluster.engine, hashes)
        assert other.get_blob(hashes[0]) is None
        assert cluster.engine.many(BLOBS, [f"{hashes[0]}.1"], []) == {}

    cut_off(cluster, lambda store, number: store.put_blob(data), again)


def _is_equal(found: object, wanted: object) -> None:
    assert found == wanted
