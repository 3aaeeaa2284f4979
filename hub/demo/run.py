"""The demo: 69,659 real purchases, half over REST, half through a Kafka topic, and every customer's total checked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml

from hub.demo import figures
from hub.demo.client import Client
from hub.demo.screen import Screen
from hub.send import Options, Summary, send_file
from hub.settings import Kafka

FOLDER: Final = Path(__file__).parent
FILE: Final = FOLDER / "CDNOW_master.txt.gz"
SOURCE: Final = "cdnow"
TOPIC: Final = "cdnow-purchases"


@dataclass(frozen=True)
class Report:
    """How it came out. `wrong`: by customer, what differs; empty when every total is exact."""

    totals: dict[str, int]
    rows: int
    customers: int
    new: int
    wrong: dict[str, str]
    balance: dict[str, Any]
    best: list[tuple[str, figures.Customer]]
    sum: figures.Customer
    took_s: float

    @property
    def exact(self) -> bool:
        """Whether the demo has shown what it is for."""
        return not self.wrong and bool(self.balance["balanced"])


def run(client: Client, kafka: Kafka, screen: Screen, file: Path = FILE) -> Report:
    """
    Define, send both halves, wait until everything is stored, check every customer.

    Args: file: of purchases; a part of it, say.

    Raises: Unavailable when the hub does not answer.
    """
    started = time.perf_counter()
    mapping = yaml.safe_load((FOLDER / "purchase.yaml").read_text())
    expected = figures.read(file)
    rows = sum(customer.purchases for customer in expected.values())
    _define(client)
    sheet = client.get("/balance")
    before, counted = _own(sheet), sheet["totals"]["received"] - sheet["totals"]["in_flight"]

    screen.say(f"sending {rows:,} purchases of {len(expected):,} customers, from {file.name}")
    queue = Options(
        file=file, via="kafka", source=SOURCE, kafka=kafka, topic=TOPIC, key="customer_id", every=(2, 1), make_topic=4
    )
    # at full speed, both halves: two that each take the other for live traffic would wait for each other all the time
    rest = Options(file=file, via="rest", mapping=mapping, source=SOURCE, url=client.url, every=(2, 0), priority="live")
    _show(screen, f"Kafka topic {TOPIC}", screen.follow("Kafka topic", lambda show: send_file(queue, show)))
    _define_bridge(client, kafka, mapping)
    _show(screen, "POST /track", screen.follow("POST /track", lambda show: send_file(rest, show)))

    def enough(sheet: dict[str, Any]) -> bool:
        own = _own(sheet)
        settled = own["stored"] + own["dropped"] - before["dropped"] + own["dead"] - before["dead"]
        # to be counted is not enough: what was sent again, after a crash or by an earlier run, is counted again
        return own["received"] - before["received"] >= rows and settled >= rows

    settled = screen.wait(counted + rows, lambda seen: client.settled(enough, seen))
    found = {p["id"]: figures.of_profile(p) for p in client.everything("profiles", "") if p["id"].startswith("cdnow-")}
    balance = client.get("/balance", verify="true")
    return Report(
        totals=balance["totals"],
        rows=rows,
        customers=len(found),
        new=_own(settled)["stored"] - before["stored"],
        wrong=figures.differences(expected, found),
        balance=balance,
        best=sorted(found.items(), key=lambda item: item[1].dollars, reverse=True)[:5],
        sum=figures.total(found),
        took_s=time.perf_counter() - started,
    )


def _define(client: Client) -> None:
    for kind, definitions in yaml.safe_load((FOLDER / "definitions.yaml").read_text()).items():
        for id, spec in definitions.items():
            client.define(kind, id, spec)


def _define_bridge(client: Client, kafka: Kafka, mapping: dict[str, Any]) -> None:
    client.define(
        "bridge",
        SOURCE,
        {
            "type": "kafka",
            "source": SOURCE,
            "settings": {"bootstrap": kafka.bootstrap, "topics": [TOPIC], "protocol": "consumer"},
            "mapping": mapping,
            "priority": "live",
        },
    )


def _show(screen: Screen, way: str, summary: Summary) -> None:
    screen.say(f"  {way}: {summary.sent:,} acknowledged in {summary.took_s:.1f} s ({summary.rate:,.0f}/s)")
    for line, reason in summary.refused[:5]:
        screen.say(f"  line {line} was refused: {reason}")


def _own(sheet: Mapping[str, Any]) -> Counter[str]:
    """What the balance sheet says of our source: others may use the same hub."""
    own: Counter[str] = Counter()
    for totals in sheet["sources"]:
        if totals["source"] == SOURCE:
            own.update({name: totals[name] for name in ("received", "stored", "dropped", "dead")})
    return own


def dollars(amount: Decimal) -> str:
    """As people write it: 2,500,315.63."""
    return f"{amount:,.2f}"
