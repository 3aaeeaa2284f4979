"""`python -m tests.fuzz`: fire at every door, led by what the code does; then look for what was acknowledged."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from hub.api.sheet import judge
from hub.log.admin import LogAdmin, ensure_topics
from hub.settings import Kafka
from hub.stack import jars
from hub.store.factory import open_store
from tests import broker
from tests.fuzz.ledger import Line, differences, summary
from tests.live.api import read_all
from tests.live.collector import collector
from tests.waiting import wait_for

APPLIED_S = 1_800


def main() -> int:
    """The exit code: 0 if nothing is wrong."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="how long to fire (600)")
    seconds: int = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        bootstrap, lock = broker.attach(folder / "broker", jars.default_cache(os.environ.get("XDG_CACHE_HOME")))
        with lock:
            found = list(_fuzz(Kafka(bootstrap=bootstrap, partitions=1), folder, seconds))
        for each in found:
            print(f"WRONG: {each}")
        broker.wait_for_end(folder / "broker")
    return min(1, len(found))


def _fuzz(kafka: Kafka, folder: Path, seconds: int) -> list[str]:
    namespace = f"t{secrets.token_hex(6)}"
    ensure_topics(kafka, namespace)
    command = [sys.executable, "-m", "tests.fuzz.target", kafka.bootstrap, namespace, str(folder), str(seconds)]
    ended = subprocess.run(command, check=False).returncode
    found = [] if ended == 0 else [f"the target ended with {ended}: see what it has printed"]
    faults = (folder / "wrong.jsonl").read_text().splitlines()
    found += [f"{wrong}\n    {shot[:3_000]}" for wrong, shot in map(json.loads, faults)]
    lines = [Line(*json.loads(each)) for each in (folder / "lines.jsonl").read_text().splitlines()]
    records = read_all(kafka, namespace)
    print(f"{len(lines)} shots ({summary(lines)}), {len(records)} records on the log")
    found += differences(lines, records)
    found += _applied(kafka, namespace, folder, sum(each.taken == "dead_letter" for each in lines))
    return found


def _applied(kafka: Kafka, namespace: str, folder: Path, letters: int) -> list[str]:
    """What is wrong once a collector has read everything. Args: letters: dead letters that there should be."""
    offsets = LogAdmin(kafka, namespace).offsets
    with (
        collector(kafka.bootstrap, namespace, folder),
        closing(open_store(f"sqlite:///{folder / 'hub.sqlite'}", readonly=True)) as store,
    ):
        wait_for("all is applied", lambda: not judge(store.books(0, 0), offsets()).in_flight, APPLIED_S)
        books = store.books(0, 0, count_events=True)
    dead = sum(counts.dead for counts in books.totals.values())
    print(f"stored: {sum(counts.stored for counts in books.totals.values())}, dead letters: {dead}")
    found = judge(books, offsets()).causes
    return found if dead == letters else [*found, f"{dead} dead letters, {letters} expected"]


if __name__ == "__main__":
    sys.exit(main())
