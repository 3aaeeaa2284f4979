"""Runs of flows as users have them: real Kafka, real Valkey, agents that are killed in the middle."""

from __future__ import annotations

import io
import json
import secrets
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.log.admin import ensure_topics
from hub.settings import Kafka
from schemas.codec import encode_trigger
from schemas.flows import KIND, FlowOrder, encode_order
from schemas.records import Trigger
from schemas.topics import TRIGGERS
from tests.factories import event, track
from tests.kafka_tools import eventually, write, write_events
from tests.live.bridge_site import Process, Site
from tests.servers.running import Own, own

GIFT: dict[str, Any] = {
    "triggers": [{"type": "event", "event_type": "purchase"}],
    "nodes": {
        "start": {"type": "start", "to": {"out": ["more", "say"]}},
        "more": {
            "type": "increment",
            "config": {"field": "stats.gifts", "by": "event@properties.n"},
            "to": {"out": "in"},
        },
        "in": {"type": "add-to-segment", "config": {"segments": ["givers"]}},
        "say": {"type": "raise-event", "config": {"event_type": "given", "properties": {"n": "event@properties.n"}}},
    },
}


class Hub(Site):
    """A site with flows; its topics have three partitions."""

    def __init__(self, kafka: str, namespace: str, redis_url: str, folder: Path) -> None:
        ensure_topics(Kafka(bootstrap=kafka, partitions=3), namespace)
        super().__init__(kafka, namespace, redis_url, folder)

    def agents(self) -> Process:
        """An agents process, which has the partitions of the one before at once."""
        return self.start("agents", HUB_AGENTS__INSTANCE="one")

    def send(self, begin: int, number: int, people: int, type: str = "purchase") -> None:
        """Events `e<n>` with `n`, of `p<n modulo people>`."""
        now_ms = time.time_ns() // 1_000_000
        offset = self.version
        write_events(
            self.kafka,
            self.namespace,
            (
                track(
                    f"p{n % people}",
                    event(f"e{n}", type, time_ms=now_ms, n=n),
                    received_at_ms=now_ms,
                    definitions_offset=offset,
                )
                for n in range(begin, begin + number)
            ),
        )

    def deploy(self, id: str, spec: dict[str, Any]) -> None:
        """A flow, which each event that is sent from now on can let run."""
        self.version = self.put("flow", id, spec)["version"]

    def count(self, kind: str, query: str) -> int:
        return int(self.get(f"/{kind}/count", q=query)["count"])

    def runs(self, **query: Any) -> list[dict[str, Any]]:
        """All of them, newest first."""
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            page = self.get("/runs", size=100, **query, **more)
            found += page["items"]
            if page["next"] is None:
                return found
            more = {"cursor": page["next"]}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@contextmanager
def running(kafka: str, valkey: Own, folder: Path) -> Iterator[Hub]:
    """With a collector."""
    with closing(Hub(kafka, f"t{secrets.token_hex(6)}", valkey.url, folder)) as made:
        try:
            made.put("source", "shop", {})
            made.put("segment", "givers", {"name": "Givers"})
            made.start("collector")
            yield made
        except BaseException:
            print(made.logs())
            raise


@pytest.fixture
def hub(kafka: str, valkey: Own, tmp_path: Path) -> Iterator[Hub]:
    with running(kafka, valkey, tmp_path) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [2, pytest.param(8, marks=pytest.mark.long)])
def test_agents_that_are_killed_do_all_that_a_flow_wants_once(hub: Hub, kills: int) -> None:
    """Each profile's number is exact, each event is raised once, everybody is in the segment."""
    events, people = 320, 20
    hub.deploy("gift", GIFT)
    agents = hub.agents()
    share = events // (kills + 1)
    for part in range(kills + 1):
        begin = part * share
        hub.send(begin, share if part < kills else events - begin, people)
        if part < kills:
            # in the middle of these: it may die anywhere
            eventually(lambda begin=begin: hub.count("events", "type = given") > begin)
            agents.kill()
            agents = hub.agents()
    eventually(lambda: hub.count("events", "type = given") == events, 60)
    eventually(lambda: len(hub.runs(state="done")) == events, 60)
    eventually(lambda: hub.get("/balance")["totals"]["in_flight"] == 0)
    assert hub.get("/balance")["balanced"]
    for person in range(people):
        profile = hub.get(f"/profiles/p{person}")
        assert profile["stats"]["gifts"] == sum(range(person, events, people)), profile
        assert profile["segments"] == ["givers"]
    raised = hub.get("/events", q="type = given", size=1_000)["items"]
    assert sorted(one["properties"]["n"] for one in raised) == list(range(events))
    assert {one["source"]["id"] for one in raised} == {"@flow"}
    assert hub.runs(state="waiting") == []


