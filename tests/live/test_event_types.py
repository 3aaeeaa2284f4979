"""Event types over REST: those that come with the hub are there, and people's own replace them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hub.settings import Kafka
from tests.live.api import Running, running

ROUTE = "/definitions/event-type"


@pytest.fixture
async def hub(kafka, namespace, tmp_path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        yield hub


async def test_the_types_of_the_hub_are_listed_and_can_be_replaced_and_had_back(hub):
    items = {item["id"]: item for item in (await hub.admin.get(ROUTE)).json()["items"]}
    assert len(items) == 65
    assert all(item["built_in"] is True for item in items.values())
    one = (await hub.admin.get(f"{ROUTE}/page-view")).json()
    assert one == items["page-view"]
    assert one["spec"]["copy"] == {"hit.id": "properties.id", "hit.category": "properties.category"}

    changed = {**one["spec"], "copy": {**one["spec"]["copy"], "traits.theme": "properties.theme"}}
    answer = await hub.admin.put(f"{ROUTE}/page-view", json=changed, headers={"If-Match": '"-1"'})
    assert answer.status_code == 201, answer.text
    items = {item["id"]: item for item in (await hub.admin.get(ROUTE)).json()["items"]}
    assert len(items) == 65
    assert items["page-view"] == answer.json()
    assert (items["page-view"]["built_in"], items["page-view"]["spec"]) == (False, changed)
    assert (await hub.admin.put(f"{ROUTE}/page-view", json=changed, headers={"If-Match": '"-1"'})).status_code == 409

    assert (await hub.admin.delete(f"{ROUTE}/page-view")).status_code == 204
    assert (await hub.admin.get(f"{ROUTE}/page-view")).json() == one
    answer = await hub.admin.delete(f"{ROUTE}/page-view")
    assert (answer.status_code, "enabled" in answer.json()["detail"]) == (409, True)
    assert (await hub.admin.delete(f"{ROUTE}/nothing")).status_code == 404


@pytest.mark.parametrize(
    ("id", "spec", "words"),
    [
        ("Page View", {}, "'page-view'"),
        ("seen", {"profile": [{"event": "id", "profile": "traits.x", "when": "a ="}]}, "profile[0].when"),
        ("seen", {"profile": [{"event": "id", "profile": "ids.x"}]}, "such as traits.city"),
        ("seen", {"copy": {"metadata.x": "properties.x"}}, "such as traits.branch"),
    ],
)
async def test_a_type_that_cannot_work_is_refused_when_it_is_saved(hub, id, spec, words):
    answer = await hub.admin.put(f"{ROUTE}/{id}", json=spec)
    assert answer.status_code == 422
    assert words in answer.text


async def test_a_mapping_with_a_condition_that_is_none_is_refused(hub):
    fields = [{"event": "properties.x", "profile": "traits.x"}]
    answer = await hub.admin.put(
        "/definitions/mapping/m", json={"event_type": "x", "when": "numbr(properties.x)", "fields": fields}
    )
    assert answer.status_code == 422
    assert "is it number" in answer.json()["detail"]
