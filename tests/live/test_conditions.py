"""`POST /conditions/explain` and `hub condition explain --profile`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.conditions.history import note, series_of
from hub.model import Profile
from hub.settings import Kafka
from hub.store.query import for_kind, parse
from tests.contracts.batches import batch, event
from tests.live.api import KEY, Running, running

QUERY = "count(buy) in last 7 days >= 2 AND traits.age > 30 AND NOT traits.plan = gold"


@pytest.fixture
async def hub(kafka, namespace, tmp_path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        hub.store.write(batch(Profile("ann", 1, document()), event("e1", amount=12)))
        yield hub


def document() -> dict[str, Any]:
    """Bought twice, just now and six days ago."""
    ((key, series),) = series_of([for_kind(parse(QUERY), "profiles")]).items()
    now_ms = time.time_ns() // 1_000_000
    state = note(note({"count": 0}, series, now_ms), series, now_ms - 6 * 86_400_000)
    return {"id": "ann", "traits": {"age": 31}, "metadata": {"history": {key: state}}}


async def test_which_part_is_true_of_a_profile(hub: Running) -> None:
    answer = await hub.admin.post("/conditions/explain", json={"condition": QUERY, "id": "ann"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["tree"]["verdict"] == "unknown"
    bought, age, plan = found["tree"]["parts"]
    assert (bought["verdict"], bought["seen"][0]["value"]) == ("true", 2)
    assert (age["verdict"], age["seen"]) == ("true", [{"field": "traits.age", "state": "there", "value": 31}])
    assert (plan["verdict"], plan["kind"], plan["parts"][0]["seen"][0]["state"]) == ("unknown", "not", "missing")
    assert found["changes_at"] > time.strftime("%Y-%m-%d", time.gmtime())
    assert "hub_history" in found["sql"]["where"]
    assert found["search"]["exact"]
    assert found["histories"][0]["keep_ms"] == 7 * 86_400_000
    event_asked = {"condition": "properties.amount > 10", "kind": "events", "id": "e1"}
    answer = await hub.admin.post("/conditions/explain", json=event_asked)
    assert answer.json()["tree"]["verdict"] == "true"


async def test_what_cannot_be_explained(hub: Running) -> None:
    """A condition that is wrong, with its place; nobody of that name; without the key."""
    answer = await hub.admin.post("/conditions/explain", json={"condition": "count(buy) in last 7 > 2"})
    problem = answer.json()
    assert (answer.status_code, problem["reason"], problem["column"]) == (422, "bad_query", 20)
    answer = await hub.admin.post("/conditions/explain", json={"condition": "a = 1", "id": "nobody"})
    assert answer.status_code == 404
    answer = await hub.admin.post("/conditions/explain", json={"condition": "a = 1", "kind": "letters"})
    assert answer.status_code == 422
    assert (await hub.public.post("/conditions/explain", json={"condition": "a = 1"})).status_code == 401


async def test_the_command(hub: Running) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", "condition", "explain", QUERY),
        *("--url", str(hub.public.base_url), "--profile", "ann"),
        env=os.environ | {"HUB_ADMIN_KEY": KEY},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors
    assert output.decode().splitlines()[:5] == [
        "unknown   AND",
        "true        count(buy) IN LAST 7 days >= 2    [count(buy) IN LAST 7 days is 2]",
        "true        traits.age > 30    [traits.age is 31]",
        "unknown     NOT",
        "unknown       traits.plan = gold    [traits.plan is missing]",
    ]
    assert "It changes with time, of this document at " in output.decode()
