"""POST /track on a real Kafka: what an acknowledgement means, and how a refusal reads."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.definitions.catalogue import Catalogue
from hub.ids import derived, is_uuid
from hub.settings import Kafka, Limits
from tests.live.api import Running, running


def payload(*types: str, **fields: Any) -> dict[str, Any]:
    events = [{"type": type, "properties": {"n": n}} for n, type in enumerate(types)]
    return {"source": {"id": "shop"}, "events": events, **fields}


@pytest.fixture
async def hub(kafka, namespace, tmp_path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        await hub.define("source", "shop", name="Shop")
        yield hub


def is_problem(response: Any, status: int, reason: str) -> dict[str, Any]:
    """RFC 9457, readable from a browser."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["access-control-allow-origin"] == "*"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["reason"] == reason
    assert body["type"].endswith(reason)
    assert body["title"]
    assert body["detail"]
    return body


async def test_the_events_are_on_the_log_when_the_answer_comes(hub):
    sent = payload("View", "Purchase Order", session={"id": "s1"}, profile={"id": "p1"}, context={"a": 1})
    for number in range(1, 6):
        answer = await hub.public.post("/track", json=sent, headers={"Authorization": "no", "Cookie": "no", "X-A": "b"})
        assert sum((await asyncio.to_thread(hub.log.end_offsets)).values()) == number
    assert answer.status_code == 200
    body = answer.json()
    assert body == {
        "task": body["task"],
        "ux": [],
        "response": {},
        "events": [],
        "profile": {"id": "p1"},
        "session": {"id": "s1"},
        "errors": [],
        "warnings": [],
    }
    records = await hub.records()
    record = next(record for record in records if record["id"] == body["task"])
    assert (record["source"], record["profile_id"], record["origin"]) == ("shop", "p1", "rest")
    assert record["definitions_offset"] >= 0
    assert abs(record["received_at_ms"] - time.time() * 1000) < 60_000
    _, track = record["body"]
    assert track["session_id"] == "s1"
    assert json.loads(track["context"]) == {"a": 1}
    assert [event["type"] for event in track["events"]] == ["view", "purchase-order"]
    assert [json.loads(event["properties"]) for event in track["events"]] == [{"n": 0}, {"n": 1}]
    request = json.loads(track["request"])
    assert request["ip"] == "127.0.0.1"
    assert request["headers"]["x-a"] == "b"
    assert not {"authorization", "cookie"} & request["headers"].keys()
    assert len({event["id"] for record in records for event in record["body"][1]["events"]}) == 10


