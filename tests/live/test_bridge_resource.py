"""Bridges over REST: created, watched, paused, tried, rewound, rolled back; shared by processes that die."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from bridges.registry import MODULES
from schemas.bridges import Keys
from tests.kafka_tools import eventually
from tests.live.bridge_site import Process, Site, site
from tests.servers.running import Own, own
from tests.sources.kafka import KafkaSource

MAPPING = {"profile": "who", "event": {"type": "'counted'", "properties": {"n": "n"}}}
NOWHERE = "127.0.0.1:1"
PASSWORD = "tr0ub4dor-and-3"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def hub(kafka: str, valkey: Own, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An API, a collector and one bridge process, for the tests that kill nothing."""
    with site(kafka, f"t{secrets.token_hex(6)}", valkey.url, tmp_path_factory.mktemp("hub")) as made:
        made.put("source", "shop", {})
        made.start("collector")
        made.start("bridges")
        yield made


@pytest.fixture
def alone(kafka: str, namespace: str, valkey: Own, tmp_path: Path) -> Iterator[Site]:
    """An API of the test's own."""
    with site(kafka, namespace, valkey.url, tmp_path) as made:
        made.put("source", "shop", {})
        yield made


def body(number: int) -> bytes:
    return json.dumps({"n": number, "who": f"p{number % 5}"}).encode()


@pytest.fixture
def topic(kafka: str) -> KafkaSource:
    return KafkaSource(kafka, f"source.{secrets.token_hex(6)}")


@pytest.mark.slow
def test_one_that_cannot_be_reached_is_failed_also_while_it_tries_again(hub: Site) -> None:
    hub.put("bridge", "away", {"type": "kafka", "source": "shop", "settings": {"bootstrap": NOWHERE, "topics": "t"}})

    def entered(state: str) -> int:
        return sum(f"bridge.{state}" in line and "bridge=away" in line for line in hub.logs().splitlines())

    eventually(lambda: entered("failed") >= 2)
    assert entered("starting") == 1
    told = hub.get("/bridges/away")
    page = eventually(lambda: (page := hub.get("/overview"))["bridges"]["worst"] and page)
    (worst,) = (one for one in page["bridges"]["worst"] if one["id"] == "away")
    assert told["state"] == worst["state"] == "failed"
    assert NOWHERE in told["last_error"]
    assert NOWHERE in worst["error"]
    hub.http.delete("/definitions/bridge/away")


def spec(queue: KafkaSource, **changes: Any) -> dict[str, Any]:
    return {"type": "kafka", "source": "shop", "settings": queue.settings, "mapping": MAPPING, **changes}


def nowhere(**changes: Any) -> dict[str, Any]:
    settings = {"bootstrap": NOWHERE, "topics": "t"}
    return {"type": "kafka", "source": "shop", "settings": settings, "mapping": MAPPING, **changes}


def fresh() -> str:
    return f"b-{secrets.token_hex(4)}"


def stored(hub: Site, query: str = "") -> int:
    count: int = hub.get("/events/count", q=query)["count"]
    return count


def test_a_bridge_from_its_put_to_its_pause(hub: Site, topic: KafkaSource) -> None:
    id = fresh()
    topic.put([body(n) for n in range(100)])
    version = hub.put("bridge", id, spec(topic, rate_limit=5_000))["version"]
    running = hub.until(id, state="running", forwarded=100, lag=0)
    assert (running["type"], running["source"], running["version"], running["running_version"]) == (
        "kafka",
        "shop",
        version,
        version,
    )
    assert running["received"] == 100
    assert (running["refused"], running["in_flight"], running["last_error"]) == (0, 0, None)
    assert running["rate"] > 0
    assert running["last_message_at"] > running["started_at"]
    assert [part["lag"] for part in running["parts"]] == [0]
    assert running["parts"][0]["position"].endswith("/0/99")
    assert id in [item["id"] for item in hub.get("/bridges")["items"]]

    paused = hub.post(f"/bridges/{id}/pause")
    assert (paused["state"], paused["enabled"], paused["process"]) == ("paused", False, None)
    assert hub.get(f"/definitions/bridge/{id}")["spec"]["enabled"] is False
    assert hub.post(f"/bridges/{id}/pause")["version"] == paused["version"]  # once is enough
    topic.put([body(n) for n in range(100, 150)])
    resumed = hub.post(f"/bridges/{id}/resume")
    assert resumed["version"] > paused["version"]
    hub.until(id, state="running", forwarded=50)
    assert hub.get(f"/bridges/{id}")["received"] == 50  # none of the first hundred again


