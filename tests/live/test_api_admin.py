"""Everything behind the admin key: definitions, documents, balance; and what is open to all beside /track."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.definitions.kinds import Bridge
from hub.model import Batch, CounterKey, Counts, DeadLetter, Position, Profile, Progress, StoredEvent
from hub.settings import Kafka
from hub.store.memory import MemoryStore
from tests.live.api import KEY, Running, running

RECEIVED_MS = 1_795_533_660_000  # 2026-11-24T15:21Z
MINUTE = RECEIVED_MS // 60_000


def batch(**counts: int) -> Batch:
    """One stored event, its profile, one dead letter."""
    position = Position(1, 0, 0, 0)
    event = StoredEvent(
        id="e1",
        partition="2026-11",
        profile_id="p/1",
        session_id="s1",
        type="view",
        source="shop",
        time_ms=RECEIVED_MS,
        received_at_ms=RECEIVED_MS,
        position=position,
        digest=b"0" * 16,
        profile_version=position.version,
        doc=b'{"id":"e1","type":"view"}',
    )
    letter = DeadLetter(
        id="d1",
        source="queue",
        reason="not_json",
        detail="it is not JSON",
        stage="bridge",
        origin="bridge:b:0/7",
        at_ms=RECEIVED_MS,
        attempts=1,
        body=b"<script>\x00\xff",
        body_sha256=None,
        body_size=10,
        headers=b"{}",
        position=Position(1, 0, 1, 0),
    )
    return Batch(
        epoch=1,
        progress={0: Progress(0, 2)},
        events=[event],
        profiles=[Profile("p/1", position.version, {"id": "p/1", "traits": {"age": 30}})],
        sessions=[],
        dead_letters=[letter],
        counters={
            CounterKey(1, 0, "shop", MINUTE): Counts(**counts),
            CounterKey(1, 1, "shop", MINUTE): Counts(received=2, duplicate=1, dropped=1),
            CounterKey(1, 0, "queue", MINUTE + 1): Counts(received=1, dead=1),
        },
    )


def only(counters: dict[CounterKey, Counts]) -> Batch:
    """A batch of nothing but counters."""
    return Batch(epoch=1, progress={}, events=[], profiles=[], sessions=[], dead_letters=[], counters=counters)


@pytest.fixture
async def hub(kafka, namespace, tmp_path) -> AsyncIterator[Running]:
    def only_known(bridge: Bridge) -> None:
        if bridge.type != "kafka":
            raise ValueError(f"settings.type: {bridge.type} is no kind of bridge")

    async with running(Kafka(bootstrap=kafka), namespace, tmp_path, validators={"bridge": only_known}) as hub:
        yield hub


def is_problem(response: Any, status: int, reason: str = "") -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body.get("reason", "") == reason
    assert body["title"]
    assert body["detail"]
    return body


async def test_everything_but_the_open_routes_needs_the_key(hub):
    for path in ["/profiles", "/events/x", "/balance", "/definitions/source", "/nowhere"]:
        answer = await hub.public.get(path)
        is_problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        for wrong in [f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", KEY, f"Basic {KEY}", "Bearer x", "Bearer \xff"]:
            headers = {"Authorization": wrong.encode("latin-1")}
            assert (await hub.public.get(path, headers=headers)).status_code == 401
    assert (await hub.public.get("/profiles", headers={"Authorization": f"bearer {KEY}"})).status_code == 200
    for path in ["/live", "/ready", "/metrics", "/docs", "/openapi.json"]:
        assert (await hub.public.get(path)).status_code == 200, path


async def test_a_definition_is_in_force_when_its_put_is_answered(hub):
    sent = {"source": {"id": "shop"}, "events": [{"type": "view"}]}
    assert (await hub.public.post("/track", json=sent)).status_code == 401
    made = await hub.define("source", "shop", name="Shop", channel="web")
    assert made.status_code == 201
    assert (await hub.public.post("/track", json=sent)).status_code == 200
    document = made.json()
    assert (document["kind"], document["id"], document["spec"]["name"]) == ("source", "shop", "Shop")
    got = await hub.admin.get("/definitions/source/shop")
    assert (got.json(), got.headers["etag"]) == (document, made.headers["etag"])
    assert (await hub.admin.get("/definitions/source")).json() == {"items": [document], "next": None}

    changed = await hub.define("source", "shop", name="Shop", enabled=False)
    assert changed.status_code == 200
    assert changed.json()["version"] > document["version"]
    assert (await hub.public.post("/track", json=sent)).json()["reason"] == "disabled_source"

    assert (await hub.admin.delete("/definitions/source/shop")).status_code == 204
    assert (await hub.public.post("/track", json=sent)).json()["reason"] == "unknown_source"
    is_problem(await hub.admin.get("/definitions/source/shop"), 404, "not_found")
    is_problem(await hub.admin.delete("/definitions/source/shop"), 404, "not_found")
    assert (await hub.admin.get("/definitions/source")).json()["items"] == []


async def test_of_two_who_change_the_same_version_one_loses(hub):
    first = await hub.define("source", "shop", name="first")
    etag = first.headers["etag"]

    async def change(name: str) -> Any:
        return await hub.admin.put("/definitions/source/shop", json={"name": name}, headers={"If-Match": etag})

    answers = sorted(await asyncio.gather(change("second"), change("third")), key=lambda answer: answer.status_code)
    assert answers[0].status_code == 200
    is_problem(answers[1], 409, "conflict")
    now = (await hub.admin.get("/definitions/source/shop")).json()
    assert now == answers[0].json()
    is_problem(await hub.admin.delete("/definitions/source/shop", headers={"If-Match": etag}), 409, "conflict")
    only_new = {"If-None-Match": "*"}
    is_problem(await hub.admin.put("/definitions/source/shop", json={}, headers=only_new), 409, "conflict")
    is_problem(await hub.admin.put("/definitions/source/new", json={}, headers={"If-Match": "*"}), 409, "conflict")
    assert (await hub.admin.put("/definitions/source/new", json={}, headers=only_new)).status_code == 201


async def test_a_wrong_definition_is_refused_when_it_is_saved(hub):
    async def put(path: str, content: bytes) -> Any:
        return await hub.admin.put(f"/definitions/{path}", content=content)

    assert is_problem(await put("source/a", b'{"enabled":"perhaps"}'), 422, "wrong_type")["where"] == "enabled"
    assert is_problem(await put("source/a", b'{"colour":"red"}'), 422, "wrong_type")["where"] == "colour"
    assert is_problem(await put("bridge/a", b'{"type":"kafka"}'), 422, "missing_field")["where"] == "source"
    assert (
        "settings.type" in is_problem(await put("bridge/a", b'{"type":"fax","source":"x"}'), 422, "invalid")["detail"]
    )
    is_problem(await put("source/a", b'{"name":"a","name":"b"}'), 422, "duplicate_key")
    is_problem(await put("source/a", b"junk"), 422, "not_json")
    is_problem(await put("source/a", b"[]"), 422, "wrong_type")
    is_problem(await put("source/%20a", b"{}"), 422, "bad_id")
    is_problem(await put("colour/a", b"{}"), 404, "not_found")
    assert (await hub.admin.get("/definitions/source/a")).status_code == 404
    assert (await put("bridge/a", b'{"type":"kafka","source":"x"}')).status_code == 201


async def test_documents_are_found(hub):
    hub.store.write(batch(received=1, stored=1))
    for kind, id in [("profiles", "p/1"), ("events", "e1"), ("dead-letters", "d1")]:
        page = (await hub.admin.get(f"/{kind}")).json()
        assert page.keys() == {"items", "next"}
        assert [item["id"] for item in page["items"]] == [id]
        assert page["next"] is None
        assert (await hub.admin.get(f"/{kind}/count")).json() == {"count": 1}
        assert (await hub.admin.get(f"/{kind}/{id}")).json() == page["items"][0]
        is_problem(await hub.admin.get(f"/{kind}/none"), 404, "not_found")
    assert (await hub.admin.get("/sessions")).json() == {"items": [], "next": None}
    assert (await hub.admin.get("/profiles", params={"q": "traits.age = 30"})).json()["items"][0]["id"] == "p/1"
    assert (await hub.admin.get("/profiles/count", params={"q": "traits.age = 31"})).json() == {"count": 0}
    received, later = "2026-11-24T15:21:00Z", "2026-11-24T15:21:00.001Z"
    for span, found in [
        ({"from": received}, ["e1"]),
        ({"from": later}, []),
        ({"to": later}, ["e1"]),
        ({"to": received}, []),
        ({"from": received, "to": later}, ["e1"]),
    ]:
        assert [one["id"] for one in (await hub.admin.get("/events", params=span)).json()["items"]] == found, span
    body = await hub.admin.get("/dead-letters/d1/body")
    assert body.content == b"<script>\x00\xff"
    assert body.headers["content-type"] == "application/octet-stream"
    assert body.headers["x-content-type-options"] == "nosniff"
    is_problem(await hub.admin.get("/dead-letters/none/body"), 404, "not_found")


async def test_a_wrong_question_is_told_where_it_is_wrong(hub):
    assert is_problem(await hub.admin.get("/profiles", params={"q": "traits.age ="}), 422, "bad_query")["line"] == 1
    is_problem(await hub.admin.get("/profiles", params={"cursor": "nonsense"}), 422, "bad_query")
    is_problem(await hub.admin.get("/profiles", params={"from": "yesterday"}), 422, "bad_query")
    for size in ("0", "1001", "many"):
        assert (
            is_problem(await hub.admin.get("/profiles", params={"size": size}), 422, "wrong_type")["where"]
            == "query.size"
        )
    is_problem(await hub.admin.get("/nowhere"), 404)
    answer = await hub.admin.post("/profiles")
    is_problem(answer, 405)
    assert "GET" in answer.headers["allow"]


async def test_the_balance_adds_up_with_what_is_in_flight(hub):
    await hub.define("source", "shop")
    for number in range(5):
        sent = {"source": "shop", "profile": {"id": str(number)}, "events": [{"type": "view"}]}
        assert (await hub.public.post("/track", json=sent)).status_code == 200
    empty = (await hub.admin.get("/balance")).json()
    assert empty["totals"] == {"received": 5, "stored": 0, "duplicate": 0, "dropped": 0, "dead": 0, "in_flight": 5}
    assert empty["balanced"]
    assert empty["rows"] == []

    hub.store.write(batch(received=1, stored=1))
    ends = await asyncio.to_thread(hub.log.end_offsets)
    waiting = sum(ends.values()) - min(2, ends[0])
    sheet = (await hub.admin.get("/balance", params={"verify": "true", "from": "2026-11-24T15:00Z"})).json()
    assert sheet["totals"] == {
        "received": 4 + waiting,
        "stored": 1,
        "duplicate": 1,
        "dropped": 1,
        "dead": 1,
        "in_flight": waiting,
    }
    assert (sheet["balanced"], sheet["causes"]) == (True, [])
    assert sheet["verified"] == {"stored_events": 1, "agrees": True}
    assert sheet["sources"] == [
        {"source": "queue", "received": 1, "stored": 0, "duplicate": 0, "dropped": 0, "dead": 1},
        {"source": "shop", "received": 3, "stored": 1, "duplicate": 1, "dropped": 1, "dead": 0},
    ]
    nothing = {"stored": 0, "duplicate": 0, "dropped": 0, "dead": 0}
    assert sheet["rows"] == [
        {
            **nothing,
            "source": "shop",
            "minute": "2026-11-24T15:21Z",
            "received": 3,
            "stored": 1,
            "duplicate": 1,
            "dropped": 1,
        },
        {**nothing, "source": "queue", "minute": "2026-11-24T15:22Z", "received": 1, "dead": 1},
    ]


async def test_a_balance_that_does_not_add_up_says_so(kafka, namespace, tmp_path):
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        hub.store.write(batch(received=3, stored=2))
        sheet = (await hub.admin.get("/balance?verify=true")).json()
        assert not sheet["balanced"]
        assert sheet["verified"] == {"stored_events": 1, "agrees": False}
        row, documents = sheet["causes"]
        assert row.startswith("row: shop at 2026-11-24T15:21Z: 5 received, but 2 stored + 1 duplicate + 1 dropped + 0")
        assert documents == "documents: 2 events counted as stored, but the store has 1: 1 missing"
        exposed = (await hub.public.get("/metrics")).text
        assert "hub_balance_difference_events 1.0" in exposed
        assert "hub_balance_gap_records 0.0" in exposed


async def test_the_rows_of_the_balance_are_of_the_minutes_asked_for(kafka, namespace, tmp_path):
    """By default of the last day, by the API's clock; totals are of everything all the same."""
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        hub.store.write(batch(received=1, stored=1))

        async def rows(**query: str) -> list[str]:
            sheet = (await hub.admin.get("/balance", params=query)).json()
            assert sheet["totals"]["stored"] == 1
            return [row["minute"][-6:] for row in sheet["rows"]]

        assert await rows(**{"from": "2026-11-24T15:21:59Z"}) == ["15:21Z", "15:22Z"]
        assert await rows(**{"from": "2026-11-24T15:22Z", "to": "2026-11-24T15:23Z"}) == ["15:22Z"]
        assert await rows(**{"from": "2026-11-24", "to": "2026-11-24T15:22Z"}) == ["15:21Z"]
        assert await rows(**{"from": "2026-11-24", "to": "2026-11-24T15:22:01Z"}) == ["15:21Z", "15:22Z"]
        for minutes_ago, expected in ((24 * 60 + 1, []), (24 * 60 - 5, [1])):
            counted = int(time.time()) // 60 - minutes_ago
            counters = {CounterKey(1, 0, f"{minutes_ago}", counted): Counts(received=1, stored=1)}
            hub.store.write(only(counters))
            shown = (await hub.admin.get("/balance")).json()["rows"]
            assert [row["received"] for row in shown if row["source"] == f"{minutes_ago}"] == expected
        for name in ("from", "to"):
            problem = is_problem(await hub.admin.get("/balance", params={name: "yesterday"}), 422, "bad_time")
            assert problem["where"] == f"query.{name}"


