"""Flows for many profiles as users have them: real Kafka, Valkey, collector, agents and worker, some of them killed."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from hub.log.admin import ensure_topics
from hub.settings import Kafka
from hub.store.factory import open_store
from hub.task import OVER
from tests import stores
from tests.factories import event, track
from tests.kafka_tools import eventually, write_events
from tests.live.bridge_site import Process, Site
from tests.live.segment_site import MAPPING
from tests.servers.running import Own, own

WITHIN_S = 120.0
PEOPLE = 2_000


class Hub(Site):
    """A site with PEOPLE profiles, `traits.n` of each another number; its topics have three partitions."""

    def __init__(self, kafka: str, valkey: Own, folder: Path) -> None:
        namespace = f"t{secrets.token_hex(6)}"
        ensure_topics(Kafka(bootstrap=kafka, partitions=3), namespace)
        super().__init__(kafka, namespace, valkey.url, folder)
        self.valkey = valkey
        self.put("source", "shop", {})
        self.put("mapping", "n", MAPPING)
        self.put("segment", "often", {"name": "Often"})
        self.start("collector")
        now_ms = time.time_ns() // 1_000_000
        records = (
            track(f"p{n:05}", event(f"e{n}", "sign-in", time_ms=now_ms, n=n), received_at_ms=now_ms)
            for n in range(PEOPLE)
        )
        write_events(self.kafka, namespace, records)
        self.store = open_store(stores.store_url(folder, namespace))
        eventually(lambda: self.store.count("profiles", "traits.n >= 0") == PEOPLE, WITHIN_S)
        self.agents, self.worker = self.start("agents"), self.start("worker")

    def close(self) -> None:
        super().close()
        self.store.close()

    def again(self, process: Process) -> Process:
        """Killed, and started again."""
        process.kill()
        return self.start("agents" if process is self.agents else "worker")

    def tasks(self, flow: str) -> list[dict[str, Any]]:
        """The oldest first."""
        items = self.get("/tasks", kind="run-flow", size=1_000)["items"]
        return [one for one in reversed(items) if one["arguments"]["flow"] == flow]

    def begun(self, id: str) -> bool:
        """Whether a task has a part of its work behind it, and a part before it."""
        found = self.get(f"/tasks/{id}")
        assert found["state"] not in OVER, "it was done before it could be killed"
        return bool(found["progress"]["done"])

    def over(self, id: str) -> dict[str, Any] | None:
        found: dict[str, Any] = self.get(f"/tasks/{id}")
        return found if found["state"] in OVER else None

    def settled(self) -> None:
        """All that was sent is stored."""

        def look() -> bool:
            sheet = self.get("/balance")
            return not sheet["totals"]["in_flight"] and sheet["balanced"]

        eventually(look, WITHIN_S)

    def traits(self, name: str) -> Counter[Any]:
        """How many profiles have each value."""
        found, after = Counter[Any](), ""
        while page := self.store.profiles_after(after, 1_000):
            found.update(msgspec.json.decode(document)["traits"].get(name) for _, document in page)
            after = page[-1][0]
        return found


@pytest.fixture(scope="module")
def hub(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    with own("valkey", folder / "valkey") as valkey, closing(Hub(kafka, valkey, folder)) as made:
        try:
            yield made
        except BaseException:
            print(made.logs())
            raise


def counting(field: str, by: int = 1) -> dict[str, Any]:
    """Nodes of a flow that counts its runs, and lets those with traits.n from 500 on into a segment at the second."""
    condition = f"profile@{field} >= 2 AND profile@traits.n >= 500"
    return {
        "start": {"type": "start", "to": {"out": "count"}},
        "count": {"type": "increment", "config": {"field": field, "by": by}, "to": {"out": "judge"}},
        "judge": {"type": "segment-by-condition", "config": {"segment": "often", "condition": condition}},
    }


@pytest.mark.long
@pytest.mark.timeout(600)
def test_each_profile_is_counted_once_a_tick_whoever_dies(hub: Hub) -> None:
    """A flow with a schedule decides a segment; worker and agents are killed, Valkey is killed and emptied."""
    flow = {"triggers": [{"type": "schedule", "every": "3s"}], "nodes": counting("traits.ticks")}
    version = hub.put("flow", "ticks", flow)["version"]
    first = eventually(lambda: next(iter(hub.tasks("ticks")), None), WITHIN_S)
    assert first is not None
    eventually(lambda: hub.begun(first["id"]), WITHIN_S)
    hub.worker = hub.again(hub.worker)
    hub.agents = hub.again(hub.agents)
    eventually(lambda: hub.over(first["id"]), WITHIN_S)
    second = eventually(lambda: next(iter(hub.tasks("ticks")[1:]), None), WITHIN_S)
    assert second is not None
    eventually(lambda: hub.begun(second["id"]), WITHIN_S)
    hub.valkey.kill()
    hub.valkey.start()
    with closing(Redis.from_url(hub.valkey.url)) as redis:
        redis.flushall()
    eventually(lambda: hub.over(second["id"]), WITHIN_S)
    hub.put("flow", "ticks", {**flow, "triggers": [{"type": "schedule", "every": "52w"}]}, 200)
    eventually(lambda: all(hub.over(one["id"]) for one in hub.tasks("ticks")), WITHIN_S)
    hub.settled()

    tasks = hub.tasks("ticks")
    assert {(one["state"], one["arguments"]["version"], one["by"]) for one in tasks} == {("done", version, "schedule")}
    assert len({one["arguments"]["at_ms"] for one in tasks}) == len(tasks) >= 2
    assert [one["counts"]["runs_done"] for one in tasks] == [PEOPLE] * len(tasks)
    assert hub.traits("ticks") == {len(tasks): PEOPLE}

    shown = hub.get("/segments/often")
    assert (shown["size"], shown["flows"]) == (PEOPLE - 500, ["ticks"])
    found = hub.post("/segments/preview", {"segment": "often", "profile": "p01234", "size": 1})
    member = found["profile"]["membership"]
    assert (found["count"], found["profile"]["matches"], found["flows"]) == (PEOPLE - 500, True, ["ticks"])
    assert (member["by"], member["flow"], member["version"]) == ("flow", "ticks", version)
    assert hub.store.flow_runs([member["run"]])[member["run"]].profile_id == "p01234"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_task_keeps_the_version_of_its_flow(hub: Hub) -> None:
    """It is changed in the middle, and the worker killed: all runs are of the version that was asked for."""
    manual = {"triggers": [{"type": "manual"}]}
    old = hub.put("flow", "once", {**manual, "nodes": counting("traits.once")})["version"]
    asked = hub.post("/flows/once/run", {"query": "traits.n >= 100", "id": "r1"}, 202)
    task = asked["task"]["id"]
    eventually(lambda: hub.begun(task), WITHIN_S)
    hub.worker.kill()
    new = hub.put("flow", "once", {**manual, "nodes": counting("traits.once", 1_000)}, 200)["version"]
    assert hub.post("/flows/once/run", {"query": "traits.n >= 100", "id": "r1"}, 202)["task"]["id"] == task
    hub.worker = hub.start("worker")
    done = eventually(lambda: hub.over(task), WITHIN_S)
    assert done is not None
    assert (done["state"], done["arguments"]["version"]) == ("done", old)
    hub.settled()
    assert hub.traits("once") == {1: PEOPLE - 100, None: 100}

    one = hub.post("/flows/once/run", {"profile": "p00000"}, 202)
    assert one["version"] == new
    eventually(lambda: hub.over(one["task"]["id"]), WITHIN_S)
    hub.settled()
    assert hub.traits("once") == {1: PEOPLE - 100, None: 99, 1_000: 1}
    assert hub.store.flow_runs([one["run"]])[one["run"]].state == "done"
