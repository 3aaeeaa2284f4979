"""`kill -9` of each part of a running hub while events come in by both ways: nothing is lost, nothing counts twice."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from hub.send import Options, Summary, send_file
from hub.settings import Kafka
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub, whole_hub

pytestmark = pytest.mark.timeout(300)

CUSTOMERS: Final = 150
ROWS: Final = 3_000
"""For each kill: enough for both ways to be busy when it comes."""
GIVE_UP_S: Final = 60.0
TOPIC: Final = "orders"
VICTIMS: Final = ("collector", "bridges", "api", "kafka")
ROW: Final[dict[str, Any]] = {
    "profile": "customer",
    "event": {"type": "'order'", "properties": {"n": "to_number(n)"}},
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[WholeHub]:
    """With a source, a mapping that sums up, and a bridge on a topic of the hub's own Kafka."""
    with whole_hub(tmp_path / "data") as running:
        running.define("source", "shop")
        total = {"event": "properties.n", "profile": "traits.n", "op": "add"}
        running.define("mapping", "total", event_type="order", fields=[total])
        settings = {"bootstrap": running.kafka, "topics": [TOPIC], "protocol": "consumer"}
        running.define("bridge", "orders", type="kafka", source="shop", settings=settings, mapping=ROW)
        yield running


def write_rows(path: Path, numbers: range) -> None:
    """One order a number."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("customer", "n"))
        rows.writerows((f"c{n % CUSTOMERS}", n) for n in numbers)


def send_both_ways(pool: ThreadPoolExecutor, running: WholeHub, file: Path) -> list[Future[Summary]]:
    """Even rows by REST, odd ones by the topic, at the same time."""
    kafka = Kafka(bootstrap=running.kafka)
    rest = Options(file=file, via="rest", source="shop", mapping=ROW, url=running.url, every=(2, 0), concurrency=8)
    queue = Options(
        file=file, via="kafka", source="shop", kafka=kafka, topic=TOPIC, key="customer", every=(2, 1), make_topic=3
    )
    # both give up in the end, so that a hub that does not come back fails the test and does not hang it
    return [pool.submit(send_file, replace(options, give_up_after_s=GIVE_UP_S)) for options in (rest, queue)]


@pytest.mark.slow
def test_kills_while_events_come_in(running: WholeHub, tmp_path: Path) -> None:
    """One after another, each in the middle of its own rows."""
    sent = 0
    with ThreadPoolExecutor(2) as pool:
        for victim in VICTIMS:
            file = tmp_path / f"before-{victim}.csv"
            write_rows(file, range(sent, sent + ROWS))
            before = running.totals()["received"]
            sending = send_both_ways(pool, running, file)
            eventually(lambda before=before: running.totals()["received"] > before + ROWS // 10)
            running.kill(victim)
            for summary in (one.result() for one in sending):
                assert summary.sent == ROWS // 2
                assert summary.refused == []
            sent += ROWS

    def settled() -> dict[str, int] | None:
        totals = running.totals()
        return totals if totals["stored"] >= sent and totals["in_flight"] == 0 else None

    eventually(settled)
    sheet = running.get("/balance", verify="true")
    assert sheet["balanced"], sheet
    totals = sheet["totals"]
    assert totals["stored"] == sent
    assert totals["received"] == sent + totals["duplicate"]
    assert totals["dead"] == totals["dropped"] == totals["in_flight"] == 0
    assert sheet["verified"] == {"stored_events": sent, "agrees": True}

    expected: Counter[str] = Counter()
    for n in range(sent):
        expected[f"c{n % CUSTOMERS}"] += n
    profiles = running.get("/profiles", size=1_000)["items"]
    assert {profile["id"]: profile["traits"]["n"] for profile in profiles} == dict(expected)
    assert {profile["stats"]["events"] for profile in profiles} == {sent // CUSTOMERS}
    restarts = {name: process.restarts for name, process in running.processes().items()}
    assert {name: restarts[name] for name in VICTIMS} == dict.fromkeys(VICTIMS, 1), restarts