async def test_the_documentation_needs_nothing_from_elsewhere_and_names_every_route(hub):
    document = (await hub.public.get("/openapi.json")).json()
    assert {"/track", "/profiles", "/profiles/{id}", "/dead-letters/{id}/body", "/balance", "/ready"} <= document[
        "paths"
    ].keys()
    assert document["paths"]["/track"]["post"]["security"] == []
    assert document["paths"]["/profiles"]["get"]["security"] == [{"key": ["read"]}]
    assert document["security"] == [{"key": ["admin"]}]
    references = set(_references(document))
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference
    page = (await hub.public.get("/docs")).text
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert all(path in page for path in document["paths"])


async def test_a_fault_of_ours_is_a_500_that_tells_only_its_number(kafka, namespace, tmp_path):
    class Broken(MemoryStore):
        def count(self, kind: Any, query: str) -> int:
            raise RuntimeError("the password is hunter2")

    async with running(Kafka(bootstrap=kafka), namespace, tmp_path, reading=Broken()) as hub:
        answer = await hub.admin.get("/profiles/count")
        problem = is_problem(answer, 500, "internal")
        assert problem["error_id"] in problem["detail"]
        assert "hunter2" not in answer.text


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


async def test_documents_are_searched_counted_and_summed_up(hub):
    """The language over HTTP: searches, where an error is, histograms, values, fields, the predecessor's routes."""
    hub.store.write(batch(received=1, stored=1))

    async def ask(path: str, **query: str) -> Any:
        answer = await hub.admin.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    found = await ask("/events", q="type IN ['v*'] AND NOT (id = e2 OR properties.x EXISTS)")
    assert [one["id"] for one in found["items"]] == ["e1"]
    assert (await ask("/profiles/count", q="traits.age BETWEEN 18 AND 30 AND lower(id) ~ '^p'"))["count"] == 1
    wrong = is_problem(await hub.admin.get("/events", params={"q": "type = view\nAND"}), 422, "bad_query")
    assert (wrong["line"], wrong["column"], wrong["excerpt"]) == (2, 4, "AND\n   ^")
    wrong = is_problem(await hub.admin.get("/events/count", params={"q": "typ = view"}), 422, "bad_query")
    assert "did you mean type?" in wrong["detail"]

    days = {"from": "2026-11-23", "to": "2026-11-26", "interval": "day", "zone": "Europe/Rome", "group_by": "type"}
    bars = await ask("/events/histogram", **days)
    assert (bars["total"], bars["groups"]) == (1, [{"value": "view", "count": 1}])
    assert [(one["time"], one["count"], one["groups"]) for one in bars["items"]] == [
        ("2026-11-23T00:00:00+01:00", 0, [0]),
        ("2026-11-24T00:00:00+01:00", 1, [1]),
        ("2026-11-25T00:00:00+01:00", 0, [0]),
    ]
    assert (await ask("/profiles/histogram"))["total"] == 0, "this one does not say since when it is there"
    fortnight = await hub.admin.get("/events/histogram", params={"interval": "fortnight"})
    problem = is_problem(fortnight, 422, "wrong_type")
    assert (problem["where"], "'week'" in problem["detail"]) == ("query.interval", True)
    for odd in ({"zone": "Mars"}, {"from": "soon"}, {"interval": "minute"}, {"group_by": "a b"}, {"to": "0001-01-01"}):
        is_problem(await hub.admin.get("/events/histogram", params=odd), 422, "bad_query")
    assert await ask("/events/values", field="type", prefix="v") == {"items": [{"value": "view", "count": 1}]}
    fields = {one["name"]: one for one in (await ask("/profiles/fields"))["items"]}
    assert fields["traits.age"] == {"name": "traits.age", "type": "number", "indexed": False}
    assert fields["id"]["indexed"] is True

    body = {
        "minDate": {"absolute": {"year": 2026, "month": 11, "date": 24, "hour": 3, "meridiem": "PM"}},
        "maxDate": {"delta": {"value": 1, "entity": "hour"}},
        "where": "type = view",
    }
    for path in ("/event/select", "/event/select/range", "/event/select/range/page/0"):
        selected = (await hub.admin.post(path, json=body)).json()
        assert (selected["total"], [one["id"] for one in selected["result"]]) == (1, ["e1"]), path
    later = {**body, "minDate": {"absolute": {"year": 2026, "month": 11, "date": 25}}}
    assert (await hub.admin.post("/event/select/range", json=later)).json() == {"total": 0, "result": []}
    chart = (await hub.admin.post("/event/select/histogram?group_by=type", json=body)).json()
    assert (chart["total"], chart["buckets"], sum(bar["view"] for bar in chart["result"])) == (1, ["view"], 1)
    backwards = {"minDate": body["minDate"], "maxDate": {"delta": {"value": -1, "entity": "day"}}}
    is_problem(await hub.admin.post("/event/select/range", json=backwards), 422, "bad_query")
