"""Destinations over REST, in a hub as a user runs it: an API, a collector and a bridge process."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridges.signatures import Signed, standard
from tests.kafka_tools import eventually
from tests.live.bridge_site import Site, site
from tests.servers.running import Own, own
from tests.targets.http import NOWHERE, Answer, HttpServer, Received, server

KEY = b"correct horse battery"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as made:
        yield made


@pytest.fixture(scope="module")
def hub(kafka: str, valkey: Own, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(kafka, f"t{secrets.token_hex(6)}", valkey.url, tmp_path_factory.mktemp("hub")) as made:
        made.put("source", "shop", {})
        made.start("collector")
        made.start("bridges")
        yield made


@pytest.fixture
def crm() -> Iterator[HttpServer]:
    with server() as made:
        yield made


@pytest.fixture
def id(hub: Site) -> Iterator[str]:
    """Of a destination, deleted when the test has ended; its condition lets only this test's events through."""
    id = f"d-{secrets.token_hex(4)}"
    yield id
    hub.http.delete(f"/definitions/destination/{id}")


def spec(url: str, id: str, **changes: Any) -> dict[str, Any]:
    settings = {"url": url, **changes.pop("settings", {})}
    return {"type": "http", "settings": settings, "condition": f"type = {id}", **changes}


def track(hub: Site, id: str, *numbers: int) -> None:
    events = [{"type": id, "properties": {"number": number}} for number in numbers]
    hub.post("/track", {"source": {"id": "shop"}, "profile": {"id": f"of-{id}"}, "events": events})


def sent(crm: HttpServer, path: str = "properties") -> list[int]:
    return [json.loads(received.body)[path]["number"] for received in list(crm.taken)]


def until(hub: Site, id: str, **wanted: Any) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = hub.get(f"/destinations/{id}")
        return found if all(found[name] == value for name, value in wanted.items()) else None

    try:
        found = eventually(look)
    except AssertionError as exc:
        raise AssertionError(f"{id} is not {wanted}: {hub.get(f'/destinations/{id}')}") from exc
    assert found is not None
    return found


def test_what_matches_is_sent_as_the_mapping_has_it_and_signed(hub: Site, crm: HttpServer, id: str) -> None:
    definition = spec(
        crm.url,
        id,
        settings={"secret": SECRET, "headers": {"X-Api-Key": "hush-hush"}},
        mapping={"who": "profile.id", "paid": {"number": "properties.number"}, "version": "meta('profile_version')"},
    )
    shown = hub.put("destination", id, definition)
    assert shown["spec"]["settings"]["secret"] == "sealed"
    assert shown["spec"]["settings"]["headers"] == {"X-Api-Key": "sealed"}
    track(hub, "something-else", 1)
    track(hub, id, 1, 2, 3)
    found = until(hub, id, sent=3, lag=0)
    assert (found["state"], found["refused"], found["last_error"]) == ("running", 0, None)
    assert found["read"] >= 4
    assert sent(crm, "paid") == [1, 2, 3]
    events = {event["id"]: event for event in hub.get("/events", q=f"type = {id}")["items"]}
    check = standard([KEY], tolerance_s=60)
    for received in crm.taken:
        body = json.loads(received.body)
        assert body["who"] == f"of-{id}"
        assert body["version"] > 0
        assert received.headers["x-api-key"] == "hush-hush"
        assert received.headers["hub-event-id"] == received.headers["webhook-id"]
        assert received.headers["hub-event-id"] in events
        check(Signed(received.headers, [received.body], int(received.headers["webhook-timestamp"])))


@pytest.mark.slow
def test_a_dead_destination_delays_no_other(hub: Site, crm: HttpServer, id: str) -> None:
    hub.put("destination", f"{id}-dead", spec(NOWHERE, id))
    hub.put("destination", id, spec(crm.url, id))
    until(hub, f"{id}-dead", state="running")
    track(hub, id, *range(30))
    until(hub, id, sent=30)
    assert sent(crm) == list(range(30))
    dead = until(hub, f"{id}-dead", state="failed")
    assert dead["lag"] >= 30
    assert (dead["sent"], dead["refused"]) == (0, 0)
    assert "127.0.0.1:1" in dead["last_error"]
    # mended, it sends what has waited
    hub.put("destination", f"{id}-dead", spec(crm.url, id), status=200)
    until(hub, f"{id}-dead", sent=30, lag=0)
    hub.http.delete(f"/definitions/destination/{id}-dead")


