"""Flows in a whole hub that call another system, send messages, and answer to whoever waits for them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from hub.store.factory import open_store
from tests import stores
from tests.kafka_tools import eventually
from tests.live.bridge_site import Site, site
from tests.servers.running import Own, own
from tests.targets.http import Answer, HttpServer, Received, server
from tests.targets.smtp import mail_server

KEY = "key-of-the-test"
PRIVATE = {"HUB_FLOWS__PRIVATE_NETWORKS": '["127.0.0.0/8"]', "HUB_FLOWS__WAIT_S": "30", "THEIR_KEY": KEY}
EGRESS = "HUB_EGRESS__NETWORKS"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as made:
        yield made


@pytest.fixture(scope="module")
def hub(kafka: str, valkey: Own, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hub")
    near = {EGRESS: '["127.0.0.0/8"]'}
    with site(kafka, f"t{secrets.token_hex(6)}", valkey.url, folder, **PRIVATE, **near) as made:
        made.put("source", "shop", {})
        for name in ("collector", "agents", "scheduler"):
            made.start(name)
        yield made


@pytest.fixture
def other() -> Iterator[HttpServer]:
    with server() as made:
        yield made


def on(type: str, **more: Any) -> list[dict[str, Any]]:
    return [{"type": "event", "event_type": type, **more}]


def track(hub: Site, type: str, **properties: Any) -> dict[str, Any]:
    event = {"type": type, "properties": properties, "options": {"async": False}}
    return hub.post("/track", {"source": {"id": "shop"}, "profile": {"id": "ann"}, "events": [event]})


def test_whoever_waits_has_what_the_flow_was_answered_by_another_system(hub: Site, other: HttpServer) -> None:
    def offers(request: Received) -> Answer:
        offer = {"offer": "tea", "for": json.loads(request.body)["who"], "key": request.headers["x-key"]}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(offer).encode())

    other.decide = offers
    call = {
        "method": "POST",
        "url": other.url,
        "headers": {"X-Key": "env:THEIR_KEY"},
        "body": {"who": "profile@id"},
    }
    body = {"offer": "payload@response.body.offer", "for": "payload@response.body.for", "ux": [{"tag": "div"}]}
    nodes = {
        "start": {"type": "start", "to": {"out": "ask"}},
        "ask": {"type": "http-call", "config": call, "to": {"out": "say"}},
        "say": {"type": "respond", "config": {"body": body}},
    }
    rich = on("purchase", condition="event@properties.amount > 10")
    hub.put("flow", "tea", {"triggers": rich, "nodes": nodes})
    answer = track(hub, "purchase", amount=12)
    assert (answer["response"], answer["ux"]) == ({"offer": "tea", "for": "ann"}, [{"tag": "div"}])
    assert answer["pending"] is False
    (request,) = other.taken
    assert (request.headers["x-key"], bool(request.headers["idempotency-key"])) == (KEY, True)
    # who lets nothing run does not wait until the deadline
    answer = track(hub, "purchase", amount=5)
    assert (answer["response"], answer["pending"]) == ({}, False)
    assert len(other.taken) == 1
    # the secret is nowhere: neither in what is kept of the run, nor in a log
    with closing(open_store(stores.store_url(hub.folder, hub.namespace), readonly=True)) as store:

        def trace() -> str:
            runs, _ = store.list_flow_runs(10, None, flow="tea")
            return msgspec.json.encode(runs).decode()

        eventually(lambda: "THEIR_KEY" in trace())  # a search engine lists what it has a moment later
        assert KEY not in trace() + hub.logs()


def test_messages_go_through_destinations_that_send_no_events(hub: Site, other: HttpServer) -> None:
    with mail_server() as post:
        settings = {"host": "127.0.0.1", "port": post.port, "security": "none", "sender": "hub@example.com"}
        hub.put("destination", "post", {"type": "smtp", "sends": "flows", "settings": settings})
        hub.put("destination", "crm", {"type": "http", "sends": "flows", "settings": {"url": other.url}})
        mail = {"destination": "post", "to": "ann@example.com", "subject": "Tea", "text": "For {{ profile@id }}"}
        nodes = {
            "start": {"type": "start", "to": {"out": ["mail", "tell"]}},
            "mail": {"type": "send-mail", "config": mail},
            "tell": {"type": "send", "config": {"destination": "crm", "message": {"n": "event@properties.n"}}},
        }
        hub.put("flow", "letters", {"triggers": on("letter"), "nodes": nodes})
        assert track(hub, "letter", n=1)["pending"] is False
        assert [one["Subject"] for one in post.mails] == ["Tea"]
        (request,) = other.taken
        assert json.loads(request.body) == {"n": 1}
        shown = hub.get("/destinations/crm")
        assert (shown["sends"], shown["sent"]) == ("flows", 0)


def test_what_nobody_may_call_fails_at_its_error_port(hub: Site) -> None:
    nodes = {
        "start": {"type": "start", "to": {"out": "ask"}},
        "ask": {
            "type": "http-call",
            "config": {"url": "http://169.254.169.254/latest/meta-data"},
            "to": {"out": "say", "error": "sorry"},
        },
        "say": {"type": "respond", "config": {"body": {"got": "payload@response.body"}}},
        "sorry": {"type": "respond", "config": {"body": {"error": "payload@error.message"}}},
    }
    hub.put("flow", "curious", {"triggers": on("curious"), "nodes": nodes})
    answer = track(hub, "curious")
    assert "no address of the public internet" in answer["response"]["error"]


def test_a_message_that_became_a_dead_letter_is_sent_again_once_its_destination_is_mended(
    hub: Site, other: HttpServer
) -> None:
    other.decide = lambda _: Answer(400, body=b"no such list")
    hub.put("destination", "lists", {"type": "http", "sends": "flows", "settings": {"url": other.url}})
    nodes = {
        "start": {"type": "start", "to": {"out": "tell"}},
        "tell": {"type": "send", "config": {"destination": "lists", "message": {"n": "event@properties.n"}}},
    }
    hub.put("flow", "lists", {"triggers": on("joined"), "nodes": nodes})
    assert track(hub, "joined", n=7)["pending"] is False
    open_ = "status = open AND stage = destination"
    (letter,) = eventually(lambda: hub.get("/dead-letters", q=open_)["items"], 60)
    id = letter["id"]
    assert (letter["reason"], letter["attempts"]) == ("undeliverable", 1)
    assert "no such list" in letter["detail"]
    balance = hub.get("/balance")["totals"]

    def done(task: str) -> dict[str, int]:
        over = eventually(lambda: (one := hub.get(f"/tasks/{task}"))["state"] == "done" and one, 60)
        counts: dict[str, int] = over["counts"]
        return counts

    def sent_again(asked: dict[str, Any]) -> dict[str, int]:
        (task,) = asked["tasks"]
        assert asked["sent"] == 1
        return done(task)

    # not mended yet: the same letter, with one attempt more
    other.decide = lambda _: Answer(400, body=b"still no such list")
    assert sent_again(hub.post(f"/dead-letters/{id}/replay")) == {"failed": 1}
    letter = eventually(lambda: (one := hub.get(f"/dead-letters/{id}"))["attempts"] == 2 and one, 60)
    assert (letter["status"], "still no such list" in letter["detail"]) == ("open", True)
    # mended
    other.decide = lambda _: Answer(200)
    assert sent_again(hub.post("/dead-letters/replay", {"q": open_})) == {"sent": 1}
    letter = eventually(lambda: (one := hub.get(f"/dead-letters/{id}"))["status"] == "resolved" and one, 60)
    assert letter["attempts"] == 2
    assert hub.get("/dead-letters", q=open_)["items"] == []
    (taken,) = other.taken
    assert (taken.headers["webhook-id"], json.loads(taken.body)) == (letter["headers"]["hub-event-id"], {"n": 7})
    # whoever names it has it sent again all the same, also by the command
    assert "1 sent" in hub.command("dead-letters", "replay", id)
    eventually(lambda: len(other.taken) == 2, 60)
    assert other.taken[0].headers["webhook-id"] == other.taken[1].headers["webhook-id"]
    eventually(lambda: hub.get("/balance")["totals"] == balance)  # once the collector has what was told of the letter
    # whoever asked before that does not send it once more
    before = {
        "kind": "send-again",
        "arguments": {"letters": [{"id": id, "attempts": 2}, {"id": "gone", "attempts": 1}]},
    }
    assert done(hub.post("/tasks", before, status=202)["id"]) == {"left_out": 2}
    # it is sent as it is
    answer = hub.post(f"/dead-letters/{id}/replay", {"body": "{}"}, status=422)
    assert "cannot be edited" in answer["detail"]
    hub.post(f"/dead-letters/{id}/replay", {"mapping": {"event": {"type": "'x'"}}}, status=422)
    assert len(other.taken) == 2


@pytest.mark.slow
def test_no_message_goes_where_the_hub_may_not_connect_to(hub: Site) -> None:
    hub.put("destination", "far", {"type": "http", "sends": "flows", "settings": {"url": "http://192.0.2.1/"}})
    nodes = {
        "start": {"type": "start", "to": {"out": "tell"}},
        "tell": {"type": "send", "config": {"destination": "far", "message": {"n": 1}}},
    }
    hub.put("flow", "far", {"triggers": on("far"), "nodes": nodes})
    track(hub, "far")
    eventually(lambda: [line for line in hub.logs().splitlines() if "flow.not_sent" in line and EGRESS in line])
