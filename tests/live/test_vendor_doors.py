"""The routes of other vendors' clients: requests as those send them, up to the store; and who is let in."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from hub.definitions.catalogue import Catalogue
from hub.ids import derived
from hub.settings import Kafka, Limits
from tests.live.api import Running, running
from tests.live.collector import collector

KEY = "wk_shop"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()}
TIME = "2026-11-25T21:12:28.455Z"
SENT = {"event": "Order Done", "properties": {"a": 1}, "uuid": "u-1", "distinct_id": "ann", "timestamp": TIME}
CLOUD = {"specversion": "1.0", "id": "A-1", "source": "/s", "type": "order.done", "time": TIME}


def track(number: int, **fields: Any) -> dict[str, Any]:
    fields = {"userId": "ann", "event": "Order Done", "properties": {"n": number}, "timestamp": TIME, **fields}
    return {"type": "track", "messageId": f"m-{number}", **fields}


@pytest.fixture
async def hub(kafka, namespace, tmp_path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        answer = await hub.define("source", "shop", write_keys=["old", KEY])
        assert answer.status_code == 201, answer.text
        yield hub


async def events(hub: Running) -> list[dict[str, Any]]:
    """Of the log, in the order of their profiles' partitions."""
    return [
        {
            "profile": record["profile_id"],
            "source": record["source"],
            "origin": record["origin"],
            **event,
            "properties": json.loads(event["properties"]),
            "context": json.loads(event["context"]),
        }
        for record in await hub.records()
        for event in record["body"][1]["events"]
    ]


async def settled(hub: Running) -> dict[str, int]:
    """The totals of the balance once nothing is in flight."""

    async def balance() -> dict[str, int]:
        totals: dict[str, int] = (await hub.admin.get("/balance")).json()["totals"]
        return totals

    async with asyncio.timeout(30):
        while (totals := await balance())["in_flight"]:  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(0.05)
    return totals


def is_problem(response: Any, status: int, reason: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["access-control-allow-origin"] == "*"
    body: dict[str, Any] = response.json()
    assert (body["reason"], body["code"], body["message"]) == (reason, reason, body["detail"])
    return body


async def test_what_all_three_send_is_stored_once(hub, kafka, namespace, tmp_path):
    """Each request twice, as a client does that has not seen the answer."""
    calls: list[tuple[str, dict[str, str], bytes, int, bytes]] = [
        ("/v1/batch", BASIC, json.dumps({"batch": [track(n) for n in range(50)]}).encode(), 200, b'{"success":true}'),
        ("/batch/", {}, json.dumps({"api_key": KEY, "batch": [SENT]}).encode(), 200, b'{"status":1}'),
        (
            "/cloudevents",
            {"Authorization": f"Bearer {KEY}", "Content-Type": "application/cloudevents+json"},
            json.dumps({**CLOUD, "subject": "ann", "data": {"a": 1}}).encode(),
            202,
            b"",
        ),
    ]
    with collector(kafka, namespace, tmp_path):
        for path, headers, body, status, answer in calls * 2:
            response = await hub.public.post(path, headers=headers, content=body)
            assert (response.status_code, response.content) == (status, answer)

        totals = await settled(hub)
        assert (totals["received"], totals["stored"], totals["duplicate"]) == (104, 52, 52)
        page = (await hub.admin.get("/events", params={"q": 'profile.id = "ann"', "size": 100})).json()["items"]
        assert len(page) == 52
        assert {event["metadata"]["time"]["create"] for event in page} == {TIME}
        assert not [event for event in page if "conflict" in event["metadata"]["flags"]]
        profile = (await hub.admin.get("/profiles/ann")).json()
        assert profile["id"] == "ann"
        text = (await hub.public.get("/metrics")).text
        assert 'hub_received_events_total{door="segment"}' in text


async def test_the_messages_of_a_batch_keep_their_order(hub):
    body = {"batch": [track(n) for n in range(200)], "writeKey": KEY}
    assert (
        await hub.public.post(
            "/v1/import", content=gzip.compress(json.dumps(body).encode()), headers={"Content-Encoding": "gzip"}
        )
    ).is_success
    found = await events(hub)
    assert [event["properties"]["n"] for event in found] == list(range(200))
    assert {(event["origin"], event["source"]) for event in found} == {("segment", "shop")}


@pytest.mark.parametrize("path", ["/v1/t", "/v1/track", "/v1/track/"])
async def test_one_call_of_a_browser(hub, path):
    sent = {**track(1, userId=None, anonymousId="an1"), "writeKey": KEY, "sentAt": TIME}
    answer = await hub.public.post(
        path, content=json.dumps(sent), headers={"Content-Type": "text/plain", "Origin": "https://a.example"}
    )
    assert answer.json() == {"success": True}
    assert answer.headers["access-control-allow-origin"] == "*"
    (found,) = await events(hub)
    assert (found["profile"], found["type"], found["id"]) == ("an1", "order-done", derived("event", "shop", "m-1"))


async def test_a_browser_learns_where_to_send(hub):
    settings = (await hub.public.get(f"/v1/projects/{KEY}/settings")).json()["integrations"]["Segment.io"]
    assert settings["apiKey"] == KEY
    assert f"{settings['protocol']}://{settings['apiHost']}" == f"{hub.public.base_url}".rstrip("/") + "/v1"


async def test_posthog_events_in_every_wrapping(hub):
    event = {**SENT, "properties": {"token": KEY, "distinct_id": "ann"}}
    text = json.dumps(event).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    packed = base64.b64encode(text)
    for path, body, headers in [
        ("/e/?ver=1&compression=gzip-js", gzip.compress(text), {"Content-Type": "text/plain"}),
        ("/e/?compression=base64", b"data=" + quote(packed).encode(), form),
        ("/i/v0/e/", b"[" + text + b"]", {"Content-Type": "application/json"}),
        ("/capture/", packed, {}),
        ("/capture", b"data=" + quote(text).encode(), form),
        ("/batch", gzip.compress(b'{"batch": [' + text + b"]}"), {"Content-Encoding": "gzip"}),
    ]:
        answer = await hub.public.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"status": 1}), (path, answer.text)
    found = await events(hub)
    assert len(found) == 6
    assert {(event["id"], event["profile"]) for event in found} == {(derived("event", "shop", "u-1"), "ann")}
    assert found[0]["properties"] == {"distinct_id": "ann"}, "the key is nobody's property"


