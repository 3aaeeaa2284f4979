"""Filters, validators, reshapers and data-compliance through a real API, collector, store and Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.settings import Kafka
from tests.kafka_tools import eventually
from tests.live.api import Running, running
from tests.live.collector import collector

ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1"


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    """An API and a collector on one store."""
    async with running(Kafka(bootstrap=kafka, partitions=4), namespace, tmp_path) as hub:
        await hub.define("source", "shop")
        with collector(kafka, namespace, tmp_path):
            yield hub


async def send(hub: Running, agent: str, *events: dict[str, Any]) -> None:
    sent = {"source": "shop", "profile": {"id": "ann"}, "events": events}
    answer = await hub.public.post("/track", json=sent, headers={"User-Agent": agent})
    assert answer.status_code == 200, answer.text


async def totals(hub: Running) -> dict[str, int]:
    return (await hub.admin.get("/balance")).json()["totals"]


async def test_rules_are_in_force_when_they_are_saved_and_each_event_says_what_they_did(hub: Running) -> None:
    await hub.define("filter", "robots", bots=True)
    await hub.define("validator", "priced", event_type="order", mode="dead-letter", properties={"required": ["price"]})
    await hub.define(
        "reshaper", "flat", event_type="order", properties={"price": "properties.price", "mail": "properties.by.mail"}
    )
    guard = [{"event": "properties.by.mail", "consents": ["mail"], "action": "hash"}]
    await hub.define("data-compliance", "mail", event_type="order", fields=guard)

    order = {"price": 5, "by": {"mail": "ann@example.com"}}
    await send(hub, ROBOT, {"type": "order", "properties": order})
    await send(hub, PHONE, {"type": "order", "properties": order}, {"type": "order", "properties": {}})
    await asyncio.to_thread(eventually, lambda: hub.store.count("events", "") == 1)

    assert await totals(hub) == {"received": 3, "stored": 1, "duplicate": 0, "dropped": 1, "dead": 1, "in_flight": 0}
    (kept,) = (await hub.admin.get("/events", params={"q": "properties.price = 5 AND device.type = mobile"})).json()[
        "items"
    ]
    assert kept["properties"]["mail"].startswith("hash:")
    assert kept["raw"]["properties"] == {"price": 5, "by": {"mail": kept["properties"]["mail"]}}
    story = (await hub.admin.get(f"/events/{kept['id']}/trace")).json()
    assert [(one["rule"], one["did"]) for one in story["rules"]] == [
        ("data-compliance/mail", "hashed"),
        ("reshaper/flat", "reshaped"),
    ]
    assert [one["flag"] for one in story["validation"]["flags"]] == ["consent_missing"]

    # a letter goes through the rules as they are now
    (letter,) = (await hub.admin.get("/dead-letters")).json()["items"]
    assert (letter["reason"], "validator/priced" in letter["detail"]) == ("schema_violation", True)
    await hub.define("validator", "priced", event_type="order", mode="flag", properties={"required": ["price"]})
    answer = await hub.admin.post("/dead-letters/replay", json={"q": "reason = schema_violation"})
    assert answer.status_code == 200, answer.text
    await asyncio.to_thread(eventually, lambda: hub.store.count("events", "") == 2)
    (invalid,) = (await hub.admin.get("/events", params={"q": "metadata.flags = invalid"})).json()["items"]
    assert invalid["outcome"]["rules"][0]["rule"] == "validator/priced"


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("validator", {"properties": {"properties": {"price": {"type": "nmber"}}}}, "properties.properties.price.type"),
        ("validator", {"properties": {"$ref": "https://example.com/order.json"}}, "put it into $defs"),
        ("validator", {}, "needs a schema"),
        ("validator", {"properties": True, "when": "a ="}, "when"),
        ("reshaper", {"properties": {"price": "properties.["}}, "properties.price"),
        ("filter", {"networks": ["10.0.0.0/33"]}, "10.0.0.0/33"),
        ("filter", {}, "a filter for every event"),
        ("filter", {"bots": True, "event_type": "Page View"}, "it would be 'page-view'"),
        ("pseudonym", {"event_type": "Invoice", "fields": [{"event": "properties.iban"}]}, "it would be 'invoice'"),
        ("mapping", {"event_type": "*", "fields": [{"event": "id", "profile": "traits.x"}]}, "for one event type"),
        ("data-compliance", {"fields": [{"event": "profile.x", "consents": ["mail"]}]}, "such as request.ip"),
    ],
)
async def test_a_rule_that_cannot_work_is_refused_with_its_place_when_it_is_saved(
    kafka: str, namespace: str, tmp_path: Path, kind: str, spec: dict[str, Any], words: str
) -> None:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        answer = await hub.admin.put(f"/definitions/{kind}/a", json=spec)
        assert answer.status_code == 422
        assert words in answer.text
