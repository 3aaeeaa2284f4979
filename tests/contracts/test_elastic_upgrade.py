"""A store of an older schema in a search engine becomes one of this: beside the old one, all or nothing, and back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import pytest
from typer.testing import CliRunner

from hub.__main__ import app
from hub.errors import Fenced, Refused, Unavailable
from hub.search_engine import Layout
from hub.store.elastic import ElasticStore, beside, generations, indices, rollback, schema
from hub.store.elastic.client import Engine
from hub.store.elastic.rows import Table
from hub.store.factory import has_store, remove_store
from hub.store.port import DefinitionVersion, Kind
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, profile, whole
from tests.waiting import wait_for

LAYOUT: Final = Layout(copies=0)


def with_new(source: dict[str, Any]) -> dict[str, Any]:
    """A profile of the next schema has a trait more; one that was merged has no document."""
    if "doc" not in source:
        return source
    document = msgspec.json.decode(source["doc"])
    document["traits"]["new"] = 1
    return {**source, "doc": msgspec.json.encode(document).decode()}


STEPS: Final[schema.Steps] = [{indices.PROFILES: with_new, indices.SESSIONS: lambda _: None}]
"""A schema that changes documents, and drops others."""
LONG_ID: Final = "p" * 450
"""Its document has another `_id`."""


class Old:
    """A store of this schema, with what a hub has written."""

    def __init__(self, url: str, namespace: str, store: ElasticStore) -> None:
        self.url = url
        self.namespace = namespace
        self.store = store
        self.engine = Engine(url, namespace)
        generations.follow(self.engine)
        for number in range(3):
            store.write(whole(number, 20))
        store.write(batch(event("e-old", time_ms=NOW_MS - 3 * MONTH_MS), profile(LONG_ID, n=1), progress={1: (0, 1)}))
        self.blob = store.put_blob(b"long message")

    def upgrade(self, **options: Any) -> beside.Upgraded | None:
        given = {"now_ms": lambda: NOW_MS, "steps": STEPS, **options}
        return beside.upgrade(self.url, self.engine, LAYOUT, **given)

    def open(self, steps: schema.Steps = STEPS, *, readonly: bool = False) -> ElasticStore:
        return ElasticStore(self.url, self.namespace, readonly=readonly, layout=LAYOUT, steps=steps)

    def indices(self) -> set[str]:
        found = self.engine.client.indices.get_alias(index=f"{self.namespace}-*").body
        return {name for name in found if name != f"{self.namespace}-schema"}


@pytest.fixture
def old(search_engine: str, namespace: str, elastic: ElasticStore) -> Iterator[Old]:
    made = Old(search_engine, namespace, elastic)
    yield made
    made.engine.close()


def documents(store: ElasticStore) -> dict[str, int]:
    return {kind: len(store.search(kind, "", 1_000, None).items) for kind in get_args(Kind)}


def test_an_upgrade_makes_indices_of_its_own_that_every_process_finds(old: Old) -> None:
    """The URL stays as it is; all that was stored is there, changed as the step says, and the next batch goes on."""
    assert documents(old.store) == {"profiles": 21, "events": 61, "sessions": 1, "dead-letters": 3}
    with (
        closing(old.open(readonly=True)) as reading,
        pytest.raises(Unavailable, match="schema 1, not yet 2: start the"),
    ):
        reading.ping()
    with pytest.raises(Unavailable, match=r"schema 1, not yet 2.*hub migrate store"):
        old.open()
    assert beside.is_due(old.engine, STEPS)
    before = old.indices()
    done = old.upgrade()
    assert done is not None
    assert (done.from_schema, done.to_schema, done.old) == (1, 2, old.namespace)
    assert done.rows["profiles"] == 21
    assert done.rows["sessions"] == 0
    with closing(old.open()) as store, closing(old.open(readonly=True)) as reading:
        assert documents(reading) == {"profiles": 21, "events": 61, "sessions": 0, "dead-letters": 3}
        assert reading.count("profiles", "traits.new = 1") == 21
        assert reading.count("profiles", "traits.batch = 2") == 20
        assert (reading.get("profiles", LONG_ID) or {})["traits"] == {"n": 1, "new": 1}
        assert store.progress(1) == {0: 60, 1: 1}
        store.write(whole(3, 20))
        assert store.count("events", "") == 81
        assert reading.get_blob(old.blob) == b"long message"
        assert store.books(0, 10, count_events=True).stored_events == 81
    # who has the old one open: reads go on as they were, nothing can be written
    assert old.store.count("profiles", "traits.new = 1") == 0
    for write in (lambda: old.store.write(whole(3, 20)), lambda: old.store.put_blob(b"x")):
        with pytest.raises(Fenced, match="start again"):
            write()
    for readonly in (False, True):
        with pytest.raises(Refused, match="made by a newer hub"), closing(old.open((), readonly=readonly)) as opened:
            opened.ping()
    assert [one.role for one in rollback.files(old.engine)] == ["kept", "in force"]
    assert before < old.indices()
    assert old.upgrade() is None


class Killed(BaseException):
    """Nobody catches it: as SIGKILL."""


@pytest.mark.long
@pytest.mark.parametrize("point", beside.POINTS)
def test_an_upgrade_that_is_killed_is_begun_again(
    old: Old, point: beside.Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 at each step: the old store or the new one is in force; a hub of before goes on, the next upgrade too."""
    monkeypatch.setattr(generations, "STALE_S", 0.5)
    before = old.indices()
    command = [sys.executable, "-m", "tests.contracts.elastic_upgrade_process", old.url, old.namespace, point]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], check=False, timeout=120).returncode == -9
    if point == "flipped":
        with pytest.raises(Fenced, match="start again"):
            old.store.write(whole(3, 20))
    else:
        assert old.indices() > before
        if point != "made":
            with pytest.raises(Unavailable, match="is being upgraded"):
                old.store.write(whole(3, 20))
        assert old.store.count("events", "") == 61

        def written() -> bool:
            try:
                old.store.write(whole(3, 20))
            except Unavailable:
                return False
            return True

        wait_for("the old store takes writes again", written)
        if point != "made":  # nobody was in the way
            assert old.indices() == before
        done = old.upgrade()
        assert done is not None
        assert done.rows["profiles"] == 21
    assert [one.role for one in rollback.files(old.engine)] == ["kept", "in force"]
    with closing(old.open()) as store:
        store.write(whole(4 if point != "flipped" else 3, 20))
        assert store.count("events", "") == (101 if point != "flipped" else 81)


