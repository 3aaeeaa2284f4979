"""Segments over time with a real Kafka, Valkey, store, collector and worker: leaves on time, back-fills, repairs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hub.pipeline.documents import iso
from hub.segments.runs import Progress
from hub.segments.timers import now_ms
from schemas.topics import DEFINITIONS
from tests.factories import event, track
from tests.kafka_tools import eventually, write
from tests.live.collector import collector
from tests.live.segment_site import Site, purchase, sign_in, site, ticking, worker
from tests.servers import running

pytestmark = pytest.mark.slow

DAY_MS = 86_400_000


@pytest.fixture
def redis_url(shared_folder: Path) -> Iterator[str]:
    with running.shared("valkey", shared_folder / "valkey") as url:
        yield url


def filled_with(at: Site, profiles: int) -> None:
    """So many profiles, traits.n from 0 on."""
    at.send(*(sign_in(f"p{n:05}", n) for n in range(profiles)))
    eventually(lambda: at.profiles() == profiles)


def ids(numbers: range) -> set[str]:
    return {f"p{n:05}" for n in numbers}


def test_a_segment_is_left_on_time_without_any_event(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str
) -> None:
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        at.define("segment", "fresh", condition="count(purchase) in last 3 seconds >= 1")
        with ticking(at.settings):
            bought_ms = now_ms()
            at.send(purchase("e1", "ann", bought_ms))
            eventually(lambda: at.members("fresh") == {"ann"})
            eventually(lambda: not at.members("fresh"))
            (left,) = eventually(lambda: at.store.search("events", "type = segment-left", 9, None).items)
        assert left["properties"]["segment"] == "fresh"
        # not a moment too early
        assert left["metadata"]["time"]["insert"] >= iso(bought_ms + 3_000)
        eventually(lambda: not at.store.due(now_ms() + DAY_MS, 9))


def test_a_new_segment_is_filled_with_exactly_those_who_belong_to_it(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str
) -> None:
    with site(kafka, namespace, tmp_path, redis_url, slice_profiles=300) as at, collector(kafka, namespace, tmp_path):
        filled_with(at, 2_000)
        long_ago, buyers = now_ms() - 3 * DAY_MS, range(40, 80)
        at.send(*(purchase(f"{n}-{one}", f"p{n:05}", long_ago + n) for n in buyers for one in range(n % 3)))
        eventually(lambda: at.store.count("events", "type = purchase") == sum(n % 3 for n in buyers))
        with ticking(at.settings), worker(at):
            high = at.define("segment", "high", condition="traits.n >= 1500")
            # of what came before anybody asked for it: read from the store
            often = at.define("segment", "often", condition="count(purchase) in last 7 days >= 2")
            never = at.define("segment", "never", condition="never(purchase) AND traits.n < 50")
            run = at.filled("high", high)
            assert (run.state, run.profiles, run.slices) == ("done", 2_000, 7)
            assert at.filled("often", often).state == at.filled("never", never).state == "done"
            eventually(lambda: at.members("high") == ids(range(1_500, 2_000)))
            eventually(lambda: at.members("often") == {f"p{n:05}" for n in buyers if n % 3 == 2})
            none = {f"p{n:05}" for n in buyers if n % 3 == 0}
            eventually(lambda: at.members("never") == ids(range(40)) | (none & ids(range(50))))
            # only who differs was asked: the next one asks for the difference alone
            again = at.define("segment", "high", condition="traits.n >= 1600")
            run = at.filled("high", again)
            assert at.runs.progress(run.id).asked == 100
            eventually(lambda: at.members("high") == ids(range(1_600, 2_000)))
            # and when it is gone, everybody has left it
            _delete(at, "high")
            eventually(lambda: not at.members("high"))
        eventually(lambda: at.store.due(now_ms() + 30 * DAY_MS, 99) != [])


def test_it_is_known_when_somebody_is_due_whom_nothing_touches(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str
) -> None:
    """Who enters by time alone has to be known from the back-fill on: no event says so."""
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        starts_ms = now_ms() + DAY_MS
        for n in range(20):
            one = event(f"e{n}", "sign-in", n=iso(starts_ms + n))
            at.send(track(f"p{n:05}", one, received_at_ms=now_ms()))
        eventually(lambda: at.profiles() == 20)
        with ticking(at.settings), worker(at):
            version = at.define("segment", "started", condition="traits.n <= now")
            run = at.filled("started", version)
        assert at.store.due(starts_ms + DAY_MS, 99) == [(f"p{n:05}", starts_ms + n) for n in range(20)]
        # it took no look of their owners to know that
        assert at.runs.progress(run.id).asked == 0


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_worker_that_ends_half_way_changes_nothing(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str, how: str
) -> None:
    with site(kafka, namespace, tmp_path, redis_url, slice_profiles=40) as at, collector(kafka, namespace, tmp_path):
        filled_with(at, 2_000)
        with ticking(at.settings):
            with worker(at) as first:
                version = at.define("segment", "high", condition="traits.n >= 700")
                run = eventually(lambda: next(iter(at.runs.open()), None))
                assert run is not None
                eventually(lambda: at.runs.progress(run.id).done >= 3)
                if how == "killed":
                    first.kill()
                else:
                    assert first.stop() == 0
            assert at.runs.progress(run.id).done < 50
            with worker(at):
                assert at.filled("high", version, within_s=90).state == "done"
        assert at.runs.progress(run.id).looked == 2_000
        eventually(lambda: at.members("high") == ids(range(700, 2_000)))
        entered = at.store.count("events", "type = segment-entered")
        assert entered == 1_300


def test_events_that_come_during_a_back_fill_and_the_back_fill_agree(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str
) -> None:
    with site(kafka, namespace, tmp_path, redis_url, slice_profiles=50) as at, collector(kafka, namespace, tmp_path):
        filled_with(at, 1_000)
        with ticking(at.settings), worker(at):
            last = {f"p{n:05}": n for n in range(1_000)}
            for turn in range(6):
                version = at.define("segment", "high", condition=f"traits.n >= {100 + 100 * turn}")
                changed = {f"p{n:05}": (n * 7 + turn * 131) % 1_000 for n in range(turn, 1_000, 3)}
                at.send(*(sign_in(id, n, id=f"{id}-{turn}") for id, n in changed.items()))
                last |= changed
            assert at.filled("high", version).state == "done"
            expected = {id for id, n in last.items() if n >= 600}
            eventually(lambda: at.members("high") == expected)


@pytest.mark.sqlite
def test_the_second_opinion_repairs_and_counts(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    with site(kafka, namespace, tmp_path, redis_url, check_every_s=1) as at:
        with collector(kafka, namespace, tmp_path):
            filled_with(at, 100)
            with ticking(at.settings), worker(at):
                version = at.define("segment", "high", condition="traits.n >= 50")
                at.filled("high", version)
                eventually(lambda: at.members("high") == ids(range(50, 100)))
        _break(at)
        assert at.members("high") == ids(range(40, 90))
        with collector(kafka, namespace, tmp_path), ticking(at.settings), worker(at):
            eventually(lambda: at.members("high") == ids(range(50, 100)))
            # what it found is in the run, which can be read as long as Redis remembers it
            eventually(lambda: _checks(at) and max(one.differed for one in _checks(at)) == 20)


def test_sizes_are_kept_by_the_hour(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        at.define("segment", "high", condition="traits.n >= 5")
        filled_with(at, 10)
        eventually(lambda: at.members("high") == ids(range(5, 10)))
        with ticking(at.settings):
            hour = now_ms() // 3_600_000
            eventually(lambda: at.store.kept_sizes("high", hour, hour + 2) != [])
            assert {members for _, members in at.store.kept_sizes("high", hour, hour + 2)} == {5}


def _delete(at: Site, segment: str) -> None:
    write(at.kafka, DEFINITIONS.name(at.namespace), [(f"segment/{segment}".encode(), None)])


def _break(at: Site) -> None:
    """Ten in the segment who do not belong to it, and ten who do out of it, as no code of the hub would leave it."""
    with sqlite3.connect(at.folder / "hub.sqlite") as connection:
        for id, doc in connection.execute("SELECT id, doc FROM profiles").fetchall():
            n, document = int(id[1:]), msgspec.json.decode(doc)
            if 40 <= n < 50:
                document["segments"] = ["high"]
            elif n >= 90:
                document["segments"] = []
                document["metadata"].pop("segments")
            listed = "".join(f"\x1f{one}\x1f" for one in document["segments"])
            row = (msgspec.json.encode(document).decode(), listed, id)
            connection.execute("UPDATE profiles SET doc = ?, segments = ? WHERE id = ?", row)
    connection.close()


def _checks(at: Site) -> list[Progress]:
    return [at.runs.progress(run.id) for run in at.runs.recent() if run.kind == "check"]
