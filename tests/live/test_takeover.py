"""The predecessor's documents by a real worker, from a real server that is closed to writing: killed, repeated."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest

from hub.migration.fates import ERASED
from hub.segments.timers import now_ms
from hub.settings import Kafka
from hub.task import OVER, Planned, Task
from schemas.jobs import MIGRATION
from tests.kafka_tools import eventually
from tests.live.api import KEY, Running, running
from tests.live.collector import collector
from tests.live.segment_site import Site, site, worker
from tests.predecessor import SOURCE, Layout, flow_document, installation, load
from tests.servers import mariadb
from tests.servers import running as servers
from tests.takeover_model import Model

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def redis_url(shared_folder: Path) -> Iterator[str]:
    with servers.shared("valkey", shared_folder / "valkey") as url:
        yield url


@pytest.fixture
def cluster(shared_folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    name = getattr(request, "param", "elasticsearch")
    with servers.shared(name, shared_folder / name) as url:
        yield url


@pytest.fixture
def at(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> Iterator[Site]:
    with site(kafka, namespace, tmp_path, redis_url) as made:
        made.define("source", SOURCE, type=["rest"])
        for segment in ("vip", "seen"):
            made.define("segment", segment)
        yield made


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path, redis_url: str, at: Site) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka, partitions=2), namespace, tmp_path, redis_url=redis_url) as made:
        yield made


async def over(hub: Running, id: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = (await hub.admin.get(f"/tasks/{id}")).json()
        if found["state"] in OVER:
            return found
        await asyncio.sleep(0.05)


async def ask(hub: Running, url: str, **arguments: Any) -> dict[str, Any]:
    asked = await hub.admin.post(
        "/tasks",
        json={"kind": "take-over", "arguments": {"location": f"elasticsearch+{url}", "priority": "live", **arguments}},
    )
    assert asked.status_code == 202, asked.text
    return dict(asked.json())


@pytest.mark.slow
@pytest.mark.first
@pytest.mark.parametrize(
    ("cluster", "layout"),
    [
        ("elasticsearch", "09x"),
        pytest.param("opensearch", "082x", marks=pytest.mark.long),
        pytest.param("opensearch", "09x", marks=pytest.mark.long),
        pytest.param("elasticsearch8", "082x", marks=pytest.mark.long),
    ],
    indirect=["cluster"],
)
async def test_a_takeover_survives_its_workers(
    hub: Running, at: Site, tmp_path: Path, cluster: str, namespace: str, layout: Layout
) -> None:
    data = installation(layout, 60, tenant=namespace)
    await asyncio.to_thread(load, cluster, data)
    model = Model(data)
    with collector(at.kafka.bootstrap, at.namespace, tmp_path):
        rehearsed = await ask(hub, cluster, tenant=namespace, dry_run=True)
        with worker(at, queue=MIGRATION):
            dry = await over(hub, rehearsed["id"])
        assert dry["state"] == "done", dry
        assert at.store.count("events", "") == 0
        task = await ask(hub, cluster, tenant=namespace)
        for done in (1, 200):
            with worker(at, queue=MIGRATION) as one:

                def moved(done: int = done) -> bool:
                    parts = at.store.slices(task["id"])
                    return sum(part.done for part in parts) >= done

                await asyncio.to_thread(eventually, moved)
                one.kill()
        with worker(at, queue=MIGRATION):
            found = await over(hub, task["id"])
            assert found["state"] == "done", found
            assert model.adds_up(found["counts"])
            await asyncio.to_thread(eventually, lambda: model.is_level(at.store))
            model.check(at.store)
            again = await over(hub, (await ask(hub, cluster, tenant=namespace))["id"])
    assert dry["counts"] == found["counts"]
    model.check(at.store)
    for kind in ("events", "sessions", "profiles"):
        taken, duplicates = found["counts"][f"{kind} taken"], again["counts"][f"{kind} duplicate"]
        assert duplicates == taken + found["counts"].get(f"{kind} duplicate", 0), again["counts"]
        assert f"{kind} taken" not in again["counts"]


@pytest.mark.slow
def test_a_worker_goes_only_where_it_may_connect_to(at: Site) -> None:
    """Neither to look for what there is, nor for the documents of a slice that another one has begun."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.setblocking(False)
        location = f"elasticsearch+http://127.0.0.1:{listening.getsockname()[1]}"
        ids = ["new", "begun"]
        for id in ids:
            task = Task(id=id, kind="take-over", queue=MIGRATION, arguments={"location": location}, asked_ms=now_ms())
            assert at.store.add_task(task)
        index = {"what": "09x.tracardi-event", "kind": "event", "installation": "09x"}
        assert at.store.plan_task("begun", [Planned(index, 1)], now_ms())

        def tasks() -> list[Task]:
            return [task for id in ids if (task := at.store.task(id)) is not None and task.state in OVER]

        with worker(at, {"HUB_EGRESS__NETWORKS": '["192.0.2.0/24"]'}, queue=MIGRATION):
            eventually(lambda: len(tasks()) == len(ids))
        for task in tasks():
            assert task.state == "failed"
            assert "HUB_EGRESS__NETWORKS" in task.error
        with pytest.raises(BlockingIOError):
            listening.accept()


