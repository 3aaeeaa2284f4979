"""What the API says of segments, with a real API, Kafka, collector and store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hub.api.definitions import Rules
from hub.definitions.kinds import Segment
from hub.errors import Unavailable
from hub.pipeline.documents import iso
from hub.segments.sizes import HOUR_MS
from hub.segments.timers import now_ms
from hub.settings import Kafka
from tests.kafka_tools import eventually
from tests.live.api import Running, running
from tests.live.collector import collector


@pytest.fixture
async def api(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    """An API, and no collector."""
    async with running(Kafka(bootstrap=kafka, partitions=2), namespace, tmp_path) as api:
        await api.define("source", "shop")
        yield api


@pytest.fixture
async def hub(api: Running, kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    """With a collector that has stored ten profiles: p0 to p9, traits.n as in the id, and as many purchases."""
    fields = [{"event": "properties.n", "profile": "traits.n"}]
    await api.define("mapping", "n", event_type="sign-in", fields=fields)
    with collector(kafka, namespace, tmp_path):
        for n in range(10):
            await send(api, f"p{n}", {"type": "sign-in", "properties": {"n": n}}, *[{"type": "purchase"}] * n)
        await settled(lambda: api.store.count("profiles", "") == 10)
        yield api


async def send(hub: Running, profile: str, *events: dict[str, Any]) -> None:
    body = {"source": {"id": "shop"}, "profile": {"id": profile}, "events": events}
    assert (await hub.public.post("/track", json=body)).status_code == 200


async def settled(look: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, look)


async def get(hub: Running, path: str, **query: Any) -> Any:
    answer = await hub.admin.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def preview(hub: Running, condition: str, **more: Any) -> Any:
    answer = await hub.admin.post("/segments/preview", json={"condition": condition, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_preview_counts_shows_and_says_why(hub: Running) -> None:
    found = await preview(hub, "traits.n >= 7", size=2, profile="p3")
    assert (found["count"], found["total"], found["exact"]) == (3, 10, True)
    sample = {one["id"] for one in found["sample"]}
    assert len(sample) == 2
    assert sample < {"p7", "p8", "p9"}
    assert found["profile"]["id"] == "p3"
    assert found["profile"]["matches"] is False
    assert found["profile"]["parts"]["verdict"] == "false"
    assert found["profile"]["parts"]["seen"][0]["value"] == 3
    assert found["warnings"] == []
    # of events that nobody has counted so far
    found = await preview(hub, "count(purchase) in last 7 days >= 6", profile="p6")
    assert (found["count"], found["exact"]) == (4, True)
    assert {one["id"] for one in found["sample"]} == {"p6", "p7", "p8", "p9"}
    assert found["profile"]["matches"] is True
    everybody = await preview(hub, "count(purchase) >= 0", size=0)
    assert everybody["count"] == 10
    assert everybody["warnings"]
    # nothing was changed, and no segment is there
    assert (await get(hub, "/segments"))["items"] == []


async def test_whoever_saves_a_condition_that_everybody_meets_is_warned(
    hub: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those who are there, by what they are and by what they have done; it is accepted all the same."""
    every = ["every profile matches: is something missing in the condition?"]
    for condition, warned in (
        ("traits.n >= 0", every),
        ("traits.n >= 1", []),
        ("stats.events >= 1 AND count(sign-in) in last 7 days >= 1", every),
        ("count(purchase) >= 1", []),
    ):
        answer = await hub.define("segment", "most", condition=condition)
        assert (answer.is_success, answer.json()["warnings"]) == (True, warned), condition
    monkeypatch.setattr("hub.segments.preview.SAMPLE", 5)
    monkeypatch.setattr("hub.segments.preview._PLACES", 5)
    answer = await hub.define("segment", "most", condition="traits.n >= 0")
    (warning,) = answer.json()["warnings"]
    assert warning.startswith("all of the 5 profiles that were tried match, of 10")
    assert (await hub.define("segment", "most", condition="traits.n >= 4")).json()["warnings"] == []
    answer = await hub.define("segment", "most", condition="traits.n >= 0", enabled=False)
    assert answer.json()["warnings"] == []