def test_a_poison_message_is_counted_and_the_others_go_on(hub: Site, topic: KafkaSource) -> None:
    id = fresh()
    topic.put([body(1), b"\xff no json", body(2)])
    hub.put("bridge", id, spec(topic))
    assert hub.until(id, forwarded=3)["refused"] == 1


def test_rewound_to_the_beginning_everything_comes_again_and_nothing_is_doubled(hub: Site, topic: KafkaSource) -> None:
    id = fresh()
    hub.put("source", id, {})
    topic.put([body(n) for n in range(40)])
    hub.put("bridge", id, spec(topic, source=id))
    hub.until(id, state="running", forwarded=40)
    eventually(lambda: stored(hub, f'source.id = "{id}"') == 40)
    assert hub.get(f"/bridges/{id}")["rewinds_to"] == ["beginning", "offset", "time"]

    def duplicates() -> int:
        rows = [row for row in hub.get("/balance")["sources"] if row["source"] == id]
        return sum(row["duplicate"] for row in rows)

    hub.post(f"/bridges/{id}/rewind", {"to": "beginning"})
    eventually(lambda: duplicates() == 40)
    assert stored(hub, f'source.id = "{id}"') == 40

    # of a paused one as well, to an offset; it stays paused
    hub.post(f"/bridges/{id}/pause")
    assert hub.post(f"/bridges/{id}/rewind", {"to": f"{topic.topic}/0/30"})["state"] == "paused"
    version = hub.post(f"/bridges/{id}/start")["version"]
    before = hub.until(id, running_version=version, forwarded=10)
    # and to a time that has not come: only what is new
    hub.post(f"/bridges/{id}/rewind", {"to": "2999-01-01T00:00:00Z"})
    topic.put([body(40)])
    hub.until(id, started_at=lambda at: at > before["started_at"], forwarded=1)
    eventually(lambda: stored(hub, f'source.id = "{id}"') == 41)
    assert duplicates() == 50


def test_a_trial_shows_what_becomes_of_each_message_and_takes_none(hub: Site, topic: KafkaSource) -> None:
    id = fresh()
    topic.put([body(1), b"no json", b'{"n": 2}'])
    hub.put("bridge", id, spec(topic, enabled=False))
    first, second, third = hub.post(f"/bridges/{id}/test")["messages"]
    assert first["payload"]["events"][0]["type"] == "counted"
    assert first["body"] == body(1).decode()
    assert first["position"].endswith("/0/0")
    assert first["time"].endswith("Z")
    assert first["meta"]["headers"] == {"h": "v"}
    assert second["refused"]["reason"] == "not_json"
    assert "payload" not in second
    assert third["payload"]["events"][0]["properties"] == {"n": 2}
    assert "profile" not in third["payload"]

    # one that is not saved; with another mapping
    other = spec(topic, mapping={"event": {"type": "no_such_field"}})
    tried = hub.post(f"/bridges/{fresh()}/test", {"definition": other, "messages": 1})
    assert tried["ok"] is True
    assert [message["refused"]["reason"] for message in tried["messages"]] == ["mapping_failed"]

    # nothing was consumed: it all comes when the bridge starts
    hub.post(f"/bridges/{id}/start")
    hub.until(id, forwarded=3)


def test_every_type_says_what_its_settings_are(hub: Site) -> None:
    bridges = {one["type"]: one for one in hub.get("/bridges/types")["items"]}
    assert bridges.keys() >= {*MODULES}
    settings = bridges["rabbitmq"]["settings"]
    assert settings["required"] == ["url", "queues"]
    assert settings["properties"]["queues"]["description"]
    secret = {name for name, field in settings["properties"].items() if field.get("format") == "password"}
    assert secret == {"password"}
    assert (bridges["webhook"]["brought"], bridges["kafka"]["brought"]) == (True, False)
    assert "offset" in bridges["kafka"]["rewinds_to"]
    destinations = {one["type"]: one for one in hub.get("/destinations/types")["items"]}
    assert destinations["http"]["settings"]["required"] == ["url"]


def test_a_trial_that_fails_says_what_to_do(hub: Site) -> None:
    tried = hub.post(f"/bridges/{fresh()}/test", {"definition": nowhere()})
    assert tried["ok"] is False
    assert tried["error"]["state"] == "failed"
    assert NOWHERE in tried["error"]["cause"]
    assert "reached from the bridge process" in tried["error"]["mend"]
    variable = nowhere(settings={"bootstrap": NOWHERE, "topics": "t", "options": {"sasl.password": "env:NOT_THERE"}})
    tried = hub.post(f"/bridges/{fresh()}/test", {"definition": variable})
    assert "NOT_THERE" in tried["error"]["cause"]


