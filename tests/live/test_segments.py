"""Segments through a real API, Kafka, collector and store: an event, what stored.v1 says, definitions that change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.settings import Kafka
from schemas.codec import decode_stored
from schemas.records import Stored
from schemas.topics import STORED
from tests.kafka_tools import eventually, read
from tests.live.api import Running, running
from tests.live.collector import collector


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    """An API on a store; no collector yet."""
    async with running(Kafka(bootstrap=kafka, partitions=2), namespace, tmp_path) as hub:
        await hub.define("source", "shop")
        yield hub


async def send(hub: Running, profile: str, *events: dict[str, Any]) -> None:
    answer = await hub.public.post(
        "/track", json={"source": {"id": "shop"}, "profile": {"id": profile}, "events": events}
    )
    assert answer.status_code == 200, answer.text


async def in_segments(hub: Running, profile: str, *segments: str) -> None:
    def look() -> bool:
        found = hub.store.get("profiles", profile)
        return found is not None and found["segments"] == list(segments)

    await asyncio.to_thread(eventually, look)


def purchase(amount: float) -> dict[str, Any]:
    return {"type": "purchase", "properties": {"amount": amount}}


def told(hub: Running) -> list[Stored]:
    """All of stored.v1, in its order: everything is one profile's."""
    return [decode_stored(message.value() or b"") for message in read(hub.kafka, hub.namespace, STORED)]


async def test_an_event_lets_its_profile_into_a_segment_and_everybody_hears_of_it(
    hub: Running, kafka: str, namespace: str, tmp_path: Path
) -> None:
    answer = await hub.define("segment", "big", condition="sum(purchase.properties.amount) > 100")
    assert answer.json()["warnings"] == []
    with collector(kafka, namespace, tmp_path):
        await send(hub, "ann", purchase(60))
        await in_segments(hub, "ann")
        await send(hub, "ann", purchase(50))
        await in_segments(hub, "ann", "big")
        # the same events by another definition: from now on, and for what has come before
        version = (await hub.define("segment", "big", condition="sum(purchase.properties.amount) > 200")).json()[
            "version"
        ]
        await send(hub, "ann", purchase(20))
        await in_segments(hub, "ann")
    records = await asyncio.to_thread(told, hub)
    assert len(records) == 5
    crossed = {one["type"]: one for one in records if one["type"] != "purchase"}
    assert set(crossed) == {"segment-entered", "segment-left"}
    purchases = [one for one in records if one["type"] == "purchase"]
    assert [one["segments_entered"] for one in purchases] == [[], ["big"], []]
    assert [one["segments_left"] for one in purchases] == [[], [], ["big"]]
    entered = msgspec.json.decode(crossed["segment-entered"]["event"])
    assert entered["properties"]["event"] == purchases[1]["id"]
    story = (await hub.admin.get(f"/events/{purchases[1]['id']}/trace")).json()["segments"]
    assert story["looked"] == [
        {
            "id": "big",
            "did": "entered",
            "version": version - 1,
            "version_now": version,
            "changed_since": True,
            "because": ["it is a purchase"],
        }
    ]
    own = (await hub.admin.get(f"/events/{crossed['segment-entered']['id']}/trace")).json()
    assert own["log"]["record"] is not None
    assert (await hub.admin.get("/balance", params={"verify": "true"})).json()["balanced"]


async def test_a_condition_is_checked_when_it_is_saved(hub: Running) -> None:
    refused = await hub.define("segment", "odd", condition="traits.x >")
    assert refused.status_code == 422
    assert "line 1, column 11" in refused.json()["detail"]
    odd = await hub.define("segment", "odd", condition="traits.x IS NULL")
    assert odd.status_code == 201
    assert len(odd.json()["warnings"]) == 1