def test_a_store_that_is_away_keeps_no_answer_back() -> None:
    """The definition is saved by then."""

    def away(_: Any) -> list[str]:
        raise Unavailable("store", "it does not answer")

    (warning,) = Rules(probers={"segment": away}).probed("segment", Segment())
    assert warning.startswith("it is saved, but")
    assert "it does not answer" in warning


async def test_what_is_wrong_with_a_condition_is_said(api: Running) -> None:
    answer = await api.admin.post("/segments/preview", json={"condition": "traits.n >="})
    assert answer.status_code == 422
    assert answer.json()["line"] == 1
    answer = await api.admin.post("/segments/preview", json={"condition": "traits.n > 1", "profile": "nobody"})
    assert answer.status_code == 404


@pytest.mark.parametrize("type", ["application/x-www-form-urlencoded", "text/plain", ""])
async def test_a_body_is_json_whatever_type_it_says_it_has(api: Running, type: str) -> None:
    """`curl -d` calls it a form."""
    body = b'{"condition": "traits.n > 1"}'
    answer = await api.admin.post("/segments/preview", content=body, headers={"content-type": type} if type else {})
    assert (answer.status_code, answer.json()["count"]) == (200, 0)


async def test_a_list_is_changed_and_read(hub: Running) -> None:
    await hub.define("segment", "vip", name="Very important")
    answer = await hub.admin.post("/segments/vip/profiles", json={"add": ["p1", "p2", "p3", "nobody"]})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 3, "unknown": ["nobody"]})
    await settled(lambda: hub.store.segment_sizes() == {"vip": 3})
    await hub.admin.post("/segments/vip/profiles", json={"remove": ["p2"]})
    await settled(lambda: hub.store.segment_sizes() == {"vip": 2})
    page = await get(hub, "/segments/vip/profiles", size=1)
    rest = await get(hub, "/segments/vip/profiles", size=1, cursor=page["next"])
    assert {one["id"] for one in page["items"] + rest["items"]} == {"p1", "p3"}
    assert rest["next"] is None
    (listed,) = (await get(hub, "/segments"))["items"]
    assert (listed["id"], listed["name"], listed["size"]) == ("vip", "Very important", 2)
    shown = await get(hub, "/segments/vip")
    assert (shown["condition"], shown["backfill"]) == (None, None)


async def test_whom_a_condition_lets_in_no_list_can_change(api: Running) -> None:
    await api.define("segment", "high", condition="traits.n >= 5")
    answer = await api.admin.post("/segments/high/profiles", json={"add": ["p1"]})
    assert answer.status_code == 409
    await api.define("segment", "off", enabled=False)
    assert (await api.admin.post("/segments/off/profiles", json={"add": ["p1"]})).status_code == 409
    assert (await api.admin.post("/segments/off/backfill")).status_code == 409
    # there is no Redis here to plan it in
    assert (await api.admin.post("/segments/high/backfill")).status_code == 503


async def test_sizes_of_the_last_hours_are_told(api: Running) -> None:
    await api.define("segment", "high", condition="traits.n >= 5")
    hour = now_ms() // HOUR_MS
    for ago in range(3):
        api.store.keep_sizes(hour - ago, {"high": 10 - ago}, 0)
    found = (await get(api, "/segments/high/sizes"))["items"]
    assert [one["members"] for one in found] == [8, 9, 10]
    begin = iso((hour - 1) * HOUR_MS)
    assert [one["members"] for one in (await get(api, "/segments/high/sizes", **{"from": begin}))["items"]] == [9, 10]


async def test_a_segment_that_is_not_there_is_not_found(api: Running) -> None:
    for path in ("", "/sizes", "/profiles"):
        assert (await api.admin.get(f"/segments/nothing{path}")).status_code == 404
