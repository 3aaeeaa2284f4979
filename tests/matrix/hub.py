"""The hub of the matrix: its own Kafka, a collector, a bridge process, a store; each can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from hub import settings
from hub.log.admin import ensure_topics
from hub.stack import ports
from hub.store.factory import open_store
from tests.kafka_tools import define
from tests.matrix.kafka import Server
from tests.plain_http import NO_TLS

ROOT: Final = Path(__file__).parents[2]
NAMESPACE: Final = "matrix"
BRIDGE: Final = "source"
PARTITIONS: Final = 3
STOP_S: Final = 40.0


class Process:
    """One `hub …` that is started again whenever it has ended."""

    def __init__(self, command: str, folder: Path, variables: Mapping[str, str]) -> None:
        self.port = ports.free_port()
        self.ended = 0
        """How often it has ended by itself."""
        self._command = command
        self._log = folder / f"{command}.log"
        own = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        self._environment = {**own, **variables, "HUB_HEALTH__PORT": str(self.port)}
        self._popen = self._start()

    def kill(self) -> None:
        """SIGKILL, and start it again."""
        self._popen.send_signal(signal.SIGKILL)
        self._popen.wait()
        self._popen = self._start()

    def keep(self) -> None:
        """As a supervisor would."""
        if self._popen.poll() is not None:
            self.ended += 1
            self._popen = self._start()

    def stop(self) -> None:
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(STOP_S)
        finally:
            self._popen.kill()

    def ready(self) -> dict[str, Any]:
        """What it says of itself; nothing while it cannot."""
        try:
            answer: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.port}/ready", timeout=5, verify=NO_TLS).json()
        except (httpx.TransportError, ValueError):
            return {}
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "hub", self._command],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


class Hub:
    """
    Without API and Redis: a bridge needs neither.

    Attributes:
        store: The file of its store.
    """

    def __init__(self, folder: Path, definition: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        """
        Starts it.

        Args:
            definition: Of the bridge.
            variables: That its secrets refer to.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "hub.sqlite"
        self.kafka = Server(folder / "kafka")
        self.kafka.start()
        kafka = settings.Kafka(bootstrap=self.kafka.bootstrap, partitions=PARTITIONS)
        ensure_topics(kafka, NAMESPACE)
        open_store(f"sqlite:///{self.store}").close()
        define(kafka, NAMESPACE, "source", "shop", {"type": ["bridge"]})
        define(kafka, NAMESPACE, "bridge", BRIDGE, {"source": "shop", **definition})
        environment = {
            **variables,
            "HUB_KAFKA__BOOTSTRAP": self.kafka.bootstrap,
            "HUB_NAMESPACE": NAMESPACE,
            "HUB_DATA": str(folder),
        }
        self.collector = Process("collector", folder, environment)
        self.bridges = Process("bridges", folder, environment)

    def status(self) -> dict[str, Any]:
        """Of the bridge, as its process says; its state is "" while the process is away."""
        found = self.bridges.ready().get("bridges") or [{"state": "", "lag": None, "in_flight": 0, "last_error": ""}]
        status: dict[str, Any] = found[0]
        return status

    def keep(self) -> None:
        """Start again what has ended by itself."""
        self.collector.keep()
        self.bridges.keep()

    def until_state(self, *names: str, within_s: float = 90.0) -> dict[str, Any]:
        """Raises AssertionError."""
        deadline = time.monotonic() + within_s
        while (status := self.status())["state"] not in names:
            assert time.monotonic() < deadline, f"the bridge is not {' or '.join(names)} but {status}"
            self.keep()
            time.sleep(0.1)
        return status

    def stop(self) -> None:
        """All of it."""
        self.bridges.stop()
        self.collector.stop()
        self.kafka.stop()