async def command(hub: Running, at: Site, url: str, *options: str, code: int = 0, **variables: str) -> str:
    """`hub migrate takeover`; what it said."""
    environment = {**os.environ, "HUB_ADMIN_KEY": KEY, "HUB_DATA": str(at.folder), **variables}
    line = ["migrate", "takeover", f"elasticsearch+{url}", "--url", str(hub.public.base_url), *options]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "hub", *line],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return str(done.stdout + done.stderr)


async def specs(hub: Running, kind: str) -> dict[str, Any]:
    items = (await hub.admin.get(f"/definitions/{kind}")).json()["items"]
    return {one["id"]: one["spec"] for one in items if not one.get("built_in")}


@pytest.mark.slow
async def test_a_command_takes_everything_and_its_report_adds_up(
    hub: Running, at: Site, tmp_path: Path, cluster: str, namespace: str
) -> None:
    data = installation("082x", 20, tenant=namespace)
    await asyncio.to_thread(load, cluster, data)
    which = ("--tenant", namespace)
    looked = await command(hub, at, cluster, *which, "--look")
    assert f"0.8.2, tenant {namespace}, production, profiles with data" in looked
    assert "it holds credentials, which are nobody's to copy" in looked
    assert "there are" in (await command(hub, at, cluster, "--tenant", "nope", code=2)).lower()
    report = tmp_path / "report.json"
    with collector(at.kafka.bootstrap, at.namespace, tmp_path), worker(at, queue=MIGRATION):
        await command(hub, at, cluster, *which, "--dry-run", "--report", str(report))
        rehearsed = json.loads(report.read_text())
        assert (await specs(hub, "flow-draft"), at.store.count("events", "")) == ({}, 0)
        said = await command(hub, at, cluster, *which, "--report", str(report))
        found = json.loads(report.read_text())
        assert "it adds up" in said
        assert found["adds_up"]
        assert found["totals"] == rehearsed["totals"]
        assert {row["what"] for row in found["definitions"]} == {"taken", "duplicate", "left"}
        drafts = await specs(hub, "flow-draft")
        assert sorted(drafts) == ["f1", "f2"]
        # what was there stays as it was
        assert (await specs(hub, "source"))[SOURCE]["name"] == ""
        assert sorted(await specs(hub, "segment")) == ["gold", "odd", "seen", "vip"]
        by_index = {one["index"].rpartition("tracardi-")[2]: one for one in found["documents"]}
        assert by_index["resource"]["why"] == {"left: it holds credentials, which are nobody's to copy": 1}
        assert by_index["user"]["left"] == 1
        again = await command(hub, at, cluster, *which, "--report", str(report))
        assert "it adds up" in again
        assert json.loads(report.read_text())["totals"]["taken"] == 0
        # who is erased here stays so, whatever the predecessor still has
        victim = next(doc.id for doc in data.of("profile"))
        assert (await hub.admin.post(f"/profiles/{victim}/erase")).status_code == 202
        await asyncio.to_thread(eventually, lambda: at.store.get("profiles", victim) is None)
        await command(hub, at, cluster, *which, "--only", "profiles", "--only", "events", "--report", str(report))
        found = json.loads(report.read_text())
        assert found["totals"]["taken"] == 0
        assert sum(one["why"].get(f"left: {ERASED}", 0) for one in found["documents"]) >= 5
        assert at.store.get("profiles", victim) is None