def test_a_message_that_the_target_refuses_becomes_a_dead_letter_and_the_others_go_on(
    hub: Site, crm: HttpServer, id: str
) -> None:
    def decide(received: Received) -> Answer:
        number = json.loads(received.body)["properties"]["number"]
        return Answer(422, body=b"no such customer") if number == 3 else Answer()

    crm.decide = decide
    before = hub.get("/balance")["totals"]
    hub.put("destination", id, spec(crm.url, id))
    track(hub, id, *range(6))
    until(hub, id, sent=5, refused=1, state="running")
    assert sent(crm) == [0, 1, 2, 4, 5]
    [letter] = eventually(lambda: hub.get("/dead-letters", q="stage = destination AND reason = undeliverable")["items"])
    assert "422: no such customer" in letter["detail"]
    assert letter["source"] == "shop"
    assert letter["origin"].startswith(f"destination:{id}:")
    [event] = hub.get("/events", q=f"type = {id} AND properties.number = 3")["items"]
    assert letter["headers"]["hub-event-id"] == event["id"]
    assert hub.http.get(f"/dead-letters/{letter['id']}/body").json() == event
    # it was received and stored, and is counted as that alone
    after = eventually(lambda: _settled(hub))
    assert after["balanced"]
    assert after["totals"]["received"] == before["received"] + 6
    assert after["totals"]["dead"] == before["dead"]
    refused = hub.post(f"/dead-letters/{letter['id']}/replay", {}, status=422)
    assert "/destinations/{id}/rewind" in refused["detail"]
    assert id in refused["detail"]


def _settled(hub: Site) -> dict[str, Any] | None:
    found: dict[str, Any] = hub.get("/balance")
    return found if found["totals"]["in_flight"] == 0 else None


def test_paused_resumed_and_set_back(hub: Site, crm: HttpServer, id: str) -> None:
    hub.put("destination", id, spec(crm.url, id))
    track(hub, id, 1, 2)
    until(hub, id, sent=2)
    assert hub.post(f"/destinations/{id}/pause")["state"] == "paused"
    track(hub, id, 3)
    waiting = until(hub, id, lag=1)
    assert waiting["enabled"] is False
    assert sent(crm) == [1, 2]
    hub.post(f"/destinations/{id}/resume")
    until(hub, id, sent=1, lag=0)
    assert sent(crm) == [1, 2, 3]
    hub.post(f"/destinations/{id}/rewind", {"to": "beginning"})
    eventually(lambda: len(crm.taken) == 6)
    ids = [received.headers["hub-event-id"] for received in crm.taken]
    assert ids[:3] == ids[3:]


