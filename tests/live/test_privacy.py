"""People who are erased: over REST, replayed from the log, killed wherever it hurts."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.collector.crash import CrashPoint
from hub.definitions.catalogue import Catalogue
from hub.log.follower import Follower
from hub.replay.bounds import BEGINNING
from hub.replay.options import Options
from hub.replay.run import replay
from hub.settings import Bulk, Kafka
from hub.stack.keys import identity_key
from hub.store import Store, open_store
from schemas.topics import DEAD, EVENTS, STORED
from tests import stores
from tests.factories import totals
from tests.kafka_tools import eventually, write_events
from tests.live.api import running
from tests.live.collector import CRASHES, collector
from tests.live.test_identity import done, prepared, sent, sign_in
from tests.unit.test_privacy import order


def replayed(settings: Kafka, namespace: str, folder: Path, into: str | None = None) -> dict[str, Any]:
    """The whole log again; into live, or a shadow."""
    options = Options(
        kafka=settings,
        namespace=namespace,
        store_url=stores.store_url(folder, namespace),
        data=folder,
        since=BEGINNING,
        into=into,
        bulk=Bulk(),
        environment={**os.environ, "HUB_DATA": str(folder)},
    )
    report = replay(options, 0)
    return {"records": report.records, "shadow": report.shadow, "diff": report.diff}


async def test_who_is_erased_stays_away(kafka: str, namespace: str, tmp_path: Path) -> None:
    """Exported, erased as a whole; no replay of the log brings them back; who comes again is somebody new."""
    settings = prepared(kafka, namespace)
    catalogue = Catalogue(identity_key(None, tmp_path))
    with collector(kafka, namespace, tmp_path), Follower(settings, namespace, catalogue):
        async with running(settings, namespace, tmp_path, catalogue=catalogue) as hub:
            level = done(hub.store, settings, namespace)
            await hub.admin.put("/definitions/source/shop", json={"type": ["rest"]})

            send = partial(sent, hub)
            await send("bob", "s1", n=1, email="Ann@Example.com")
            await send("dan", "s3", n=8, email="dan@example.com")
            eventually(lambda: hub.store.count("events", "") == 2)
            await send("ann", "s2", n=2, email=" ann@example.COM")
            eventually(lambda: hub.store.count("profiles", "traits.sum = 3") == 1 and level())

            answer = await hub.admin.get("/profiles/bob/export")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
            with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
                assert file.testzip() is None
                manifest = json.loads(file.read("manifest.json"))
                events = [json.loads(line) for line in file.read("events.ndjson").splitlines()]
                assert json.loads(file.read("profile.json"))["id"] == "ann"
                assert len(json.loads(file.read("identity.json"))["merges"]) == 1
                assert "events.ndjson" in file.read("README.txt").decode()
            assert manifest["documents"] == {"sessions": 2, "events": 2, "dead-letters": 0, "flow-runs": 0}
            assert sorted(event["properties"]["n"] for event in events) == [1, 2]
            assert (await hub.admin.get("/profiles/zoe/export")).status_code == 404

            assert (await hub.public.post("/profiles/bob/erase")).status_code == 401
            assert (await hub.admin.post("/profiles/zoe/erase")).status_code == 404
            asked = await hub.admin.post("/profiles/bob/erase", json={"reason": "ticket 7"})
            assert (asked.status_code, asked.json()["state"]) == (202, "accepted")
            place = f"/erasures/{asked.json()['id']}"
            eventually(lambda: bool(hub.store.orders(1, None)) and hub.store.removals() == [])
            report = (await hub.admin.get(place)).json()
            assert (report["state"], report["reason"], report["suppressed"]) == ("done", "ticket 7", False)
            assert {name: report["removed"][name] for name in ("profiles", "sessions", "events")} == {
                "profiles": 1,
                "sessions": 2,
                "events": 2,
            }
            assert set(report["kafka"]["topics"]) == {topic.suffix for topic in (EVENTS, STORED, DEAD)}
            assert report["kafka"]["gone_at"] == max(report["kafka"]["topics"].values()) > report["asked_at"]
            assert (await hub.admin.get("/erasures")).json()["items"][0]["id"] == asked.json()["id"]
            for id in ("ann", "bob"):
                assert (await hub.admin.get(f"/profiles/{id}")).status_code == 404
            assert hub.store.count("events", "") == hub.store.count("sessions", "") == 1

            replayed(settings, namespace, tmp_path)
            eventually(level)
            assert [one["id"] for one in hub.store.search("profiles", "", 10, None).items] == ["dan"]
            sheet = (await hub.admin.get("/balance")).json()
            assert sheet["balanced"], sheet
            assert (sheet["totals"]["received"], sheet["totals"]["dropped"]) == (6, 2)
            shadow = replayed(settings, namespace, tmp_path, f"{namespace}-s")
            assert (shadow["diff"].same, shadow["diff"].shadow) == (1, 1)

            await send("bob", "s1", n=5, email="ann@example.com")
            eventually(lambda: hub.store.count("events", "") == 2 and level())
            bob = (await hub.admin.get("/profiles/bob")).json()
            assert (bob["id"], bob["ids"], bob["traits"]["sum"]) == ("bob", ["bob"], 5)

            assert (await hub.admin.delete("/profiles/bob/suppress")).status_code == 404
            assert (await hub.admin.post("/profiles/bob/suppress")).status_code == 202
            eventually(lambda: len(hub.store.orders(9, None)) == 2)
            await send("eve", "s9", n=1, email="ann@example.com")
            await send("bob", "s1", n=7)
            eventually(level)
            assert hub.store.count("events", "") == 2
            assert (await hub.admin.delete("/profiles/bob/suppress")).status_code == 202
            eventually(lambda: len(hub.store.orders(9, None)) == 3)
            await send("bob", "s1", n=7)
            eventually(lambda: hub.store.count("events", "") == 3)
            sheet = (await hub.admin.get("/balance?verify=true")).json()
            assert sheet["balanced"], sheet


@pytest.mark.slow
@pytest.mark.parametrize("point", CRASHES[1:])
def test_kill_in_the_middle_of_erasures(point: CrashPoint, kafka: str, namespace: str, tmp_path: Path) -> None:
    """Every second of twelve people is erased, half of them comes back: exact, wherever the collector dies."""
    settings = prepared(kafka, namespace, partitions=3)
    people, ids, later = 12, 24, 1_000_000
    before = [sign_in(f"a{n}", f"p{n % ids:03d}", f"w{n % people}@example.com", n=n) for n in range(ids * 4)]
    again = [sign_in(f"b{n}", f"p{n:03d}", n=1) for n in range(0, people, 4)]
    for one in again:
        one["received_at_ms"] += 2 * later
    write_events(settings, namespace, before)
    store_url = stores.store_url(tmp_path, namespace)
    command = [sys.executable, "-m", "tests.crashing_collector", kafka, namespace, store_url]
    assert subprocess.run([*command, point, "2"], timeout=60, check=False).returncode == -signal.SIGKILL
    orders = []
    for n in range(0, people, 2):
        one = order(f"o{n}", f"p{n:03d}")
        one["received_at_ms"] += later
        orders.append(one)
    write_events(settings, namespace, [*orders, *again, *before[:ids]])
    assert subprocess.run([*command, point, "4"], timeout=60, check=False).returncode == -signal.SIGKILL
    survivor = subprocess.Popen(command)
    with closing(open_store(store_url, readonly=True)) as store:
        try:
            level = done(store, settings, namespace)
            eventually(lambda: level() and len(store.orders(99, None)) >= len(orders) and not store.removals())
        finally:
            survivor.send_signal(signal.SIGTERM)
            assert survivor.wait(30) == 0
        _check(store, people, ids)


def _check(store: Store, people: int, ids: int) -> None:
    for person in range(people):
        profile = store.get("profiles", f"p{person:03d}")
        if person % 4 == 2:
            assert profile is None
        elif person % 4 == 0:
            assert profile is not None
            assert (profile["ids"], profile["traits"]["sum"], profile["stats"]["events"]) == ([f"p{person:03d}"], 1, 1)
        else:
            assert profile is not None
            assert profile["ids"] == [f"p{person:03d}", f"p{person + people:03d}"]
            assert profile["stats"]["events"] == 8
    assert store.count("profiles", "") == people // 2 + people // 4
    counts = totals(store)
    assert counts["received"] == ids * 5 + people // 4
    assert counts["received"] == counts["stored"] + counts["duplicate"] + counts["dropped"]
    assert store.count("events", "") == ids * 4 // 2 + people // 4