async def test_posthogs_newer_protocol_is_answered_by_event(hub):
    bad = {"event": "no person", "uuid": "u-2"}
    answer = await hub.public.post(
        "/i/v1/analytics/events", json={"batch": [SENT, bad]}, headers={"Authorization": f"Bearer {KEY}"}
    )
    results = answer.json()["results"]
    assert results["u-1"] == {"result": "ok"}
    assert results["u-2"]["result"] == "drop"
    assert "distinct_id" in results["u-2"]["details"]
    assert len(await events(hub)) == 1
    assert (await hub.admin.get("/balance")).json()["refused"]["by_reason"] == {"missing_field": 1}


@pytest.mark.parametrize("path", ["/flags/?v=2", "/decide/?v=3", "/array/phc/config"])
async def test_posthog_clients_go_on_without_flags(hub, path):
    for answer in (await hub.public.post(path, json={"token": "any"}), await hub.public.get(path)):
        assert answer.status_code == 200
        assert (answer.json()["flags"], answer.json()["errorsWhileComputingFlags"]) == ({}, False)


async def test_cloudevents_in_each_mode(hub):
    headers = {f"ce-{name}": value for name, value in CLOUD.items()}
    for path, more, body in [
        (f"/cloudevents?key={KEY}", {**headers, "Content-Type": "application/json"}, b'{"a": 1}'),
        (
            "/cloudevents",
            {"X-Write-Key": KEY, "Content-Type": "application/cloudevents+json"},
            json.dumps(CLOUD).encode(),
        ),
        (
            "/cloudevents",
            {**BASIC, "Content-Type": "application/cloudevents-batch+json; charset=utf-8"},
            json.dumps([CLOUD, {**CLOUD, "source": "/other"}]).encode(),
        ),
    ]:
        answer = await hub.public.post(path, headers=more, content=body)
        assert (answer.status_code, answer.content) == (202, b""), answer.text
    found = await events(hub)
    assert len(found) == 4
    assert len({event["id"] for event in found}) == 2, "the same id of another source is another event"
    handshake = await hub.public.options("/cloudevents", headers={"WebHook-Request-Origin": "events.example"})
    assert handshake.headers["webhook-allowed-origin"] == "events.example"


