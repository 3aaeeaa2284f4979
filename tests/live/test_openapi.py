"""The API does what its own description says, whatever comes: requests are made of it by a machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, NamedTuple

import pytest

from hub.settings import Kafka
from tests.live.api import ADMIN, Running, running
from tests.live.collector import collector
from tests.live.described import explore

DEFINED: Final = {
    ("source", "shop"): {"type": ["rest", "webhook", "redirect", "bridge"], "write_keys": ["wk_shop"]},
    ("redirect", "spring"): {"url": "https://shop.example/", "source": "shop", "event_type": "link-followed"},
    ("bridge", "issues"): {"type": "webhook", "source": "shop", "settings": {"signature": "none"}},
    ("consent-type", "mail"): {},
    ("flow", "tea"): {"nodes": {"start": {"type": "start"}}},
}


class Filled(NamedTuple):
    """A hub that has one of everything, and where that is: by name of a path parameter."""

    url: str
    known: Mapping[str, Sequence[str]]


@pytest.fixture
async def filled(kafka, namespace, tmp_path) -> AsyncIterator[Filled]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        with collector(kafka, namespace, tmp_path):
            known = await _fill(hub)
        yield Filled(str(hub.public.base_url).rstrip("/"), known)


async def _fill(hub: Running) -> Mapping[str, Sequence[str]]:
    for (kind, id), spec in DEFINED.items():
        answer = await hub.define(kind, id, **spec)
        assert answer.status_code == 201, answer.text
    payload = {"source": "shop", "session": {"id": "s"}, "profile": {"id": "ann"}, "events": [{"id": "e", "type": "v"}]}
    for sent in (payload, {**payload, "session": {"id": "t"}, "profile": {"id": "bob"}}):
        assert (await hub.public.post("/track", json=sent)).status_code == 200
    asked = await hub.admin.post("/tasks", json={"id": "nightly", "kind": "copy-events-to-profiles"})
    assert asked.status_code == 202
    letter = (await hub.public.post("/webhooks/issues", content=json.dumps([1]))).json()
    assert letter["taken"] == "dead_letter"
    async with asyncio.timeout(30):
        while not (found := (await hub.admin.get("/events")).json()["items"]):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
        while (await hub.admin.get(f"/dead-letters/{letter['id']}")).is_error:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return {
        "Content-Encoding": ["identity"],
        "type": ["order-done"],
        "source": ["shop"],
        "redirect": ["spring"],
        "bridge": ["issues"],
        "key": ["wk_shop"],
        "kind": [kind for kind, _ in DEFINED],
        "collect/session": ["s"],
        "customer/session": ["s"],
        "customer/profile": ["ann"],
        "events/id": [found[0]["id"]],
        "profiles/id": ["ann", "bob"],
        "profiles/profile": ["ann", "bob"],
        "sessions/id": ["s", "t"],
        "dead-letters/id": [letter["id"]],
        "bridges/id": ["issues"],
        "flows/id": ["tea"],
        "definitions/id": [id for _, id in DEFINED],
        "tasks/id": ["nightly"],
    }


@pytest.mark.slow
async def test_every_answer_is_as_the_description_says(filled):
    findings = await asyncio.to_thread(explore, filled.url, ADMIN, filled.known, examples=2, number=1, twins=False)
    assert not findings, f"\n{findings}"
    reached = {label for label, statuses in findings.statuses.items() if min(statuses) < 400}
    assert {"POST /track", "GET /events/{id}", "PUT /definitions/source/{id}", "POST /webhooks/{bridge}"} <= reached


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("number", range(1, 3))
async def test_hundreds_of_requests_to_each_operation(filled, number):
    findings = await asyncio.to_thread(explore, filled.url, ADMIN, filled.known, examples=30, number=number)
    assert not findings, f"\n{findings}"
