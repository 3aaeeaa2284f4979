"""A million rows of CSV: read, mapped, acknowledged."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from hub.log.config import admin_config
from tests.bench import payloads, processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write

ROWS: Final = 1_000_000
CORE: Final = 0
COLUMNS: Final = "order_id,customer_id,visit,price,quantity,product,category,page_url,currency,warehouse,shipped"
HOW: Final = (
    f"{ROWS:,} rows of eleven columns, {{bytes}} bytes each, a mapping of ten fields; embedded Kafka, `acks=all`, "
    "until all is acknowledged. The import is bound to one core and gives way to nobody (`--priority live`). `bare` "
    "reads with `csv.reader`, makes the payload by hand and produces it, without checks, ids and record format. Memory "
    "is the most that the process had; its `bare` is a file of a tenth of the rows."
)


def table(path: Path, rows: int) -> int:
    """Write a file of so many rows; returns its size."""
    patterns = [msgspec.json.decode(payloads.row(number)) for number in range(payloads.PATTERNS)]
    with path.open("w") as file:
        file.write(f"{COLUMNS}\n")
        for number in range(rows):
            row = patterns[number % payloads.PATTERNS]
            row["order_id"] = f"{number:08x}-{row['order_id'][9:]}"
            row["customer_id"] = f"customer-{number % payloads.PROFILES:06d}"
            file.write(
                ",".join(str(row[name]).lower() if name == "shipped" else str(row[name]) for name in COLUMNS.split(","))
            )
            file.write("\n")
    return path.stat().st_size


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_imports(bench: Bench) -> None:
    """At least 30,000 rows a second on one core; memory is flat."""
    large, small = bench.folder / "large.csv", bench.folder / "small.csv"
    size = table(large, ROWS)
    table(small, ROWS // 10)
    target = f"{bench.namespace}.bare"
    client = AdminClient(admin_config(bench.kafka))
    client.create_topics([NewTopic(target, num_partitions=6, replication_factor=1)])[target].result()
    where = (bench.kafka.bootstrap, bench.namespace, bench.folder)
    ours, bare = [], []
    before = processes.ask("importing", *where, small, "small", core=CORE)
    for run in range(RUNS):
        ours.append(processes.ask("importing", *where, large, f"large-{run}", core=CORE))
        bare.append(processes.ask("bare_import", bench.kafka.bootstrap, target, large, core=CORE))
    rows = [
        Row("rows/s", [one["rate"] for one in ours], [one["rate"] for one in bare], Floor(30_000)),
        Row("CPU s per 100,000", [one["cpu_s_per_100k"] for one in ours], [one["cpu_s_per_100k"] for one in bare]),
        Row("memory, MB", [one["memory_mb"] for one in ours], [before["memory_mb"]], Floor(1.1, "ratio", at_most=True)),
    ]
    write("17. Import of CSV", HOW.format(bytes=size // ROWS), rows, bench.began)