@pytest.mark.long
def test_a_batch_that_was_cut_off_is_whole_in_the_new_indices(old: Old) -> None:
    """Its journal goes along, and whoever opens the new store sees to it."""
    send, requests = old.store._engine.results, 0

    def results(actions: Any, **_: Any) -> Any:
        nonlocal requests
        requests += 1
        if requests > 1:
            raise Killed
        return send(actions)

    old.store._engine.results = results  # type: ignore[method-assign]
    with pytest.raises(Killed):
        old.store.write(whole(3, 20))
    old.upgrade()
    with closing(old.open()) as store:
        assert store.progress(1)[0] == 80
        assert store.count("events", "") == 81


@pytest.mark.long
@pytest.mark.parametrize("point", beside.POINTS[:-1])
def test_an_upgrade_that_fails_leaves_the_store_as_it_was(old: Old, point: beside.Point) -> None:
    """Whatever goes wrong: nothing is left over, writers go on, and the next one works. So does a trial, at its end."""
    before = old.indices()

    def fail(here: beside.Point) -> None:
        if here == point:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        old.upgrade(at=fail)
    assert old.indices() == before
    old.store.write(whole(3, 20))
    old.upgrade(is_trial=True, at=lambda _: old.store.put_blob(point.encode()))  # keeps nobody waiting
    assert old.indices() == before
    old.store.write(whole(4, 20))
    assert old.upgrade() is not None


