"""Segments through a real API, Kafka, collector and store: an event, what stored.v1 says, definitions that change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from confluent_kafka import Producer

from hub.log.config import producer_config
from hub.settings import Kafka
from schemas.codec import decode_stored, encode_inbound
from schemas.records import Stored
from schemas.topics import EVENTS, STORED
from tests.factories import event, track
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


BAND: Final = 100
EVENTS_SENT: Final = 4_000
A_SECOND: Final = 1_000
A_CHANGE: Final = 200
"""So many events are judged between two changes of the definition."""


@pytest.mark.long
async def test_a_definition_that_changes_under_a_thousand_events_a_second_is_whole_for_each(
    hub: Running, kafka: str, namespace: str, tmp_path: Path
) -> None:
    """
    Two collectors; each event is judged by one version, no older than its sender knew, and its profile is in or out by
    that version's condition, which has two halves.
    """
    bands: dict[int, int] = {}
    known: dict[str, int] = {}
    numbers: dict[str, int] = {}

    def stored(least: int) -> bool:
        return hub.store.count("events", "type = sign-in") >= least

    async def change(turn: int) -> None:
        low = 450 * (turn % 3)
        answer = await hub.define("segment", "band", condition=f"traits.n >= {low} AND traits.n < {low + BAND}")
        assert answer.is_success, answer.text
        bands[answer.json()["version"]] = low

    async def change_often() -> None:
        """As events are judged, however fast that is."""
        for turn in range(EVENTS_SENT // A_CHANGE):
            await asyncio.to_thread(eventually, lambda turn=turn: stored(turn * A_CHANGE + 1))
            await change(turn)

    async def send_all() -> None:
        producer = Producer(producer_config(hub.kafka))
        begun = time.monotonic()
        for number in range(EVENTS_SENT):
            if number % 20 == 0:
                producer.poll(0)
                await asyncio.sleep(max(0.0, begun + number / A_SECOND - time.monotonic()))
            id, n = f"e{number}", number * 7_919 % 1_000
            known[id], numbers[id] = hub.catalogue.offset, n
            one = track(f"p{number % 60}", event(id, "sign-in", n=n), definitions_offset=hub.catalogue.offset)
            producer.produce(EVENTS.name(namespace), encode_inbound(one), one["profile_id"].encode())
        assert await asyncio.to_thread(producer.flush, 30) == 0

    fields = [{"event": "properties.n", "profile": "traits.n"}]
    await hub.define("mapping", "n", event_type="sign-in", fields=fields)
    await change(0)
    with (
        collector(kafka, namespace, tmp_path, name="one") as one,
        collector(kafka, namespace, tmp_path, name="two") as two,
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(send_all())
            group.create_task(change_often())
        await asyncio.to_thread(eventually, lambda: stored(EVENTS_SENT))
        assert (one.process.poll(), two.process.poll()) == (None, None)

    inside: dict[str, bool] = {}
    judged: dict[str, int] = {}
    seen: set[int] = set()
    for record in await asyncio.to_thread(told, hub):
        if record["type"] != "sign-in":
            continue
        id, profile = record["id"], record["profile_id"]
        (version,) = msgspec.json.decode(record["event"])["segments"]["looked"].values()
        assert version >= max((one for one in bands if one <= known[id]), default=0)
        assert version >= judged.get(profile, 0)
        crossed = (record["segments_entered"], record["segments_left"])
        inside[profile] = (inside.get(profile, False) or crossed[0] == ["band"]) and crossed[1] != ["band"]
        assert inside[profile] is (bands[version] <= numbers[id] < bands[version] + BAND), (id, version)
        judged[profile] = version
        seen.add(version)
    assert len(seen) > 2  # it did change in the middle
    members = {one["id"] for one in hub.store.search("profiles", "segments = band", 100, None).items}
    assert members == {profile for profile, is_in in inside.items() if is_in}


async def test_a_condition_is_checked_when_it_is_saved(hub: Running) -> None:
    refused = await hub.define("segment", "odd", condition="traits.x >")
    assert refused.status_code == 422
    assert "line 1, column 11" in refused.json()["detail"]
    odd = await hub.define("segment", "odd", condition="traits.x IS NULL")
    assert odd.status_code == 201
    assert len(odd.json()["warnings"]) == 1