@pytest.mark.slow
def test_a_trigger_at_fault_holds_up_nobody(hub: Hub) -> None:
    hub.deploy("gift", GIFT)
    hub.agents()
    order = encode_order(FlowOrder(hub.version, "2020-01"))
    gone: Trigger = {
        "id": "t1",
        "kind": KIND,
        "target": "gift",
        "profile_id": "nobody",
        "event_id": "nothing",
        "at_ms": 1,
        "data": order,
    }
    topic = TRIGGERS.name(hub.namespace)
    bad = [b"no trigger", encode_trigger({**gone, "data": b"no order"}), encode_trigger(gone)]
    write(hub.kafka, topic, [(b"k%d" % n, value) for n in range(10) for value in bad])
    hub.send(0, 20, 5)
    eventually(lambda: hub.count("events", "type = given") == 20)
    eventually(lambda: hub.count("dead-letters", "reason = undecodable_record") == 20)
    assert len(hub.runs()) == 20


def test_what_runs_have_done_can_be_looked_at_and_ended(hub: Hub) -> None:
    hub.deploy("gift", GIFT)
    wait = {"type": "pause", "config": {"wait": "1d", "event_type": "order"}}
    nodes = {"start": {"type": "start", "to": {"out": "wait"}}, "wait": wait}
    hub.deploy("late", {"triggers": GIFT["triggers"], "nodes": nodes})
    hub.agents()
    hub.send(0, 3, 3)
    eventually(lambda: len(hub.runs(state="done")) == 3)
    eventually(lambda: len(hub.runs(state="paused")) == 3)
    assert {run["flow"] for run in hub.runs(profile="p1")} == {"gift", "late"}
    (run,) = hub.get("/flows/gift/runs", profile="p1")["items"]
    assert (run["profile"], run["event"], run["trigger"]["kind"]) == ("p1", "e1", "event")
    whole = hub.get(f"/runs/{run['id']}")
    assert {step["node"]: step["port"] for leg in whole["legs"] for step in leg["steps"]} == {
        "start": "out",
        "more": "out",
        "in": "out",
        "say": "out",
    }
    triggered = hub.get("/events/e1/trace")["flows"]["triggered"]
    assert {one["run"] for one in triggered} == {one["id"] for one in hub.runs(profile="p1")}
    (paused,) = hub.get("/flows/late/runs", profile="p1")["items"]
    assert [(one["node"], one["event_type"]) for one in paused["pauses"]] == [("wait", "order")]
    assert hub.post(f"/runs/{paused['id']}/cancel")["state"] == "cancelled"
    assert hub.get(f"/runs/{paused['id']}")["due_at"] is None
    assert hub.command("flow", "cancel", run["id"]) == f"{run['id']} is done\n"
    hub.get("/runs/nothing", status=404)
    hub.get("/runs", status=422, cursor="x")
    assert "change-field" in hub.command("flow", "trace", run["id"])
    listed = hub.command("flow", "runs", "gift", "--profile", "p1")
    assert run["id"] in listed
    assert "late" not in listed
    assert "cancelled" not in hub.command("flow", "runs", "--state", "done", "--json")
    archive = hub.http.get("/profiles/p1/export")
    with zipfile.ZipFile(io.BytesIO(archive.content)) as file:
        told = [json.loads(line) for line in file.read("flow-runs.ndjson").splitlines()]
    assert [one["id"] for one in told] == [one["id"] for one in hub.runs(profile="p1")]
    hub.post("/profiles/p1/erase", {}, status=202)
    eventually(lambda: hub.runs(profile="p1") == [])
    assert len(hub.runs()) == 4