@pytest.mark.long
def test_writers_wait_and_readers_do_not(old: Old) -> None:
    """And who has taken the block away and written is found."""
    seen: list[beside.Point] = []

    def look(here: beside.Point) -> None:
        assert old.store.count("events", "") == 61
        seen.append(here)
        if here not in ("made", "flipped"):
            for write in (lambda: old.store.write(whole(3, 20)), lambda: old.store.put_blob(b"x")):
                with pytest.raises(Unavailable, match="is being upgraded"):
                    write()

    def meddle(here: beside.Point) -> None:
        if here == "copied":
            generations.unblock(old.engine.at(old.namespace))
            old.store.put_blob(b"y")

    with pytest.raises(Unavailable, match="somebody took"):
        old.upgrade(at=lambda here: meddle(here) if here == "copied" else None, steps=STEPS)
    old.upgrade(at=look)
    assert tuple(seen) == beside.POINTS


@pytest.mark.long
def test_of_several_at_once_one_upgrades_and_the_others_wait(old: Old) -> None:
    """Three begin: one new generation."""
    done: list[beside.Upgraded | None] = []

    def work() -> None:
        with closing(Engine(old.url, old.namespace)) as engine:
            generations.follow(engine)
            done.append(beside.upgrade(old.url, engine, LAYOUT, now_ms=lambda: NOW_MS, steps=STEPS))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one is None for one in done].count(True) == 2
    assert [one.role for one in rollback.files(old.engine)] == ["kept", "in force"]


