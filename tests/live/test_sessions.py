"""Sessions, visits, events of the hub's own, payloads not kept whole: through a real API, collector and store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hub.ids import derived
from hub.settings import Kafka
from tests.kafka_tools import eventually
from tests.live.api import Running, running
from tests.live.collector import collector

MINUTE_MS = 60_000


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    """An API on a store; no collector yet."""
    async with running(Kafka(bootstrap=kafka, partitions=4), namespace, tmp_path) as hub:
        await hub.define("source", "web", system_events=True)
        await hub.define("source", "queue", sessions="30m")
        yield hub


async def send(hub: Running, source: str, profile: str, *events: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"source": source, "profile": {"id": profile} if profile else None, "events": events, **more}
    answer = await hub.public.post("/track", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def stored(hub: Running, number: int) -> None:
    await asyncio.to_thread(eventually, lambda: hub.store.count("events", "") == number)


async def found(hub: Running, kind: str, q: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await hub.admin.get(f"/{kind}", params={"q": q})).json()["items"]
    return items


def seen(url: str, at_ms: int, **more: Any) -> dict[str, Any]:
    return {"type": "page-view", "time": {"create": at_ms}, "context": {"page": {"url": url}}, **more}


async def test_sessions_visits_and_what_is_kept_of_them(
    hub: Running, kafka: str, namespace: str, tmp_path: Path
) -> None:
    now_ms = int(time.time() * 1000)
    web = {"session": {"id": "s1"}}
    await send(hub, "web", "ann", seen("https://shop.example/sale?utm_source=mail", now_ms - 3 * MINUTE_MS), **web)
    await send(
        hub, "web", "ann", seen("https://shop.example/shoes", now_ms - MINUTE_MS, options={"save": False}), **web
    )
    for minutes in (200, 190, 100):
        await send(hub, "queue", "bob", {"type": "scan", "time": {"create": now_ms - minutes * MINUTE_MS}})
    with collector(kafka, namespace, tmp_path):
        await stored(hub, 7)
    # another collector goes on where the first one has stopped: with the session in hand
    await send(hub, "queue", "bob", {"type": "scan", "time": {"create": now_ms - 95 * MINUTE_MS}})
    await send(hub, "web", "cid", {"type": "look"}, options={"saveProfile": False}, session={"id": "s2"})
    with collector(kafka, namespace, tmp_path, name="second"):
        await stored(hub, 9)

        (session,) = await found(hub, "sessions", "first_touch.utm.source = mail AND profile.id = ann")
        assert (session["id"], session["stats"]["types"]["page-view"]) == ("s1", 2)
        assert session["metadata"]["time"]["duration_s"] == 120
        assert session["first_touch"]["utm"] == {"source": "mail"}
        assert session["last_touch"]["url"] == "https://shop.example/shoes"
        assert await found(hub, "events", "session.id = s1 AND hit.path = /shoes") == [], "it was not to be kept"
        system = await found(hub, "events", "source.id = @system")
        assert sorted(one["type"] for one in system) == ["profile-created", "session-opened", "visit-started"]

        sessions = sorted(
            await found(hub, "sessions", "profile.id = bob"), key=lambda one: one["metadata"]["time"]["start"]
        )
        assert [(one["stats"]["events"], one["metadata"]["status"]) for one in sessions] == [
            (2, "ended"),
            (2, "active"),
        ]
        (bob,) = await found(hub, "profiles", "id = bob")
        visit = bob["metadata"]["time"]["visit"]
        assert (visit["count"], visit["every_days"]) == (2, round(100 / 24 / 60, 3))
        assert visit["first"] == sessions[0]["metadata"]["time"]["start"]

        assert (await hub.admin.get("/profiles/cid")).status_code == 404
        assert (await hub.admin.get("/sessions/s2")).status_code == 404
        balance = (await hub.admin.get("/balance")).json()
        assert balance["balanced"], balance["causes"]
        by_source = {row["source"]: (row["received"], row["stored"], row["dropped"]) for row in balance["sources"]}
        assert by_source == {"web": (3, 2, 1), "queue": (4, 4, 0), "@system": (3, 3, 0)}


async def test_a_wrong_clock_is_put_right_and_a_link_between_sites_says_who_it_is(
    hub: Running, kafka: str, namespace: str, tmp_path: Path
) -> None:
    wrong_ms = int(time.time() * 1000) - 3_600_000
    with collector(kafka, namespace, tmp_path):
        late = {"id": derived("test", "late"), "type": "look", "time": {"create": wrong_ms - 5_000}}
        await send(hub, "queue", "ann", late, sentAt=wrong_ms, session={"id": "here"})
        await stored(hub, 1)
        event = (await hub.admin.get(f"/events/{late['id']}")).json()
        times = [datetime.fromisoformat(event["metadata"]["time"][name]) for name in ("insert", "create")]
        assert 4 <= (times[0] - times[1]).total_seconds() <= 15

        context = {"tracardi": {"pass": {"profile": "ann", "source": "queue", "session": "here"}}}
        given = await send(hub, "queue", "", {"type": "look"}, session={"id": "there"}, context=context)
        await stored(hub, 2)

        def is_one() -> bool:
            found = hub.store.get("profiles", given["profile"]["id"])
            return found is not None and {"ann", given["profile"]["id"]} <= set(found["ids"])

        await asyncio.to_thread(eventually, is_one)
