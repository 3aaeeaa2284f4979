"""What is special about bridges that no other broker has, in processes as they are started: own packages, webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kafka_tools import eventually
from tests.live.bridge_site import Site, site
from tests.packages import LINES, install, write
from tests.plain_http import NO_TLS
from tests.servers import running

MAPPING = {"profile": "who", "event": {"type": "'called'", "properties": {"n": "n"}}}
SECRETS = ["it's a secret to everybody", "and so is this one"]


@pytest.fixture
def hub(kafka: str, namespace: str, shared_folder: Path, tmp_path: Path) -> Iterator[Site]:
    """An API with the example package, a broken one, and one that wants to be ours."""
    target = tmp_path / "packages"
    install(LINES, target)
    (target / "broken.py").write_text("raise RuntimeError('no licence')")
    write(target, "broken-bridge", {"broken": "broken:SPEC"})
    write(target, "other-kafka", {"kafka": "broken:SPEC"})
    with (
        running.shared("valkey", shared_folder / "valkey") as valkey,
        site(kafka, namespace, valkey, tmp_path, PYTHONPATH=str(target)) as made,
    ):
        made.put("source", "shop", {})
        yield made


def body(number: int) -> bytes:
    return json.dumps({"who": "ann", "n": number}).encode()


def definition(kind: str, **settings: Any) -> dict[str, Any]:
    return {"type": kind, "source": "shop", "settings": settings, "mapping": MAPPING}


def test_a_package_brings_a_bridge(hub: Site, tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    hub.start("bridges")
    refused = hub.http.put("/definitions/bridge/b", json=definition("broken"))
    assert refused.status_code == 422
    assert "broken-bridge 1.0" in refused.json()["detail"]
    assert "no licence" in refused.json()["detail"]
    assert "rename its own" in hub.logs()

    hub.put("bridge", "calls", definition("lines", path=str(file)))
    assert "make it" in hub.until("calls", state="failed")["last_error"]
    file.write_bytes(b"".join(body(n) + b"\n" for n in range(3)) + b'{"who": "bo')
    assert hub.until("calls", state="running", forwarded=3)["rewinds_to"] == ["beginning", "offset"]
    with file.open("ab") as more:
        more.write(b'b", "n": 3}\nno json\n')
    assert hub.until("calls", forwarded=5)["refused"] == 1
    shown = hub.post("/bridges/calls/test", {})
    assert (shown["ok"], shown["messages"]) == (True, [])  # nothing waits
    # a file in its place is read from the beginning, and rewound the bridge reads all of it again
    other = tmp_path / "other.jsonl"
    other.write_bytes(body(4) + b"\n" + body(5) + b"\n")
    other.replace(file)
    hub.until("calls", state="running", forwarded=7)
    assert hub.post("/bridges/calls/test", {"messages": 1})["messages"] == []
    hub.post("/bridges/calls/rewind", {"to": "beginning"})
    hub.until("calls", state="running", forwarded=lambda forwarded: forwarded == 2)


def test_a_webhook_is_the_apis(hub: Site) -> None:
    """Its secret is sealed by the API and opened by it; no bridge process takes the bridge."""
    bridges = hub.start("bridges")
    put = hub.put("bridge", "hook", definition("webhook", signature="github", secret=SECRETS))
    assert put["spec"]["settings"]["secret"] == ["sealed", "sealed"]
    # the bridge process has seen it when it has what was defined later
    hub.put("bridge", "later", definition("kafka", bootstrap="127.0.0.1:1", topics="t"))
    eventually(lambda: [each["bridge"] for each in bridges.ready()["bridges"]] == ["later"])
    for number, secret in enumerate([*SECRETS, "another"]):
        digest = hmac.new(secret.encode(), body(number), hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": f"d-{number}"}
        answer = httpx.post(
            f"http://127.0.0.1:{hub.api.port}/webhooks/hook", content=body(number), headers=headers, verify=NO_TLS
        )
        assert answer.status_code == (200 if secret in SECRETS else 401)
    seen = hub.get("/bridges/hook")
    assert (seen["state"], seen["process"], seen["forwarded"]) == ("running", None, 2)
    for secret in SECRETS:
        assert secret not in hub.logs()
