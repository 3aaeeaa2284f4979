"""From a mapping in a file to events in a hub: tested, tried on messages that wait, saved, every message counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub, hub, whole_hub
from tests.sources.kafka import KafkaSource

pytestmark = pytest.mark.timeout(240)

MAPPING: dict[str, Any] = {
    "when": "kind != 'noise'",
    "profile": "who",
    "event": {"type": "'order'", "properties": {"items": "length(items)"}},
    "events": [{"each": "items", "type": "'item'", "properties": {"name": "name", "order": "message().order"}}],
    "tests": [
        {
            "name": "an order of one",
            "message": {"who": "ann", "order": 1, "items": [{"name": "tea"}]},
            "expect": {
                "profile": {"id": "ann"},
                "events": [
                    {"type": "order", "properties": {"items": 1}},
                    {"type": "item", "properties": {"name": "tea", "order": 1}},
                ],
            },
        },
        {"name": "noise", "message": {"kind": "noise"}, "dropped": True},
    ],
}
MESSAGES = [
    {"who": "ann", "order": 1, "items": [{"name": "tea"}, {"name": "jam"}]},
    {"kind": "noise"},
    {"who": "bob", "order": 2, "items": "none"},
]
CALLS = [
    {"type": "track", "event": "Order Completed", "messageId": "m-1", "userId": "cid", "properties": {"total": 5}},
    {"type": "identify", "messageId": "m-2", "userId": "cid", "traits": {"plan": "free"}},
]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[WholeHub]:
    with whole_hub(tmp_path / "data") as running:
        running.define("source", "shop")
        yield running


@pytest.mark.slow
def test_a_mapping_from_its_file_to_the_events(running: WholeHub, tmp_path: Path) -> None:
    source = KafkaSource(running.kafka, "orders")
    source.put([json.dumps(message).encode() for message in MESSAGES])
    file = tmp_path / "orders.yaml"
    definition = {"type": "kafka", "source": "shop", "settings": source.settings, "mapping": MAPPING}

    wrong = {**MAPPING, "profile": "'bob'"}
    answer = running.http.put("/definitions/bridge/orders", json={**definition, "mapping": wrong})
    assert answer.status_code == 422
    assert '\'an order of one\' fails (expected → got): profile.id: "ann" → "bob"' in answer.json()["detail"]
    assert running.http.get("/definitions/bridge/orders").status_code == 404

    running.define("bridge", "orders", **{**definition, "enabled": False})
    file.write_text(yaml.safe_dump(MAPPING))
    tried = hub("mapping", "dry-run", file, "--bridge", "orders", "--messages", "3", "--json", "--data", running.data)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    found = [json.loads(line) for line in tried.stdout.splitlines()]
    assert [len(one.get("payload", {}).get("events", ())) for one in found] == [3, 0, 0]
    assert [one.get("dropped", False) for one in found] == [False, True, False]
    assert found[2]["refused"]["reason"] == "mapping_failed"

    running.define("bridge", "orders", **definition)

    def settled() -> dict[str, int] | None:
        totals = running.totals()
        return totals if (totals["received"], totals["in_flight"]) == (5, 0) else None

    totals = eventually(settled)
    assert totals is not None
    assert (totals["stored"], totals["dropped"], totals["dead"]) == (3, 1, 1)
    assert running.get("/balance", verify="true")["balanced"]
    stored = running.get("/events", q="profile.id = ann")["items"]
    assert sorted((event["type"], event["properties"].get("name")) for event in stored) == [
        ("item", "jam"),
        ("item", "tea"),
        ("order", None),
    ]

    calls = tmp_path / "calls.jsonl"
    calls.write_text("".join(json.dumps(call) + "\n" for call in CALLS))
    sent = hub("send", calls, "--mapping", "segment", "--source", "shop", "--data", running.data)
    assert sent.returncode == 0, sent.stderr
    eventually(lambda: running.get("/events/count", q="profile.id = cid")["count"] == 2)
    [order] = running.get("/events", q="profile.id = cid AND type = order-completed")["items"]
    assert order["properties"] == {"total": 5}