async def test_who_may_send(hub):
    await hub.define("source", "off", write_keys=["wk_off"], enabled=False)
    await hub.define("source", "queue", write_keys=["wk_queue"], type=["bridge"])
    await hub.define("source", "page", write_keys=["wk_page"], allowed_origins=["https://shop.example"])
    body = {"batch": [track(1)]}

    async def send(key: str, **headers: str) -> Any:
        return await hub.public.post(f"/v1/batch?writeKey={key}", json=body, headers=headers)

    is_problem(await send(""), 401, "unknown_write_key")
    is_problem(await send("guess"), 401, "unknown_write_key")
    is_problem(await send("shop"), 401, "unknown_write_key")
    for key in (b"Basic \xe9", b"Basic 6Q==", b"Basic ="):  # no ASCII, no UTF-8, no base64
        is_problem(
            await hub.public.post("/v1/batch", json=body, headers={b"Authorization": key}), 401, "unknown_write_key"
        )
    is_problem(await send("wk_off"), 403, "disabled_source")
    is_problem(await send("wk_queue"), 403, "source_type")
    is_problem(await send("wk_page", Origin="https://evil.example"), 403, "origin_not_allowed")
    assert await events(hub) == []
    for key, headers in [("old", {}), (KEY, {}), ("wk_page", {"Origin": "https://Shop.example"}), ("wk_page", {})]:
        assert (await send(key, **headers)).status_code == 200
    await hub.define("source", "shop", write_keys=[KEY])
    is_problem(await send("old"), 401, "unknown_write_key")
    refused = (await hub.admin.get("/balance")).json()["refused"]["rows"]
    assert {(row["source"], row["reason"]) for row in refused} == {
        ("", "unknown_write_key"),
        ("off", "disabled_source"),
        ("queue", "source_type"),
        ("page", "origin_not_allowed"),
    }


async def test_a_write_key_has_one_source(hub):
    taken = await hub.define("source", "other", write_keys=["new", KEY])
    assert taken.status_code == 409
    assert "shop" in taken.json()["detail"]
    assert (await hub.define("source", "shop", write_keys=[KEY], name="Shop")).status_code == 200
    assert (await hub.define("source", "other", write_keys=["old"])).status_code == 201


async def test_one_bad_message_refuses_its_batch_and_says_which(hub):
    answer = await hub.public.post("/v1/batch", headers=BASIC, json={"batch": [track(1), track(2, event=None)]})
    assert is_problem(answer, 400, "missing_field")["where"] == "batch[1].event"
    answer = await hub.public.post("/batch/", json={"api_key": KEY, "batch": [SENT, {"event": "x"}]})
    assert is_problem(answer, 400, "missing_field")["where"] == "batch[1].distinct_id"
    answer = await hub.public.post("/v1/batch", headers=BASIC, content=b"{")
    is_problem(answer, 400, "not_json")
    answer = await hub.public.post("/cloudevents", headers=BASIC, json={})
    is_problem(answer, 400, "missing_field")
    assert (await hub.public.get("/v1/batch")).status_code == 405
    assert await events(hub) == []


async def test_limits_are_those_of_track(kafka, namespace, tmp_path):
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path, limits=Limits(events=2, body_bytes=2000)) as hub:
        await hub.define("source", "shop", write_keys=[KEY])
        answer = await hub.public.post("/v1/batch", headers=BASIC, json={"batch": [track(n) for n in range(3)]})
        assert is_problem(answer, 413, "too_many_events")["limit"] == {"name": "events", "value": 2}
        bomb = gzip.compress(b"[" * 1_000_000)
        answer = await hub.public.post("/e/", content=bomb, headers={"Content-Type": "text/plain"})
        is_problem(answer, 413, "body_too_large")
        assert await hub.records() == []


async def test_a_kafka_that_is_away_gives_503_and_a_time(namespace, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        kafka = Kafka(bootstrap=f"127.0.0.1:{unused.getsockname()[1]}", delivery_timeout_s=0.5)
        catalogue = Catalogue()
        value = json.dumps({"spec": {"write_keys": [KEY]}, "updated_at_ms": 1}).encode()
        catalogue.apply(b"source/shop", value, 0)
        async with running(kafka, namespace, tmp_path, catalogue=catalogue) as hub:
            for path, body in [
                ("/v1/batch", {"batch": [track(n) for n in range(3)]}),
                ("/batch/", {"batch": [SENT]}),
            ]:
                answer = await hub.public.post(path, headers=BASIC, json=body)
                assert (answer.status_code, answer.json()["port"]) == (503, "kafka")
                assert int(answer.headers["retry-after"]) >= 1


async def test_a_browser_on_another_site_may_ask(hub):
    answer = await hub.public.options(
        "/v1/t",
        headers={"Origin": "https://shop.example", "Access-Control-Request-Headers": "authorization,content-type"},
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
