"""Imports by a real worker on a real Valkey: asked for over REST, killed, gone on with, exact; refused in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.settings import Imports, Kafka
from hub.task import OVER
from schemas.jobs import IMPORT
from tests.kafka_tools import eventually
from tests.live.api import Running, read_all, running
from tests.live.collector import collector
from tests.live.segment_site import Site, site, worker
from tests.servers import running as servers

ORDERS = {"source": "shop", "event_type": "order", "profile": "customer", "priority": "live"}


@pytest.fixture
def redis_url(shared_folder: Path) -> Iterator[str]:
    with servers.shared("valkey", shared_folder / "valkey") as url:
        yield url


@pytest.fixture
def at(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> Iterator[Site]:
    with site(kafka, namespace, tmp_path, redis_url) as made:
        made.define("source", "shop", type=["bridge"])
        yield made


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path, redis_url: str, at: Site) -> AsyncIterator[Running]:
    folder = tmp_path / "in"
    folder.mkdir()
    imports = Imports(folder=folder)
    given = Kafka(bootstrap=kafka, partitions=2)
    async with running(given, namespace, tmp_path, redis_url=redis_url, imports=imports) as made:
        yield made


def orders(folder: Path, rows: int, bad: int) -> None:
    """Args: bad: every so-manyth row has a cell too few."""
    lines = (f"{n},c{n % 97}\n" if (n + 1) % bad else f"{n}\n" for n in range(rows))
    (folder / "in" / "orders.csv").write_text("n,customer\n" + "".join(lines))


async def over(hub: Running, id: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = (await hub.admin.get(f"/tasks/{id}")).json()
        if found["state"] in OVER:
            return found
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_an_import_survives_its_workers(hub: Running, at: Site, tmp_path: Path) -> None:
    """Killed twice in the middle; in the end each row is there once, or a dead letter, and the counts say so."""
    orders(tmp_path, 20_000, 1_000)
    asked = await hub.admin.post("/imports", json={"location": "orders.csv", **ORDERS})
    assert asked.status_code == 202, asked.text
    task = asked.json()
    assert (task["kind"], task["queue"], task["arguments"]["id"]) == ("import", IMPORT, "orders.csv")
    variables = {"HUB_IMPORTS__FOLDER": str(tmp_path / "in")}
    for done in (1_000, 60_000):
        with worker(at, variables, queue=IMPORT) as one:

            def moved(done: int = done) -> bool:
                (part, *_) = at.store.slices(task["id"]) or [None]
                return part is not None and (part.done >= done or part.state == "done")

            await asyncio.to_thread(eventually, moved)
            one.kill()
    with collector(at.kafka.bootstrap, at.namespace, tmp_path), worker(at, variables, queue=IMPORT):
        found = await over(hub, task["id"])
        assert found["state"] == "done", found
        assert found["counts"] == {"read": 20_000, "sent": 19_980, "dead": 20, "events": 19_980}
        assert found["progress"]["done"] == found["progress"]["total"]
        assert found["sample"][0]["row"] == "row 1000"
        await asyncio.to_thread(eventually, lambda: at.store.count("events", "") == 19_980)
        await asyncio.to_thread(eventually, lambda: at.store.count("dead-letters", "") == 20)


async def test_what_cannot_be_imported_fails_in_words(hub: Running, at: Site, tmp_path: Path) -> None:
    async def refused(**document: Any) -> str:
        answer = await hub.admin.post("/imports", json={**ORDERS, **document})
        assert answer.status_code == 422, answer.text
        return str(answer.json()["detail"])

    assert "there is no file nope.csv" in await refused(location="nope.csv")
    assert "is not in the folder" in await refused(location="../hub.sqlite")
    assert "is not in the folder" in await refused(location="/etc/passwd")
    assert "unknown function" in await refused(
        location="s3://b/k", event_type="", profile="", mapping={"event": {"type": "x(y)"}}
    )
    assert "Extra inputs" in await refused(location="s3://b/k", nope=1)
    (tmp_path / "in" / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    asked = (await hub.admin.post("/imports", json={**ORDERS, "location": "picture.csv"})).json()
    with worker(at, {"HUB_IMPORTS__FOLDER": str(tmp_path / "in")}, queue=IMPORT):
        found = await over(hub, asked["id"])
    assert found["state"] == "failed"
    assert "this is a picture, no text" in found["error"]
    assert read_all(at.kafka, at.namespace) == []


async def test_a_password_is_sealed_before_anybody_sees_it(hub: Running) -> None:
    document = {
        **ORDERS,
        "location": "postgresql://db/shop",
        "table": "orders",
        "username": "me",
        "password": "hunter2",
    }
    asked = await hub.admin.post("/imports", json=document)
    assert asked.status_code == 202
    assert "hunter2" not in asked.text
    assert asked.json()["arguments"]["password"].startswith("sealed:")
    plain = {"kind": "import", "arguments": {**document, "id": "x"}}
    answer = await hub.admin.post("/tasks", json=plain)
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


@pytest.mark.slow
async def test_a_worker_goes_only_where_it_may_connect_to(hub: Running, at: Site) -> None:
    document = {**ORDERS, "location": "postgresql://127.0.0.1:1/shop", "table": "orders"}
    asked = await hub.admin.post("/imports", json=document)
    assert asked.status_code == 202, asked.text
    with worker(at, {"HUB_EGRESS__NETWORKS": '["192.0.2.0/24"]'}, queue=IMPORT):
        found = await over(hub, asked.json()["id"])
    assert found["state"] == "failed"
    assert "HUB_EGRESS__NETWORKS" in found["error"]


async def test_a_trial_shows_what_would_be(hub: Running, at: Site, tmp_path: Path) -> None:
    orders(tmp_path, 50, 10)
    answer = await hub.admin.post("/imports/test?rows=20", json={"location": "orders.csv", **ORDERS})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["counts"] == {"read": 20, "sent": 18, "dead": 2, "dropped": 0, "events": 18}
    assert found["whole"] is False
    assert found["payloads"][0]["profile"] == {"id": "c0"}
    assert [bad["row"] for bad in found["bad"]] == ["row 10", "row 20"]
    answer = await hub.admin.post("/imports/test", json={"location": "nope.csv", **ORDERS})
    assert (answer.status_code, "there is no file" in answer.text) == (422, True)
    assert read_all(at.kafka, at.namespace) == []


async def test_a_dead_row_goes_in_by_another_mapping(hub: Running, at: Site, tmp_path: Path) -> None:
    """It keeps its ids, as an event and as a letter."""
    (tmp_path / "in" / "orders.csv").write_text("n,customer,paid\n1,c1,5\n2,c2,nothing\n")
    mapping = {"profile": "customer", "event": {"type": "'order'", "properties": {"paid": "number(paid)"}}}
    document = {"location": "orders.csv", "source": "shop", "mapping": mapping, "priority": "live"}
    asked = (await hub.admin.post("/imports", json=document)).json()
    variables = {"HUB_IMPORTS__FOLDER": str(tmp_path / "in")}
    with collector(at.kafka.bootstrap, at.namespace, tmp_path):
        with worker(at, variables, queue=IMPORT):
            assert (await over(hub, asked["id"]))["counts"]["dead"] == 1
        await asyncio.to_thread(eventually, lambda: at.store.count("dead-letters", "") == 1)
        (letter,) = (await hub.admin.get("/dead-letters")).json()["items"]
        assert letter["origin"] == "import:orders.csv:row 2"
        answer = await hub.admin.post(f"/dead-letters/{letter['id']}/replay", json={})
        assert "it is a row of the import 'orders.csv': give the mapping" in answer.text
        mended = {**mapping, "event": {"type": "'order'", "properties": {"paid": "to_number(paid)"}}}
        answer = await hub.admin.post(f"/dead-letters/{letter['id']}/replay", json={"mapping": mended})
        assert answer.json()["sent"] == 1, answer.text
        await asyncio.to_thread(eventually, lambda: at.store.count("events", "") == 2)
        await asyncio.to_thread(eventually, lambda: at.store.count("dead-letters", "status = open") == 0)
