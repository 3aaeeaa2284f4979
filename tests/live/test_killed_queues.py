"""
Workers of four of the six queues (the others: test_tasks.py, test_paused_whole.py), killed ten times in the middle.

Valkey is killed twice, and emptied once. The effect is exactly that of a task that nobody has killed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from hub.imports.spec import ImportSpec
from hub.jobs.flow_runs import KIND as RUN_FLOW
from hub.jobs.flow_runs import RunFlow
from hub.migration.spec import TakeoverSpec
from hub.segments.timers import now_ms
from hub.task import OVER, Task, summed
from schemas.jobs import IMPORT, MIGRATION, PROPERTIES_TO_TRAITS, SEGMENTATION
from tests.factories import event, track
from tests.kafka_tools import eventually
from tests.live.collector import collector
from tests.live.killing import kill_again_and_again
from tests.live.segment_site import Site, site, worker
from tests.predecessor import SOURCE, installation, load
from tests.servers import running
from tests.takeover_model import Model

pytestmark = [pytest.mark.long, pytest.mark.timeout(3_000)]

KILLS = 10
WITHIN_S = 900.0


class Beaten:
    """A hub, and the Valkey that is killed with its workers."""

    def __init__(self, at: Site, valkey: running.Own) -> None:
        self.at, self.valkey = at, valkey

    def task(self, kind: str, queue: str, arguments: Mapping[str, Any], **variables: str) -> Mapping[str, int]:
        """Have it done, by whoever is left. Returns its counts."""
        store = self.at.store
        assert store.add_task(Task(id="t1", kind=kind, queue=queue, arguments=arguments, asked_ms=now_ms()))

        def over() -> bool:
            task = store.task("t1")
            return task is not None and task.state in OVER

        with worker(self.at, variables, queue=queue, options=("--processes", "2")) as one:
            boss = psutil.Process(one.process.pid)
            kill_again_and_again(self.valkey, boss, KILLS, done=lambda: summed(store.slices("t1")).done, over=over)
            eventually(over, WITHIN_S)
        task = store.task("t1")
        assert task is not None
        assert (task.state, task.error) == ("done", "")
        return summed(store.slices("t1")).counts


@pytest.fixture
def beaten(kafka: str, namespace: str, tmp_path: Path) -> Iterator[Beaten]:
    with (
        running.own("valkey", tmp_path / "valkey") as valkey,
        site(kafka, namespace, tmp_path, valkey.url) as at,
    ):
        yield Beaten(at, valkey)


@contextmanager
def stored(at: Site, events: int, profiles: int) -> Iterator[None]:
    """A collector, and that many events in the store."""
    began_ms = now_ms() - 10 * events
    with collector(at.kafka.bootstrap, at.namespace, at.folder):
        for begin in range(0, events, 5_000):
            at.send(
                *(
                    track(
                        f"p{number % profiles:05}",
                        event(f"e{number}", time_ms=began_ms + number, n=number % 97),
                        received_at_ms=now_ms(),
                    )
                    for number in range(begin, min(events, begin + 5_000))
                )
            )
        eventually(lambda: at.store.count("events", "") == events, WITHIN_S)
        yield


def test_index_fields_are_made_anew(beaten: Beaten) -> None:
    at, events = beaten.at, 40_000
    with stored(at, events, 100):
        at.define("event-type", "purchase", description="As bought", copied={"traits.amount": "properties.n"})
        counts = beaten.task("copy-properties-to-traits", PROPERTIES_TO_TRAITS, {}, HUB_TASKS__SLICE_EVENTS="2000")
        # a page that was done when its worker was killed is done again, and finds nothing to do
        assert counts.keys() <= {"indexed", "unchanged"}
        assert sum(counts.values()) == events
        found = {n: at.store.count("events", f"traits.amount = {n}") for n in range(97)}
    assert found == Counter(number % 97 for number in range(events))


def test_a_flow_runs_for_each_profile_once(beaten: Beaten) -> None:
    at, profiles = beaten.at, 25_000
    with stored(at, profiles, profiles):
        nodes = {
            "start": {"type": "start", "to": {"out": "count"}},
            "count": {"type": "increment", "config": {"field": "traits.runs"}},
        }
        version = at.define("flow", "f", triggers=[{"type": "manual"}], nodes=nodes)
        arguments = RunFlow(flow="f", version=version, at_ms=now_ms(), cause="test").model_dump(mode="json")
        counts = beaten.task(RUN_FLOW, SEGMENTATION, arguments)
        assert counts == {"runs_done": profiles}
        eventually(lambda: at.store.count("profiles", "traits.runs >= 1") == profiles, WITHIN_S)
        assert at.store.count("profiles", "traits.runs = 1") == profiles


def test_a_file_is_imported(beaten: Beaten, tmp_path: Path) -> None:
    at, rows, bad = beaten.at, 300_000, 1_000
    at.define("source", "shop", type=["bridge"])
    (tmp_path / "in").mkdir()
    lines = (f"{n},c{n % 97}\n" if (n + 1) % bad else f"{n}\n" for n in range(rows))
    (tmp_path / "in" / "orders.csv").write_text("n,customer\n" + "".join(lines))
    spec = ImportSpec(
        id="orders", location="orders.csv", source="shop", event_type="order", profile="customer", priority="live"
    )
    with collector(at.kafka.bootstrap, at.namespace, tmp_path):
        counts = beaten.task("import", IMPORT, spec.model_dump(mode="json"), HUB_IMPORTS__FOLDER=str(tmp_path / "in"))
        dead = rows // bad
        assert counts == {"read": rows, "sent": rows - dead, "dead": dead, "events": rows - dead}
        eventually(lambda: at.store.count("dead-letters", "") == dead, WITHIN_S)
        eventually(lambda: at.store.count("events", "type = order") == rows - dead, WITHIN_S)
        model = Counter(f"c{n % 97}" for n in range(rows) if (n + 1) % bad)
        found = {id: at.store.get("profiles", id) for id in model}
        assert {id: profile and profile["stats"]["events"] for id, profile in found.items()} == model


def test_an_installation_is_taken_over(beaten: Beaten, tmp_path: Path, shared_folder: Path) -> None:
    at = beaten.at
    at.define("source", SOURCE, type=["rest"])
    for segment in ("vip", "seen"):
        at.define("segment", segment)
    with (
        running.shared("elasticsearch", shared_folder / "elasticsearch") as cluster,
        collector(at.kafka.bootstrap, at.namespace, tmp_path),
    ):
        data = installation("082x", 2_000, tenant=at.namespace)
        load(cluster, data)
        model = Model(data)
        spec = TakeoverSpec(location=f"elasticsearch+{cluster}", tenant=at.namespace, priority="live")
        counts = beaten.task("take-over", MIGRATION, spec.model_dump(mode="json"))
        assert model.adds_up(dict(counts))
        eventually(lambda: model.is_level(at.store), WITHIN_S)
        model.check(at.store)
