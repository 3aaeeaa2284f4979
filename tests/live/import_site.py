"""`hub import` as a process of its own on a real Kafka, and what became of the rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from hub.errors import Unavailable
from hub.imports.checkpoint import Checkpoint
from hub.log.admin import LogAdmin, ensure_topics
from hub.model import Counts
from hub.settings import Kafka
from hub.store.factory import open_store
from tests import stores
from tests.kafka_tools import define, eventually

SOURCE: Final = "shop"


class ImportSite:
    """A namespace with the event source `shop`."""

    def __init__(self, kafka: str, namespace: str, folder: Path, partitions: int = 2) -> None:
        """Args: folder: the hub's data folder."""
        self.kafka = Kafka(bootstrap=kafka, partitions=partitions)
        self.namespace = namespace
        self.folder = folder
        self.said = ""
        ensure_topics(self.kafka, namespace)
        define(self.kafka, namespace, "source", SOURCE, {"type": ["bridge"]})

    def environment(self, **variables: str) -> dict[str, str]:
        """Of a process of this hub."""
        return {
            **os.environ,
            "HUB_KAFKA__BOOTSTRAP": self.kafka.bootstrap,
            "HUB_NAMESPACE": self.namespace,
            "HUB_DATA": str(self.folder),
            **variables,
        }

    def start(self, location: str | Path, *options: str, **variables: str) -> subprocess.Popen[str]:
        """`hub import`, on its way."""
        return subprocess.Popen(
            [sys.executable, "-m", "hub", "import", str(location), "--source", SOURCE, "--json", *options],
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, location: str | Path, *options: str, code: int = 0, **variables: str) -> dict[str, Any]:
        """`hub import` to its end; its report, and in `said` what it said besides."""
        process = self.start(location, *options, **variables)
        out, said = process.communicate(timeout=110)
        assert process.returncode == code, f"{process.returncode}: {out}{said}"
        return {**(json.loads(out) if out.strip() else {}), "said": said}

    def kill_behind(
        self, rows: int, id: str, location: str | Path, *options: str, by: signal.Signals = signal.SIGKILL
    ) -> int:
        """
        Start it, and kill it once its checkpoint has so many rows; what it has said is in `said`.

        Returns its exit code: it may have ended by itself in that moment.
        """
        process = self.start(location, *options)
        checkpoint = Checkpoint(self.folder / "imports", id)
        while process.poll() is None:
            saved = checkpoint.read()
            if saved is not None and saved.counts.read >= rows:
                break
            time.sleep(0.005)
        process.send_signal(by)
        self.said = process.communicate()[1]
        return process.returncode

    def totals(self) -> Counts:
        """Of the store's balance sheet; nothing before there is one."""
        sums = Counts()
        try:
            store = open_store(stores.store_url(self.folder, self.namespace), readonly=True)
        except Unavailable:
            return sums
        try:
            books = store.books(0, 1 << 40)
        except Unavailable:
            return sums
        finally:
            store.close()
        assert books.wrong == []
        for counts in books.totals.values():
            for name in ("received", "stored", "duplicate", "dropped", "dead"):
                setattr(sums, name, getattr(sums, name) + getattr(counts, name))
        return sums

    def collected(self, within_s: float = 100.0) -> Counts:
        """The totals once a collector has stored all that is on the log."""
        ends = sum(self.ends())

        def level() -> bool:
            try:
                with closing(open_store(stores.store_url(self.folder, self.namespace), readonly=True)) as store:
                    return sum(store.latest_progress()[1].values()) == ends
            except Unavailable:
                return False

        eventually(level, within_s)
        return self.totals()

    def ends(self) -> list[int]:
        """Records on each partition of the log."""
        return list(LogAdmin(self.kafka, self.namespace).end_offsets().values())

    def letters(self) -> list[dict[str, Any]]:
        """All dead letters, in the order of their rows."""
        store = open_store(stores.store_url(self.folder, self.namespace), readonly=True)
        try:
            found = store.search("dead-letters", "", 1_000, None).items
        finally:
            store.close()
        return sorted(found, key=lambda letter: int(letter["origin"].rpartition(" ")[2]))