@pytest.mark.slow
async def test_definitions_of_090_come_from_mysql(
    hub: Running, at: Site, tmp_path: Path, cluster: str, namespace: str, shared_folder: Path
) -> None:
    await asyncio.to_thread(load, cluster, installation("09x", 3, tenant=namespace))
    which = ("--tenant", namespace, "--only", "definitions")
    assert "are in MySQL: name it" in await command(hub, at, cluster, *which)
    with servers.shared("mariadb", shared_folder / "mariadb") as url:
        place = await asyncio.to_thread(metadata, url, namespace)
        options = ("--metadata", f"mysql://{place}", "--metadata-username", mariadb.USER)
        said = await command(hub, at, cluster, *which, *options, "--metadata-password", "env:PW", PW=mariadb.PASSWORD)
    assert "taken     flow/f1 -> flow-draft f1" in said
    assert list((await specs(hub, "flow-draft"))["f1"]["nodes"]) == ["n1"]
    assert (await specs(hub, "source"))["hook"]["type"] == ["webhook"]
    assert mariadb.PASSWORD not in said


def metadata(url: str, tenant: str) -> str:
    """Two tables of 0.9.0, with rows of another tenant and of staging beside. Returns host, port and database."""
    host, _, port = url.rpartition("://")[2].partition("/")[0].rpartition(":")
    flow = flow_document("f1", [{"id": "n1", "class": "StartAction", "module": "flow.start.start_action"}], [])["draft"]
    database = f"md_{tenant}"
    connection = pymysql.connect(
        host=host, port=int(port), user=mariadb.USER, password=mariadb.PASSWORD, autocommit=True
    )
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
        cursor.execute(f"USE {database}")
        common = "id VARCHAR(40), tenant VARCHAR(40), production BOOLEAN, name VARCHAR(64)"
        cursor.execute(f"CREATE TABLE workflow ({common}, type VARCHAR(64), draft BLOB, prod BLOB)")
        cursor.execute(f"CREATE TABLE event_source ({common}, type VARCHAR(32), tags VARCHAR(255), enabled BOOLEAN)")
        for whose, production in ((tenant, 1), (tenant, 0), ("other", 1)):
            id = "f1" if (whose, production) == (tenant, 1) else "no"
            row = (id, whose, production, "Flow", "collection", flow.encode())
            cursor.execute("INSERT INTO workflow VALUES (%s, %s, %s, %s, %s, %s, NULL)", row)
        cursor.execute("INSERT INTO event_source VALUES ('hook', %s, 1, 'Hook', 'webhook', 'a,b', 1)", (tenant,))
    return f"{host}:{port}/{database}"


@pytest.mark.long
@pytest.mark.timeout(3_000)
async def test_a_hundred_thousand_documents_killed_five_times(
    hub: Running, at: Site, tmp_path: Path, cluster: str, namespace: str
) -> None:
    data = installation("082x", 11_000, tenant=namespace, events=6)
    assert len(data.docs) > 100_000
    await asyncio.to_thread(load, cluster, data)
    model = Model(data)
    with collector(at.kafka.bootstrap, at.namespace, tmp_path):
        task = await ask(hub, cluster, tenant=namespace)
        for done in (1 + turn * len(data.docs) // 6 for turn in range(5)):
            with worker(at, queue=MIGRATION) as one:

                def moved(done: int = done) -> bool:
                    return sum(part.done for part in at.store.slices(task["id"])) >= done

                await asyncio.to_thread(eventually, moved, 600.0)
                one.kill()
        with worker(at, queue=MIGRATION):
            found = await over(hub, task["id"])
        assert found["state"] == "done", found
        assert model.adds_up(found["counts"])
        await asyncio.to_thread(eventually, lambda: model.is_level(at.store), 900.0)
        model.check(at.store)