@pytest.mark.long
def test_what_the_cluster_does_not_take_or_keep_changes_nothing(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room, a full disk, documents that are lost or changed: said, thrown away, and the old store goes on."""
    before = old.indices()

    def new(call: Callable[[str], Any], point: beside.Point) -> Callable[[beside.Point], None]:
        def at(here: beside.Point) -> None:
            if here == point:
                (name,) = (one for one in old.indices() - before if one.endswith("-profiles"))
                call(name)

        return at

    client = old.engine.client
    full = {"index.blocks.read_only_allow_delete": True}
    with pytest.raises(Unavailable, match=r"lets nobody write \(index.blocks\).*Free disk space"):
        old.upgrade(at=new(lambda name: client.indices.put_settings(index=name, settings=full), "made"))
    with pytest.raises(Refused, match=r"documents of the new profiles: 21 and 20.*stays as it was"):
        old.upgrade(at=new(lambda name: client.delete(index=name, id="p3"), "copied"))
    with pytest.raises(Refused, match="ids and contents of profiles"):
        old.upgrade(at=new(lambda name: client.index(index=name, id="p3", document={"id": "p3"}), "copied"))
    monkeypatch.setattr(beside, "ROOM_BYTES", 2**60)
    with pytest.raises(Unavailable, match=r"may need .* GB, and .* GB are free in the cluster"):
        old.upgrade()
    assert old.indices() == before
    old.store.write(whole(3, 20))


@pytest.mark.long
def test_a_rollback_puts_the_old_indices_in_force_with_what_is_on_no_log(old: Old) -> None:
    """What the log has is applied again; newer processes cannot write any more; `discard` removes what is left."""
    with pytest.raises(Refused, match="nothing to go back to"):
        rollback.roll_back(old.engine, now_ms=lambda: NOW_MS)
    before = old.indices()
    old.store.keep_versions([DefinitionVersion("flow", "f", 1, NOW_MS, "{}")])
    number = [Table(old.store._engine, "tasks").numbers(1) for _ in range(3)][-1]
    old.upgrade()
    with closing(old.open()) as newer:
        assert number < (number := Table(newer._engine, "tasks").numbers(1))  # no number is given twice
        newer.write(whole(3, 20))
        blob = newer.put_blob(b"newer")
        newer.keep_versions([DefinitionVersion("flow", "f", 2, NOW_MS, "{}")])
        with pytest.raises(Refused, match=r"is of 8 days ago.*--force"):
            rollback.roll_back(old.engine, now_ms=lambda: NOW_MS + 8 * 86_400_000)
        done = rollback.roll_back(old.engine, now_ms=lambda: NOW_MS)
        assert done.carried == {"versions": 1, "blobs": 1}
        with pytest.raises(Fenced, match="start again"):
            newer.write(whole(4, 20))
    with closing(old.open(())) as store:
        assert (store.progress(1)[0], store.count("events", "")) == (60, 61)
        assert number < Table(store._engine, "tasks").numbers(1)
        assert store.get_blob(blob) == b"newer"
        assert [one.version for one in store.versions("flow", "f", 10, None)] == [2, 1]
        store.write(whole(3, 20))
        assert store.count("profiles", "traits.new = 1") == 0
    assert [one.role for one in rollback.files(old.engine)] == ["in force", "given up"]
    assert len(rollback.discard(old.engine)) == 1
    assert old.indices() == before
    old.upgrade()
    assert [one.role for one in rollback.discard(old.engine)] == ["kept"]
    assert not before & old.indices()
    with pytest.raises(Refused, match="nothing to go back to"):
        rollback.roll_back(old.engine, now_ms=lambda: NOW_MS)
    with closing(old.open()) as store:
        assert store.count("events", "") == 81


@pytest.mark.long
@pytest.mark.parametrize("point", rollback.POINTS)
def test_a_rollback_that_is_cut_off_is_begun_again(old: Old, point: rollback.Point) -> None:
    """The new store is in force until the end, and takes writes again."""
    old.upgrade()

    def fail(here: rollback.Point) -> None:
        if here == point:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollback.roll_back(old.engine, now_ms=lambda: NOW_MS, at=fail)
    with closing(old.open(() if point == "done" else STEPS)) as store:
        store.write(whole(3, 20))
    if point != "done":
        rollback.roll_back(old.engine, now_ms=lambda: NOW_MS)
    assert [one.role for one in rollback.files(old.engine)] == ["in force", "given up"]


@pytest.mark.long
def test_small_changes_are_made_in_place(old: Old) -> None:
    """New indices and columns take no time, and no second generation; a new store has the newest schema."""
    before, steps = old.indices(), list[schema.Step]([{}])
    assert not beside.is_due(old.engine, steps)
    with closing(old.open(steps)) as store:
        store.write(whole(3, 20))
    assert (old.indices(), beside.look(old.engine, steps).schema) == (before, 2)
    old.store.write(whole(4, 20))  # who has it open goes on
    with pytest.raises(Refused, match="made by a newer hub"):
        old.open(())
    name = f"{old.namespace}-new"
    with closing(ElasticStore(old.url, name, layout=LAYOUT, steps=STEPS)), closing(Engine(old.url, name)) as engine:
        generations.follow(engine)
        assert beside.look(engine, STEPS).schema == 2
        assert not beside.is_due(engine, STEPS)
        more = [*STEPS, *STEPS]
        beside.upgrade(old.url, engine, LAYOUT, now_ms=lambda: NOW_MS, steps=more)
        assert has_store(old.url + name)
        remove_store(old.url + name)
        assert not has_store(old.url + name)
        assert not old.engine.client.indices.get_alias(index=f"{name}*").body


@pytest.mark.long
def test_the_commands_know_stores_in_search_engines(old: Old, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This release has the first schema: there is nothing to do yet, and that is what they say."""
    monkeypatch.setenv("HUB_STORE__URL", old.url.rstrip("/"))
    monkeypatch.setenv("HUB_NAMESPACE", old.namespace)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))

    def said(*command: str) -> str:
        done = CliRunner().invoke(app, ["migrate", *command])
        assert done.exit_code in (0, 2), done.output
        return done.output

    found = json.loads(said("status", "--json"))
    assert (found["schema"], found["wanted"], found["needs_bytes"]) == (1, 1, 0)
    assert [(one["path"], one["role"]) for one in found["files"]] == [(f"{old.namespace}-*", "in force")]
    assert "nothing to do" in said("status")
    assert "there is nothing to do" in said("store")
    assert "there is nothing to do" in said("store", "--dry-run")
    assert "nothing to go back to" in said("rollback")
    assert "there is nothing to remove" in said("discard")
