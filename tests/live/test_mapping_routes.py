"""Mappings over REST: those that come with the hub, and one tried on messages before it is anybody's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.settings import Kafka
from tests.live.api import Running, running

MAPPING = {
    "profile": "who",
    "event": {"type": "'paid'", "properties": {"amount": "number(paid)", "via": "meta('key')"}},
}


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as made:
        await made.define("source", "shop")
        yield made


async def tried(hub: Running, mapping: Any, *bodies: str, **more: Any) -> dict[str, Any]:
    messages = [{"body": body, "meta": {"key": "k"}} for body in bodies]
    wanted = {"mapping": mapping, "source": "shop", "messages": messages, **more}
    answer = await hub.admin.post("/mappings/try", json=wanted)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_mapping_is_tried_on_messages(hub: Running) -> None:
    found = await tried(hub, MAPPING, '{"who": "ann", "paid": "2.5"}', '{"who": "bob", "paid": "a lot"}', "{")
    assert found["findings"] == []
    good, odd, broken = found["messages"]
    assert good["payload"]["profile"] == {"id": "ann"}
    assert good["payload"]["events"][0]["properties"] == {"amount": 2.5, "via": "k"}
    assert not good["dropped"]
    assert (odd["refused"]["reason"], odd["refused"]["where"]) == ("mapping_failed", "event.properties.amount")
    assert broken["refused"]["reason"] == "not_json"
    assert await hub.records() == []


async def test_what_is_wrong_or_doubtful_is_named(hub: Running) -> None:
    wrong = await tried(hub, {"event": {"type": "'paid'", "properties": {"a": "paid["}}}, "{}")
    [finding] = wrong["findings"]
    assert (finding["level"], finding["where"], finding["path"]) == (
        "error",
        "event.properties.a",
        ["event", "properties", "a"],
    )
    assert wrong["messages"] == []
    doubtful = await tried(hub, {"event": {"type": "'paid'"}}, "{}")
    assert [one["level"] for one in doubtful["findings"]] == ["warning"]
    assert len(doubtful["messages"]) == 1


async def test_what_a_bridge_would_refuse_is_refused(hub: Running) -> None:
    [dropped] = (await tried(hub, {**MAPPING, "when": "paid"}, '{"who": "ann"}'))["messages"]
    assert dropped["dropped"]
    [plain] = (await tried(hub, None, '{"events": [{"type": "view"}]}'))["messages"]
    assert plain["payload"]["events"] == [{"type": "view"}]
    [unknown] = (await tried(hub, MAPPING, '{"who": "ann", "paid": 1}', source="nobody"))["messages"]
    assert unknown["refused"]["reason"] == "unknown_source"


async def test_ready_made_ones_can_be_looked_at_and_used(hub: Running) -> None:
    items = (await hub.admin.get("/mappings")).json()["items"]
    assert "segment" in [one["name"] for one in items]
    for one in items:
        assert (await tried(hub, one["mapping"]))["findings"] == (await tried(hub, one["name"]))["findings"]