def test_a_rehearsal_shows_what_would_be_sent_and_sends_nothing(hub: Site, crm: HttpServer, id: str) -> None:
    track(hub, id, 1, 2)
    eventually(lambda: hub.get("/events/count", q=f"type = {id}")["count"] == 2)
    definition = spec(
        crm.url,
        id,
        condition=f"type = {id} AND properties.number = 2",
        mapping={"n": "properties.number"},
        key="'all'",
    )
    tried = hub.post(f"/destinations/{id}/test", {"definition": definition, "q": f"type = {id}"})["messages"]
    assert [message.get("body") for message in tried] in ([None, '{"n":2}'], ['{"n":2}', None])
    [skipped] = [message for message in tried if "body" not in message]
    [shown] = [message for message in tried if "body" in message]
    assert skipped["skipped"] is True
    assert (shown["key"], shown["headers"]["hub-event-id"]) == ("all", shown["event"])
    definition["mapping"] = {"n": "number(type)"}
    refusals = hub.post(f"/destinations/{id}/test", {"definition": definition, "q": f"type = {id}"})["messages"]
    [refused] = [message["refused"] for message in refusals if "refused" in message]
    assert (refused["reason"], refused["where"]) == ("mapping_failed", "mapping.n")
    assert crm.requests == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"condition": "type ="}, "condition: line 1, column 7"),
        ({"mapping": {"a": "properties."}}, "mapping.a:"),
        ({"mapping": {"a": "nonsense(type)"}}, "unknown function nonsense()"),
        ({"key": "]"}, "key:"),
        ({"settings": {"url": "ftp://there/in"}}, "settings.url"),
        ({"settings": {"url": "http://user:word@there/in"}}, "settings.url"),
        ({"settings": {"url": "http://there/in", "batches": "array"}}, "settings.batches: there is no such setting"),
        ({"type": "pigeon"}, "no destination of type 'pigeon'"),
        ({"start": "yesterday"}, "write earliest, latest, or an RFC 3339 time"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_saved(hub: Site, changes: dict[str, Any], words: str) -> None:
    answer = hub.http.put("/definitions/destination/wrong", json={**spec("http://there/in", "x"), **changes})
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert words in f"{problem['detail']} {problem.get('where', '')}"
    assert hub.http.get("/definitions/destination/wrong").status_code == 404


# the command


def row(table: str, id: str) -> list[str]:
    """Of a table, as people see it."""
    [line] = [line for line in table.splitlines() if f"│ {id} " in line]
    return [cell.strip() for cell in line.split("│")[1:-1]]


@pytest.mark.slow
def test_the_command_from_a_file_to_its_events_and_back(hub: Site, crm: HttpServer, id: str, tmp_path: Path) -> None:
    file = tmp_path / "crm.yaml"
    file.write_text(yaml.safe_dump(spec(crm.url, id, name="the first", start="2026-01-01T00:00:00Z")))
    saved = hub.command("destination", "put", id, file)
    version = hub.get(f"/destinations/{id}")["version"]
    assert saved == f"{id} is saved; this is version {version}\n"
    track(hub, id, 1, 2)
    until(hub, id, sent=2, lag=0)
    listed = row(hub.command("destination", "list"), id)
    assert (listed[:4], listed[5:7]) == ([id, "http", "running", "0"], ["2", "0"])
    shown = hub.command("destination", "show", id)
    assert "state            running\n" in shown
    assert f"condition        type = {id}\n" in shown
    assert f"  {hub.namespace}.stored.v1/0: lag 0, read up to " in shown
    document = json.loads(hub.command("destination", "show", id, "--json"))
    assert (document["id"], document["sent"]) == (id, 2)
    assert id in [one["id"] for one in json.loads(hub.command("destination", "list", "--json"))]

    assert "state            paused\n" in hub.command("destination", "pause", id)
    file.write_text(json.dumps(spec(crm.url, id, name="the second", enabled=False)))
    hub.command("destination", "put", id, file)
    hub.command("destination", "rewind", id, "--to", "beginning")
    assert sent(crm) == [1, 2]
    assert hub.command("destination", "rollback", id, str(version)).startswith(f"{id} is as in version {version} again")
    until(hub, id, sent=2, lag=0, name="the first")
    assert sent(crm) == [1, 2, 1, 2]
    versions = json.loads(hub.command("destination", "versions", id, "--json"))
    assert [one["spec"]["name"] for one in versions] == ["the first", "the second", "the first", "the first"]
    table = hub.command("destination", "versions", id)
    assert row(table, str(version))[3] == "http, the first"
    assert row(table, str(versions[0]["version"]))[2] == "yes"
    hub.command("destination", "pause", id)
    assert "state            paused\n" not in hub.command("destination", "start", id)
    until(hub, id, state="running")


def test_the_command_shows_what_would_be_sent(hub: Site, crm: HttpServer, id: str, tmp_path: Path) -> None:
    track(hub, id, 1, 2)
    eventually(lambda: hub.get("/events/count", q=f"type = {id}")["count"] == 2)
    hub.put("destination", id, spec(crm.url, id, mapping={"n": "properties.number"}, enabled=False))
    words = ("destination", "test", id, "--q", f"type = {id}")
    shown = hub.command(*words)
    assert f'  key: of-{id}\n  message: {{"n":1}}\n' in shown
    assert '  message: {"n":2}\n' in shown
    [message] = json.loads(hub.command(*words, "--events", "1", "--json"))["messages"]
    assert json.loads(message["body"])["n"] in (1, 2)
    assert "no stored event" in hub.command("destination", "test", id, "--q", "type = nobody-has-this")

    file = tmp_path / "other.json"
    file.write_text(json.dumps(spec(crm.url, id, condition=f"type = {id} AND properties.number = 1")))
    assert hub.command(*words, "--definition", file).count("  not sent: ") == 1
    file.write_text(json.dumps(spec(crm.url, id, mapping={"n": "number(type)"})))
    refused = hub.command(*words, "--definition", file, code=1)
    assert refused.count("  refused: mapping_failed: ") == 2
    assert "(at mapping.n)" in refused
    assert crm.requests == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "nobody"], "GET /destinations/nobody is answered with 404: there is no destination with this id"),
        (["pause", "nobody"], "there is no destination with this id"),
        (["put", "wrong", "FILE"], "there is no destination of type 'pigeon'"),
        (["put", "wrong", "BROKEN"], "broken.yaml:2:1"),
        (["put", "wrong", "/no/such/file"], "/no/such/file"),
        (["test", "wrong", "--q", "type ="], "there is no destination with this id"),
        (["rewind", "wrong"], "--to"),
    ],
)
def test_the_command_says_what_is_wrong(hub: Site, tmp_path: Path, words: list[str], said: str) -> None:
    files = {"FILE": tmp_path / "pigeon.yaml", "BROKEN": tmp_path / "broken.yaml"}
    files["FILE"].write_text("type: pigeon\n")
    files["BROKEN"].write_text("type: http\n]\n")
    assert said in hub.command("destination", *(files.get(word, word) for word in words), code=2)
    assert hub.http.get("/definitions/destination/wrong").status_code == 404
