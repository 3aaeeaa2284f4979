"""A mapping that is wrong for some messages of a whole hub, mended, and the way back for what it has buried."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub, hub, whole_hub
from tests.sources.kafka import KafkaSource

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

CUSTOMERS = 10
WRONG: dict[str, Any] = {"profile": "who", "event": {"type": "kind", "properties": {"n": "n"}}}
MENDED = {**WRONG, "event": {**WRONG["event"], "type": "kind || 'counted'"}}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[WholeHub]:
    with whole_hub(tmp_path / "data") as running:
        running.define("source", "shop")
        total = {"event": "properties.n", "profile": "traits.n", "op": "add"}
        running.define("mapping", "total", event_type="counted", fields=[total])
        yield running


def messages(numbers: range, every: int) -> list[bytes]:
    """Of each `every` one says not what kind it is."""
    return [
        json.dumps({"n": n, "who": f"c{n % CUSTOMERS}", **({} if n % every == 0 else {"kind": "counted"})}).encode()
        for n in numbers
    ]


def deploy(running: WholeHub, source: KafkaSource, mapping: dict[str, Any]) -> None:
    running.define("bridge", "orders", type="kafka", source="shop", settings=source.settings, mapping=mapping)


def settled(running: WholeHub, received: int) -> dict[str, int]:
    """The totals, once so many were received and none is in flight."""

    def totals() -> dict[str, int] | None:
        found = running.totals()
        return found if (found["received"], found["in_flight"]) == (received, 0) else None

    found = eventually(totals)
    assert found is not None
    assert running.get("/balance", verify="true")["balanced"]
    return found


def test_what_a_broken_mapping_has_buried_comes_back_when_it_is_mended(running: WholeHub, tmp_path: Path) -> None:
    source = KafkaSource(running.kafka, "orders")
    deploy(running, source, WRONG)
    source.put(messages(range(1_000), 50))
    totals = settled(running, 1_000)
    assert (totals["stored"], totals["dead"]) == (980, 20)

    deploy(running, source, MENDED)
    command = ("dead-letters", "replay", "--data", running.data, "--q")
    rehearsed = hub(*command, "reason = mapping_failed", "--dry-run")
    assert (rehearsed.returncode, rehearsed.stdout) == (0, "20 open dead letters match\n"), rehearsed.stderr
    replayed = hub(*command, "reason = mapping_failed")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert replayed.stdout == "20 dead letters: 20 sent, 0 refused again, 0 skipped\n"
    totals = settled(running, 1_020)
    assert (totals["stored"], totals["duplicate"], totals["dead"]) == (1_000, 0, 20)
    assert running.get("/dead-letters/count", q="status = resolved")["count"] == 20

    # a second time there is nothing left to do, and one that is sent again all the same changes nothing
    assert hub(*command, "").stdout == "0 dead letters: 0 sent, 0 refused again, 0 skipped\n"
    id = running.get("/dead-letters", size=1)["items"][0]["id"]
    assert hub("dead-letters", "replay", id, "--data", running.data).returncode == 0
    totals = settled(running, 1_021)
    assert (totals["stored"], totals["duplicate"], totals["dead"]) == (1_000, 1, 20)
    assert sums(running) == {f"c{n}": sum(range(n, 1_000, CUSTOMERS)) for n in range(CUSTOMERS)}
    shown(running, id, tmp_path)


def shown(running: WholeHub, id: str, folder: Path) -> None:
    """What the other commands print, and how they end."""
    listed = hub("dead-letters", "list", "--data", running.data, "--size", "3")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines()[-1] == "3 of 20 dead letters"
    lines = hub(
        "dead-letters", "list", "--data", running.data, "--json", "--q", "status = resolved"
    ).stdout.splitlines()
    assert len(lines) == 20
    assert id in {json.loads(line)["id"] for line in lines}
    one = json.loads(hub("dead-letters", "show", id, "--data", running.data).stdout)
    assert (one["status"], one["attempts"], one["reason"]) == ("resolved", 1, "mapping_failed")
    assert hub("dead-letters", "show", id, "--body", "--data", running.data).stdout == one["body"]

    edited = folder / "edited.json"
    edited.write_text("{")
    wrong = hub("dead-letters", "replay", id, "--body", edited, "--data", running.data)
    assert wrong.returncode == 2
    assert "422" in wrong.stderr
    assert hub("dead-letters", "replay", "--q", "reason =", "--data", running.data).returncode == 2
    assert hub("dead-letters", "list", "--data", folder / "nowhere").returncode == 2


def test_the_collector_is_killed_in_the_middle_of_a_bulk_replay(running: WholeHub) -> None:
    source = KafkaSource(running.kafka, "orders")
    deploy(running, source, WRONG)
    source.put(messages(range(3_000), 3))
    assert settled(running, 3_000)["dead"] == 1_000
    # once more in vain, so that there are attempts to count
    first = running.http.post("/dead-letters/replay", json={"q": "", "size": 400}).json()
    assert first["refused"] == 400
    deploy(running, source, MENDED)
    answer = running.http.post("/dead-letters/replay", json={"q": "", "size": 300}).json()
    collector = running.processes()["collector"]
    assert collector.pid is not None
    os.kill(collector.pid, signal.SIGKILL)
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(running.http.post, "/dead-letters/replay", json={"q": "", "after": answer["next"]})
        eventually(lambda: running.processes()["collector"].restarts == 1)
        assert answer["sent"] + rest.result().json()["sent"] == 1_000
    eventually(lambda: running.get("/dead-letters/count", q="status = resolved")["count"] == 1_000)
    totals = settled(running, 3_000 + 400 + 1_000)
    assert (totals["stored"], totals["duplicate"], totals["dead"]) == (3_000, 0, 1_400)
    assert running.get("/dead-letters/count", q="attempts = 2")["count"] == 400
    assert running.get("/dead-letters/count", q="")["count"] == 1_000
    assert running.http.post("/dead-letters/replay", json={"q": ""}).json()["matched"] == 0
    assert sums(running) == {f"c{n}": sum(range(n, 3_000, CUSTOMERS)) for n in range(CUSTOMERS)}


def sums(running: WholeHub) -> dict[str, int]:
    return {profile["id"]: profile["traits"]["n"] for profile in running.get("/profiles", size=100)["items"]}