async def test_a_kafka_that_is_away_gives_503_in_time(namespace, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        kafka = Kafka(bootstrap=f"127.0.0.1:{unused.getsockname()[1]}", delivery_timeout_s=0.5)
        catalogue = Catalogue()
        catalogue.apply(b"source/shop", json.dumps({"spec": {}, "updated_at_ms": 1}).encode(), 0)
        async with running(kafka, namespace, tmp_path, catalogue=catalogue) as hub:
            started = time.monotonic()
            answers = await asyncio.gather(*[hub.public.post("/track", json=payload("view")) for _ in range(5)])
            assert time.monotonic() - started < 4
            for answer in answers:
                assert is_problem(answer, 503, "unavailable")["port"] == "kafka"
                assert int(answer.headers["retry-after"]) >= 1
            ready = await hub.public.get("/ready")
            assert ready.status_code == 503
            assert list(ready.json()["failed"]) == ["kafka"]


async def test_first_hits_of_one_session_meet_in_one_profile(hub):
    first, second = await asyncio.gather(
        *[hub.public.post("/track", json=payload("view", session={"id": " s9 "})) for _ in range(2)]
    )
    assert first.json()["profile"] == second.json()["profile"] == {"id": derived("session", "s9")}
    assert first.json()["session"] == {"id": "s9"}


async def test_a_retry_under_the_same_key_has_the_same_ids(hub):
    """So that a client that never saw the answer can send again: the collector stores it once."""
    for header in ('"order-1"', "order-1"):
        answer = await hub.public.post("/track", json=payload("buy", "pay"), headers={"Idempotency-Key": header})
        assert answer.json()["task"] == "order-1"
    await hub.define("source", "other")
    await hub.public.post("/track", json=payload("buy", source={"id": "other"}), headers={"Idempotency-Key": "order-1"})
    first, second, other = sorted(await hub.records(), key=lambda r: (-len(r["body"][1]["events"]), r["source"]))
    ids = [[event["id"] for event in record["body"][1]["events"]] for record in (first, second, other)]
    assert ids[0] == ids[1]
    assert first["profile_id"] == second["profile_id"] != other["profile_id"]
    assert ids[2][0] not in ids[0], "two sources may both have an order-1"


async def test_event_ids_are_the_clients_where_they_are_uuids(hub):
    own = "0190A3F0-7B1C-7000-8000-0000000000AB"
    sent = payload("a", "b", "c")
    sent["events"][0]["id"] = own
    sent["events"][1]["id"] = "1001"
    await hub.public.post("/track", json=sent)
    first, second, third = (await hub.records())[0]["body"][1]["events"]
    assert (first["id"], first["client_id"]) == (own.lower(), None)
    assert (second["id"], second["client_id"]) == (derived("event", "shop", "1001"), "1001")
    assert is_uuid(third["id"])
    assert third["client_id"] is None


async def test_profile_less_in_the_body_or_the_query(hub):
    for sent, query, has_profile in [
        (payload("a", profile_less=True), "", False),
        (payload("a"), "?profile_less=true", False),
        (payload("a", profile_less=True), "?profile_less=false", True),
        (payload("a"), "?other=1", True),
    ]:
        answer = await hub.public.post(f"/track{query}", json=sent)
        assert (answer.json()["profile"]["id"] is not None) == has_profile
    is_problem(await hub.public.post("/track?profile_less=perhaps", json=payload("a")), 422, "wrong_type")
    records = await hub.records()
    assert sorted(bool(record["profile_id"]) for record in records) == [False, False, True, True]
    assert all(record["body"][1]["profile_less"] != bool(record["profile_id"]) for record in records)


async def test_no_events_no_record(hub):
    answer = await hub.public.post("/track", json=payload())
    assert (answer.status_code, answer.json()) == (200, None)
    assert await hub.records() == []


async def test_compressed_bodies(hub):
    plain = json.dumps(payload("view")).encode()
    raw_deflate = zlib.compressobj(wbits=-15)
    for encoding, body in [
        ("gzip", gzip.compress(plain)),
        ("GZIP", gzip.compress(plain[:20]) + gzip.compress(plain[20:])),
        ("deflate", zlib.compress(plain)),
        ("deflate", raw_deflate.compress(plain) + raw_deflate.flush()),
        ("identity", plain),
    ]:
        answer = await hub.public.post("/track", content=body, headers={"Content-Encoding": encoding})
        assert answer.status_code == 200, (encoding, answer.text)
    for encoding, body in [("gzip", b"junk"), ("gzip", gzip.compress(plain)[:-9]), ("br", plain), ("deflate", b"")]:
        answer = await hub.public.post("/track", content=body, headers={"Content-Encoding": encoding})
        is_problem(answer, 400, "bad_encoding")
    bomb = gzip.compress(b"[" * 50_000_000)
    answer = await hub.public.post("/track", content=bomb, headers={"Content-Encoding": "gzip"})
    assert is_problem(answer, 413, "body_too_large")["limit"] == {"name": "body_bytes", "value": 1_048_576}


async def test_bodies_over_the_limit_are_refused_however_they_are_sent(hub):
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b" " * 1_000_000

    for content in (b" " * 50_000_000, chunks()):
        answer = await hub.public.post("/track", content=content)
        assert is_problem(answer, 413, "body_too_large")["limit"]["name"] == "body_bytes"
    assert (await hub.public.post("/track", json=payload("still-there"))).status_code == 200


async def test_a_refusal_says_which_event_and_which_limit(kafka, namespace, tmp_path):
    limits = Limits(events=2, depth=5, event_bytes=100)
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path, limits=limits) as hub:
        await hub.define("source", "shop")
        bad = payload("ok", "ok")
        bad["events"][1]["time"] = {"create": "9999-01-01T00:00:00Z"}
        problem = is_problem(await hub.public.post("/track", json=bad), 422, "bad_time")
        assert problem["where"] == "events[1].time.create"
        for sent, status, reason, limit in [
            (payload("a", "b", "c"), 413, "too_many_events", {"name": "events", "value": 2}),
            (payload("a", context={"x": "y" * 9}), 200, "", None),
            (payload("a", context={"a": {"b": {"c": {"d": {}}}}}), 422, "too_deep", {"name": "depth", "value": 5}),
            (
                {"source": "shop", "events": [{"type": "a", "context": {"x": "y" * 99}}]},
                413,
                "event_too_large",
                {"name": "event_bytes", "value": 100},
            ),
        ]:
            answer = await hub.public.post("/track", json=sent)
            if status == 200:
                assert answer.status_code == 200
            else:
                assert is_problem(answer, status, reason)["limit"] == limit
        assert len(await hub.records()) == 1, "nothing of a refused payload is on the log"


async def test_sources_that_may_not_send(hub):
    await hub.define("source", "off", enabled=False)
    await hub.define("source", "queue", type=["bridge"])
    await hub.define("source", "@own", type=["rest"])
    for source, reason in [
        ("nobody", "unknown_source"),
        ("off", "disabled_source"),
        ("queue", "source_type"),
        ("@own", "source_type"),
    ]:
        answer = await hub.public.post("/track", json=payload("a", source={"id": source}))
        assert is_problem(answer, 401, reason)["where"] == "source.id"


async def test_a_browser_on_another_site_may_send(hub):
    answer = await hub.public.options(
        "/track",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-timestamp",
        },
    )
    assert answer.status_code == 204
    # a beacon with JSON asks with credentials, and * is no answer to that
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "Origin" in answer.headers["vary"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "content-type,x-timestamp"
    beacon = await hub.public.post(
        "/track",
        content=json.dumps(payload("a")),
        headers={"Content-Type": "text/plain", "Origin": "https://a.example"},
    )
    assert beacon.status_code == 200
    assert beacon.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_other_methods_are_told_which_to_use(hub, method):
    answer = await hub.public.request(method, "/track")
    is_problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


async def test_refusals_show_in_metrics_and_balance(hub):
    async def refused() -> float:
        text = (await hub.public.get("/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith('hub_refused_payloads_total{reason="not_json"}')]
        return float(lines[0].split()[1]) if lines else 0.0

    before = await refused()
    for _ in range(3):
        await hub.public.post("/track", content=b"junk")
    await hub.public.post("/track", json=payload("a", profile={"id": 5}))
    assert await refused() == before + 3
    report = (await hub.admin.get("/balance")).json()["refused"]
    assert report["by_reason"] == {"not_json": 3, "wrong_type": 1}
    assert report["total"] == 4
    assert {(row["source"], row["reason"], row["payloads"]) for row in report["rows"]} == {
        ("", "not_json", 3),
        ("shop", "wrong_type", 1),
    }
    assert report["since"].endswith("Z")