def test_a_broken_bridge_says_why_and_is_tried_at_once_when_it_is_started(hub: Site, topic: KafkaSource) -> None:
    """Also one that the stop rule has stopped, whose definition has not changed."""
    id = fresh()
    topic.put([b"no json"] * 3_000)
    version = hub.put("bridge", id, spec(topic))["version"]
    failed = hub.until(id, state="failed")
    assert "of the last" in failed["last_error"]
    before = hub.until(id, refused=1)["refused"]
    started = hub.post(f"/bridges/{id}/start")
    assert started["version"] == version
    assert hub.until(id, refused=before + 1)["refused"] > before


def test_the_command_does_the_same(hub: Site, topic: KafkaSource, tmp_path: Path) -> None:
    id = fresh()
    topic.put([body(1), b"no json", body(2)])
    file = tmp_path / "orders.json"
    file.write_text(json.dumps(spec(topic, enabled=False)))
    assert hub.command("bridge", "put", id, file).startswith(f"{id} is saved; this is version ")
    tried = hub.command("bridge", "test", id, code=1)
    assert f"  message: {body(1).decode()}\n  payload: {{" in tried
    assert "  refused: not_json: " in tried
    broken = spec(topic, settings={**topic.settings, "options": {"sasl.password": "env:NOT_THERE"}})
    file.write_text(json.dumps(broken))
    failed = hub.command("bridge", "test", id, "--definition", file, code=1)
    assert re.search("^failed: .*NOT_THERE.*\nwhat to do: ", failed)
    assert "state            paused\n" not in hub.command("bridge", "start", id)
    hub.until(id, state="running", forwarded=3)
    assert f"│ {id} │ kafka │ running │" in hub.command("bridge", "list")
    assert "state            paused\n" in hub.command("bridge", "pause", id)
    assert "no bridge with this id" in hub.command("bridge", "show", "nobody", code=2)


def test_every_version_is_kept_and_can_be_had_back(hub: Site) -> None:
    id = fresh()
    first = hub.put("bridge", id, nowhere(name="one", enabled=False))
    second = hub.put("bridge", id, nowhere(name="two", enabled=False), 200)
    assert hub.http.delete(f"/definitions/bridge/{id}").status_code == 204
    items = hub.get(f"/definitions/bridge/{id}/versions")["items"]
    assert [item["spec"] and item["spec"]["name"] for item in items] == [None, "two", "one"]
    assert [item["current"] for item in items] == [False, False, False]
    one = hub.get(f"/definitions/bridge/{id}/versions/{first['version']}")
    assert one["spec"]["name"] == "one"
    page = hub.get(f"/definitions/bridge/{id}/versions", size=1)
    page = hub.get(f"/definitions/bridge/{id}/versions", size=1, cursor=page["next"])
    assert page["items"][0]["version"] == second["version"]

    back = hub.post(f"/definitions/bridge/{id}/rollback", {"version": first["version"]}, 201)
    assert back["spec"] == first["spec"]
    assert hub.get(f"/bridges/{id}")["name"] == "one"
    newest = hub.get(f"/definitions/bridge/{id}/versions")["items"][0]
    assert (newest["version"], newest["current"]) == (back["version"], True)
    # somebody else was faster
    hub.post(
        f"/definitions/bridge/{id}/rollback", {"version": second["version"]}, 409, **{"If-Match": str(first["version"])}
    )
    hub.post(f"/definitions/bridge/{id}/rollback", {"version": items[0]["version"]}, 422)
    hub.post(f"/definitions/bridge/{id}/rollback", {"version": 999_999}, 404)
    hub.post(f"/definitions/bridge/{id}/rollback", {"version": "x"}, 422)
    hub.get("/definitions/bridge/never-there/versions", 404)
    hub.get(f"/definitions/bridge/{id}/versions/{2**63}", 422)
    assert "less than" in hub.get(f"/definitions/bridge/{id}/versions", 422, cursor=2**63)["detail"]
    hub.get(f"/definitions/bridge/{id}/versions/999999", 404)


