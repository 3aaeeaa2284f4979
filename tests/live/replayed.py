"""A namespace with a collector's store, filled with events, and `hub replay` on it, for tests."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.replay.bounds import Bound
from hub.replay.options import Options
from hub.replay.report import Report
from hub.replay.run import replay
from hub.settings import Bulk, Kafka
from hub.store import open_store
from hub.store.port import Store
from schemas.topics import EVENTS
from tests import stores
from tests.factories import NOW_MS, event, track
from tests.kafka_tools import define, eventually, write_events

PARTITIONS = 4
SUM = {"event_type": "purchase", "fields": [{"event": "properties.n", "profile": "traits.n", "op": "add"}]}
MOST = {"event_type": "purchase", "fields": [{"event": "properties.n", "profile": "traits.n", "op": "max"}]}
LAST = {"event_type": "view", "fields": [{"event": "properties.page", "profile": "traits.page", "op": "set"}]}
PROFILES = 12
TIMES = 5
NEWEST = 6
"""Offset of live's newest definition: a shadow, which gets each of them once, never comes so far."""


class Live:
    """A namespace with a collector, filled with events, and `hub replay` on it."""

    def __init__(self, kafka: str, namespace: str, folder: Path) -> None:
        self.folder = folder
        self.namespace = namespace
        self.shadow = f"{namespace}-s"
        self.kafka = Kafka(bootstrap=kafka, partitions=PARTITIONS)
        LogAdmin(self.kafka, namespace).ensure_topics()
        define(self.kafka, namespace, "source", "shop", {})
        define(self.kafka, namespace, "mapping", "sum", SUM)
        for _ in range(NEWEST - 1):
            define(self.kafka, namespace, "mapping", "last", LAST)

    def send(self, first: int = 0, last: int = TIMES, *, received_at_ms: int = NOW_MS) -> None:
        """A purchase and a view in one payload, for each profile and each number."""
        write_events(
            self.kafka,
            self.namespace,
            [
                track(
                    f"p{p}",
                    event(f"buy-{p}-{n}", n=n),
                    event(f"view-{p}-{n}", "view", time_ms=None, page=f"/{n}"),
                    session_id=f"s{p}",
                    received_at_ms=received_at_ms + n,
                    definitions_offset=NEWEST,
                )
                for n in range(first, last)
                for p in range(PROFILES)
            ],
        )

    def store(self) -> Store:
        return open_store(stores.store_url(self.folder, self.namespace), readonly=True)

    def level(self) -> None:
        """Return when the collector has everything."""
        ends = LogAdmin(self.kafka, self.namespace).end_offsets()
        with_records = {number: end for number, end in ends.items() if end}

        def reached() -> bool:
            try:
                progress = store.latest_progress()[1]
            except Unavailable:
                return False  # the collector is about to make it
            return all(progress.get(number, 0) >= end for number, end in with_records.items())

        with closing(self.store()) as store:
            eventually(reached)

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "hub", "replay", *options, "--data", self.folder],
            env={**os.environ, "HUB_KAFKA__BOOTSTRAP": self.kafka.bootstrap, "HUB_NAMESPACE": self.namespace},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def fails(self, *options: str) -> str:
        """What it says on stderr."""
        running = self.start(*options)
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 2, errors
        return errors

    def options(self, since: Bound, **wanted: Any) -> Options:
        """As the command makes them."""
        return Options(
            kafka=self.kafka,
            namespace=self.namespace,
            store_url=stores.store_url(self.folder, self.namespace),
            data=self.folder,
            since=since,
            bulk=Bulk(),
            environment={**os.environ, "HUB_DATA": str(self.folder)},
            **wanted,
        )

    def count(self, since: Bound, until: Bound | None = None, query: str = "") -> Report:
        """What would be sent."""
        return replay(self.options(since, until=until, query=query, dry_run=True), NOW_MS)

    def replay(self, *options: str) -> dict[str, Any]:
        running = self.start(*options, "--json")
        output, errors = running.communicate(timeout=100)
        assert running.returncode == 0, errors
        report: dict[str, Any] = json.loads(output)
        return report

    def delete_records(self) -> None:
        """As Kafka does it when their time has come: all but the last two of each partition."""
        ends = LogAdmin(self.kafka, self.namespace).end_offsets()
        places = [TopicPartition(EVENTS.name(self.namespace), n, end - 2) for n, end in ends.items() if end > 2]
        client = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        for future in client.delete_records(places).values():
            future.result()


def definitions(folder: Path, **specs: dict[str, Any] | None) -> Path:
    """A folder for `--definitions`, of mappings by id."""
    for id, spec in specs.items():
        file = folder / "mapping" / f"{id}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(spec))
    return folder


def tables(folder: Path, name: str = "hub.sqlite") -> dict[str, list[Any]]:
    """Every row of events, profiles, sessions and dead letters, as it lies in the file."""
    with sqlite3.connect(f"{(folder / name).as_uri()}?mode=ro", uri=True) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM partitions")]
        wanted = ["profiles", "sessions", "dead_letters", *(f"events_{name.replace('-', '_')}" for name in names)]
        found = {table: connection.execute(f"SELECT * FROM {table} ORDER BY seq").fetchall() for table in wanted}
    connection.close()
    return found
