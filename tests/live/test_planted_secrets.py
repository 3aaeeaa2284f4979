"""Secrets that are planted wherever the hub is told one, and looked for wherever it says or keeps something."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any, Final

import httpx
import pytest
from confluent_kafka.admin import AdminClient

from hub.api.roles import ROLES
from hub.settings import Kafka
from schemas.topics import TOPICS
from tests.kafka_tools import eventually, read
from tests.live.bridge_site import KEY, Site, site
from tests.live.test_api_keys import path_of
from tests.live.whole_hub import ROOT
from tests.plain_http import NO_TLS
from tests.servers.running import shared

WHAT: Final = (
    "secret-key",
    "identity-key",
    "key-passphrase",
    "broker-password",
    "smtp-password",
    "bearer-token",
    "signature",
    "webhook-secret",
    "import-password",
    "flow-token",
    "variable",
    "file",
    "wrong-key",
)
AWAY: Final = "127.0.0.1:1"
"""Nobody is there."""
COMMANDS: Final = (
    ("audit",),
    ("balance",),
    ("key", "list"),
    ("bridge", "list"),
    ("destination", "list"),
    ("dead-letters", "list"),
    ("flow", "list"),
    ("tasks",),
)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_what_was_planted_is_found_nowhere(kafka: str, shared_folder: Path, namespace: str, tmp_path: Path) -> None:
    """Not in an answer, a log, a record, the store, Redis, metrics, health, or in what a command says."""
    planted = {what: f"planted-{what}-{secrets.token_hex(8)}" for what in WHAT}
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "password").write_text(planted["file"])
    variables = {
        "HUB_SECRET_KEY": planted["secret-key"],
        "HUB_IDENTITY__KEY": planted["identity-key"],
        "HUB_API__KEY_PASSWORD": planted["key-passphrase"],
        "HUB_SECRET_FOLDER": str(folder),
        "PLANTED": planted["variable"],
        "FLOW_TOKEN": planted["flow-token"],
    }
    with (
        shared("valkey", shared_folder / "valkey") as redis_url,
        site(kafka, namespace, redis_url, tmp_path, **variables) as hub,
    ):
        processes = [hub.api, hub.start("collector"), hub.start("bridges")]
        made = [hub.post("/api-keys", {"id": "shop", "roles": ["read"]}, 201)["key"]]
        made.append(hub.post("/api-keys/shop/rotate", {"keep": "1h"})["key"])
        said = list(_plant(hub, planted))
        ids = ("shop", "queue", "files", "mail", "crm", "hook", "@admin")
        said += [answer.text for answer in _looked_at(hub, ids)]
        eventually(lambda: hub.get("/bridges/queue")["last_error"])
        said += [json.dumps(hub.get(f"/{kind}")) for kind in ("bridges", "destinations", "audit", "dead-letters")]
        said += [json.dumps(process.ready()) for process in processes[1:]]
        said += [httpx.get(f"http://127.0.0.1:{process.port}/metrics", verify=NO_TLS).text for process in processes]
        said += [_command(hub, command, tmp_path) for command in COMMANDS]
        said.append(_command(hub, ("balance",), tmp_path, HUB_KEY=planted["wrong-key"]))
    said.append(hub.logs())
    found = _kept(kafka, namespace, tmp_path)
    for name, secret in {**planted, "admin key": KEY, **{f"API key {n}": key for n, key in enumerate(made)}}.items():
        for text in said:
            assert secret not in text, (name, text[max(0, text.find(secret) - 300) : text.find(secret) + 100])
        for place, data in found:
            assert secret.encode() not in data, (name, place)


def _plant(hub: Site, planted: dict[str, str]) -> Iterator[str]:
    """Say each secret where it belongs, and where it makes something fail. Yields what is answered."""
    sasl = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "hub"}
    broker = {"bootstrap": AWAY, "topics": "t", "options": {**sasl, "sasl.password": planted["broker-password"]}}
    mail = {"host": "127.0.0.1", "port": 1, "sender": "hub@example.com", "username": "hub"}
    crm = {"url": f"http://{AWAY}/", "secret": planted["signature"]}
    headers = {"Authorization": f"Bearer {planted['bearer-token']}"}
    call = {"url": f"http://{AWAY}/", "headers": {"Authorization": "env:FLOW_TOKEN"}}
    nodes = {"start": {"type": "start", "to": {"out": "ask"}}, "ask": {"type": "http-call", "config": call}}
    definitions: dict[str, dict[str, Any]] = {
        "source/shop": {"type": ["rest", "bridge", "webhook"]},
        "bridge/queue": {"type": "kafka", "source": "shop", "settings": broker},
        "bridge/files": {
            "type": "rabbitmq",
            "source": "shop",
            "settings": {"url": f"amqp://{AWAY}", "queue": "q", "username": "hub", "password": "file:password"},
        },
        "bridge/hook": {
            "type": "webhook",
            "source": "shop",
            "settings": {"signature": "standard", "secret": [planted["webhook-secret"]]},
        },
        "destination/mail": {
            "type": "smtp",
            "sends": "flows",
            "settings": {**mail, "password": planted["smtp-password"]},
        },
        "destination/crm": {"type": "http", "settings": {**crm, "headers": headers}},
        "flow/ask": {"triggers": [{"type": "event", "event_type": "view"}], "nodes": nodes},
    }
    for path, spec in definitions.items():
        yield hub.http.put(f"/definitions/{path}", json=spec).text
        yield hub.http.put(f"/definitions/{path}", json={**spec, "nonsense": 1}).text
        broken = {**spec, "settings": {**spec.get("settings", {}), "nonsense": 1}}
        yield hub.http.put(f"/definitions/{path}", json=broken).text
    hub.get("/definitions/bridge/queue")
    for path in ("/bridges/queue/test", "/bridges/files/test", "/destinations/crm/test"):
        yield hub.http.post(path, json={}).text
    rows = {"location": f"postgresql://{AWAY}/x", "table": "t", "username": "hub", "source": "shop", "event_type": "v"}
    for password in (planted["import-password"], "env:PLANTED", "file:password"):
        asked = {**rows, "password": password}
        yield hub.http.post("/imports/test", json=asked).text
        yield hub.http.post("/imports", json=asked).text
    event = {"source": "shop", "profile": {"id": "ann"}, "session": {"id": "s"}, "events": [{"type": "view"}]}
    for token in (planted["wrong-key"], f"{KEY} {planted['wrong-key']}"):
        wrong = {"Authorization": f"Bearer {token}"}
        yield hub.http.get("/profiles", headers=wrong).text
        yield hub.http.post("/track", json=event, headers=wrong).text
        yield hub.http.post("/track", content=b"{", headers=wrong).text
    hub.post("/track", event)
    eventually(lambda: hub.get("/events/count")["count"] >= 1)


def _looked_at(hub: Site, ids: tuple[str, ...]) -> Iterator[httpx.Response]:
    """The answer of each route that only looks."""
    for route in ROLES:
        if (not route.startswith("GET ") and "/test" not in route) or route == "GET /tail":  # which has no end
            continue
        method, path = path_of(route)
        for id in ids if "nobody" in path else ("",):
            for kind in ("source", "bridge", "destination", "flow", "api-key") if "/source" in path else ("",):
                place = (
                    path.replace("nobody", id).replace("/source", f"/{kind}") if kind else path.replace("nobody", id)
                )
                yield hub.http.request(method, place, json=None if method == "GET" else {})


def _command(hub: Site, words: tuple[str, ...], folder: Path, **variables: str) -> str:
    """All that it says, however it ends."""
    done = run(
        [sys.executable, "-m", "hub", *words, "--url", str(hub.http.base_url)],
        cwd=ROOT,
        env={**hub._variables, "COLUMNS": "300", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def _kept(kafka: str, namespace: str, folder: Path) -> list[tuple[str, bytes]]:
    """What lies on Kafka and in the data folder, but for the files of keys."""
    there = AdminClient({"bootstrap.servers": kafka, "log_level": 2}).list_topics(timeout=10).topics
    found: list[tuple[str, bytes]] = []
    for topic in TOPICS:
        if topic.name(namespace) in there:
            messages = read(Kafka(bootstrap=kafka), namespace, topic)
            found.append((topic.suffix, b"".join((one.key() or b"") + (one.value() or b"") for one in messages)))
    files = [one for one in folder.rglob("*") if one.is_file() and one.parent.name != "secrets"]
    return found + [(one.name, one.read_bytes()) for one in files if not one.name.endswith("-key")]