def test_a_secret_is_sealed_and_never_shown(hub: Site, valkey: Own, topic: KafkaSource) -> None:
    id = fresh()
    topic.put([body(1)])

    def with_password(password: str) -> dict[str, Any]:
        # no use without SASL, but it has to be opened all the same
        return spec(topic, settings={**topic.settings, "options": {"sasl.username": "ann", "sasl.password": password}})

    def shown(document: dict[str, Any]) -> str:
        password: str = document["spec"]["settings"]["options"]["sasl.password"]
        return password

    put = hub.put("bridge", id, with_password(PASSWORD))
    assert shown(put) == "sealed"
    assert shown(hub.get(f"/definitions/bridge/{id}")) == "sealed"
    hub.until(id, state="running", forwarded=1)
    # what was read can be sent back
    sent_back = {**put["spec"], "name": "renamed"}
    second = hub.put("bridge", id, sent_back, 200)
    assert shown(second) == "sealed"
    hub.until(id, state="running", running_version=second["version"])
    assert hub.post(f"/bridges/{id}/test", {"definition": sent_back})["ok"] is True
    versions = hub.get(f"/definitions/bridge/{id}/versions")
    assert [shown(item) for item in versions["items"]] == ["sealed", "sealed"]
    back = hub.post(f"/definitions/bridge/{id}/rollback", {"version": put["version"]})
    hub.until(id, state="running", running_version=back["version"])
    assert shown(hub.put("bridge", id, with_password("env:SHOP_PASSWORD"), 200)) == "env:SHOP_PASSWORD"
    assert "SHOP_PASSWORD" in hub.until(id, state="failed")["last_error"]
    # neither a placeholder without anything behind it, nor somebody else's sealed text
    hub.put("bridge", fresh(), with_password("sealed"), 422)
    hub.put("bridge", fresh(), with_password("sealed:0:abcd"), 422)

    everything = [hub.get("/definitions/bridge"), hub.get("/bridges"), versions, hub.get(f"/bridges/{id}")]
    assert PASSWORD not in json.dumps(everything)
    assert PASSWORD not in hub.logs()
    files = [path for folder in (hub.folder, valkey.home) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("/bridges/not-there/start", {}, 404),
        ("/bridges/not-there/pause", {}, 404),
        ("/bridges/not-there/test", {}, 404),
        ("/bridges/not-there/rewind", {"to": "beginning"}, 404),
        ("/bridges/not-there/rewind", {"to": "2026-99-01"}, 422),
        ("/bridges/not-there/rewind", {"to": ""}, 422),
        ("/bridges/not-there/rewind", {"to": {}}, 422),
        ("/bridges/not-there/rewind", {}, 422),
        ("/bridges/not-there/test", {"messages": 0}, 422),
        ("/bridges/not-there/test", {"definition": {"type": "kafka"}}, 422),
        ("/bridges/not-there/test", {"definition": {"type": "pigeon", "source": "shop"}}, 422),
    ],
)
def test_what_cannot_be_is_refused(hub: Site, path: str, given: dict[str, Any], status: int) -> None:
    problem = hub.post(path, given, status)
    assert problem["detail"]


def test_a_rewind_to_where_there_is_nothing_is_refused(hub: Site, topic: KafkaSource) -> None:
    id = fresh()
    hub.put("bridge", id, spec(topic))
    hub.until(id, state="running")
    assert "no offset" in hub.post(f"/bridges/{id}/rewind", {"to": "some/where"}, 422)["detail"]
    hub.until(id, state="running")  # and it goes on


def test_without_a_bridge_process_the_api_says_so(alone: Site) -> None:
    alone.put("bridge", "b", nowhere())
    seen = alone.get("/bridges/b")
    assert seen["state"] == "unassigned"
    assert "hub bridges" in seen["hint"]
    assert f"\nb: {seen['hint']}\n" in alone.command("bridge", "list")
    for path, given in (("/bridges/b/test", {}), ("/bridges/b/rewind", {"to": "beginning"})):
        problem = alone.post(path, given, 503)
        assert problem["port"] == "bridges"
        assert "start `hub bridges`" in problem["detail"]
    assert alone.post("/bridges/b/pause")["state"] == "paused"
    assert alone.post("/bridges/b/start")["state"] == "unassigned"


@pytest.mark.slow
def test_without_redis_one_process_runs_everything_and_the_api_says_what_it_does_not_know(
    kafka: str, namespace: str, tmp_path: Path, topic: KafkaSource
) -> None:
    with site(kafka, namespace, "", tmp_path) as hub:
        assert hub.command("bridge", "list") == "no bridges yet: `hub bridge put ID FILE` saves one\n"
        assert hub.command("flow", "list").startswith("no flows yet: `hub flow put ID FILE`")
        assert hub.command("flow", "runs") == "no flow has run yet\n"
        assert hub.command("key", "list").startswith("no keys yet, ")
        assert hub.command("dead-letters", "list") == "there are no dead letters\n"
        assert hub.command("tasks", "--state", "failed") == "no tasks match\n"
        assert hub.command("privacy", "report") == "nobody was erased or suppressed\n"
        hub.put("source", "shop", {})
        hub.put("bridge", "b", spec(topic))
        process = hub.start("bridges")
        eventually(lambda: process.runs() == {"b"})
        seen = hub.get("/bridges/b")
        assert seen["state"] == "unknown"
        assert "HUB_REDIS__URL" in seen["hint"]
        assert "HUB_REDIS__URL" in hub.post("/bridges/b/test", {}, 503)["detail"]
        hub.post("/bridges/b/pause")
        eventually(lambda: process.runs() == set())


def shares(*processes: Process) -> list[int]:
    return sorted(len(process.runs()) for process in processes)


def together(*processes: Process) -> set[str]:
    return set().union(*(process.runs() for process in processes))


@pytest.mark.slow
def test_processes_share_the_bridges_and_one_takes_over_from_another(alone: Site, kafka: str) -> None:
    ids = {f"b{number}" for number in range(4)}
    sources = {id: KafkaSource(kafka, f"{alone.namespace}.{id}") for id in ids}
    for id, source in sources.items():
        alone.put("bridge", id, spec(source))
    first = alone.start("bridges")
    eventually(lambda: first.runs() == ids)
    second = alone.start("bridges")
    eventually(lambda: shares(first, second) == [2, 2] and together(first, second) == ids)

    alone.post("/bridges/b0/pause")
    eventually(lambda: together(first, second) == ids - {"b0"})
    orphans = second.runs()
    assert orphans
    second.kill()
    # the leases run out after 5 s, and the next beat takes them
    eventually(lambda: first.runs() == ids - {"b0"}, 7.0)
    assert alone.get("/bridges/b0")["state"] == "paused"
    for id in orphans:
        sources[id].put([body(1)])
        alone.until(id, forwarded=1)

    # a clean stop hands over without waiting for anything
    third = alone.start("bridges")
    eventually(lambda: len(third.runs()) >= 1)
    assert first.stop() == 0
    eventually(lambda: third.runs() == ids - {"b0"})
    assert alone.post("/bridges/b0/start")["enabled"] is True
    alone.until("b0", state="running")


@pytest.mark.slow
def test_when_redis_is_restarted_the_bridges_go_on(
    kafka: str, namespace: str, tmp_path: Path, topic: KafkaSource
) -> None:
    with own("valkey", tmp_path / "valkey") as server, site(kafka, namespace, server.url, tmp_path) as hub:
        hub.put("source", "shop", {})
        hub.put("bridge", "b", spec(topic))
        process = hub.start("bridges")
        hub.until("b", state="running")
        server.kill()
        eventually(lambda: process.ready()["trouble"])
        assert "HUB_REDIS__URL" in process.ready()["trouble"][0]
        seen = hub.get("/bridges/b")
        assert (seen["state"], "Redis" in seen["hint"]) == ("unknown", True)
        assert hub.post("/bridges/b/test", {}, 503)["port"] == "redis"
        topic.put([body(1)])  # it keeps what it has
        eventually(lambda: process.ready()["bridges"][0]["forwarded"] == 1)
        server.start()
        hub.until("b", state="running", forwarded=1)
        eventually(lambda: not process.ready()["trouble"])
        assert process.ready()["bridges"][0]["version"] == hub.get("/bridges/b")["version"]


@pytest.mark.slow
def test_whoever_has_lost_a_lease_stops_that_bridge(alone: Site, valkey: Own, topic: KafkaSource) -> None:
    """As after a process was frozen, or cut off from Redis, for longer than a lease lasts."""
    alone.put("bridge", "b", spec(topic))
    process = alone.start("bridges")
    eventually(lambda: process.runs() == {"b"})
    lease = Keys(alone.namespace).lease("b")
    with closing(Redis.from_url(valkey.url)) as redis:
        redis.set(lease, "another process", px=60_000)
        eventually(lambda: process.runs() == set())
        redis.delete(lease)
        eventually(lambda: process.runs() == {"b"})
