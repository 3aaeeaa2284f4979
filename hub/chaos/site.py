"""The kit's own hub: started, asked about its processes, stopped; nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hub.chaos import clock, rig
from hub.chaos.plan import STORE, TO_KAFKA, TO_STORE
from hub.errors import Unavailable
from hub.stack import kafka, plan, ports, state, valkey
from hub.stack.keys import admin_key
from hub.stack.process import LEASH

if TYPE_CHECKING:
    from hub.chaos.engine import SearchEngine

START_S: Final = 90.0
STOP_S: Final = 90.0
POLL_S: Final = 0.05
DELIVERY_TIMEOUT_S: Final = 5.0
"""Shorter than a freeze, so that senders see a 503."""
STORE_FOLDER: Final = "store"
EXTRA: Final = {"collector": ("collector-3", "collector-2"), "agents": ("agents-2", "agents")}
"""One more of a kind: what it is called, and whose link to Kafka it uses."""


class Site:
    """
    One hub on a data folder.

    Attributes:
        links: By the name of our process, its link to Kafka.
        stores: By the name of our process, the port of its proxy to the search engine; empty: there are none.
        engine: None: the store is a file.
    """

    def __init__(self, data: Path, environment: Mapping[str, str], engine: SearchEngine | None = None) -> None:
        """
        Chooses ports, starts nothing.

        Args: environment: of the processes; HUB_ variables of it are left out, but for how a search engine is used.
        """
        self.data = data
        self.engine = engine
        self._process: subprocess.Popen[bytes] | None = None
        names = [f"{name} {end}" for name in TO_KAFKA for end in rig.Link._fields]
        to_store = TO_STORE if engine is not None and engine.target else ()
        chosen = ports.choose(
            data / "chaos-ports.json", [*names, *(f"{name} {STORE}" for name in to_store), "api", "load", "extra"]
        )
        self.stores = {name: chosen[f"{name} {STORE}"] for name in to_store}
        self.links = {name: rig.Link(*(chosen[f"{name} {end}"] for end in rig.Link._fields)) for name in TO_KAFKA}
        self.api_port = chosen["api"]
        self.load_port = chosen["load"]
        self.url = f"http://127.0.0.1:{self.api_port}"
        self.extra_port = chosen["extra"]
        self._environment = {
            **{name: value for name, value in environment.items() if not name.startswith("HUB_")},
            "HUB_DATA": str(data),
            **_store(data, engine, environment),
            "HUB_KAFKA__DELIVERY_TIMEOUT_S": str(DELIVERY_TIMEOUT_S),
            # what is right at the end shall be so without a second opinion that puts it right
            "HUB_SEGMENTS__CHECK_EVERY_S": "0",
            # who goes on with flows is a process of its own here, to which something can be done
            "HUB_TASKS__ON_DEMAND": "false",
        }
        rig.Rig(self.links, self.stores).write(data)
        for name in (*TO_KAFKA, *(name for name, _ in EXTRA.values())):
            clock.make(rig.clock_file(data, name))

    @property
    def key(self) -> str:
        """The admin key."""
        return admin_key(None, self.data)

    @property
    def bootstrap(self) -> str:
        """Kafka's address that no proxy is in front of."""
        return self._state().kafka

    def start(self) -> None:
        """Call it from the main thread: the hub does not outlive the thread that starts it."""
        logs = self.data / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / "chaos-hub.log").open("wb") as log:
            self._process = subprocess.Popen(
                _leashed("-m", "hub", "chaos-hub", "--data", str(self.data), "--port", str(self.api_port)),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Raises Unavailable when it does not get there."""
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while True:
            running = state.read(self.data)
            if running is not None and running.ready:
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable("hub", f"did not start; its logs are in {self.data / 'logs'}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Nothing of it is left when this returns."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its children are on leashes
            self._process.wait()
        self._process = None

    def pid(self, name: str) -> int | None:
        """Of a process, if it runs at the moment."""
        if name == STORE and self.engine is not None:
            return self.engine.pid()
        return self._process_of(name).pid

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send it. Returns the process id. Raises ProcessLookupError when it does not run at the moment."""
        pid = self.pid(name)
        if pid is None:
            raise ProcessLookupError(name)
        os.kill(pid, number)
        return pid

    def works(self, name: str) -> bool:
        """Whether the process is there and says that it can do its work. Blocks for some seconds at most."""
        if name == STORE and self.engine is not None:
            return self.engine.works()
        process = self._process_of(name)
        if process.pid is None:
            return False
        if name == "kafka":
            return kafka.Probe(self._state().kafka).is_ready()
        if name == "valkey":
            return valkey.answers(self._state().redis)
        return plan.says_ok("127.0.0.1", process.port, "/ready")

    def one_more(self, kind: str) -> subprocess.Popen[bytes]:
        """A process of EXTRA that the supervisor knows nothing of. Call it as `start`."""
        running, (name, link) = self._state(), EXTRA[kind]
        environment = {
            **self._environment,
            "HUB_NAMESPACE": running.namespace,
            "HUB_KAFKA__BOOTSTRAP": f"127.0.0.1:{self.links[link].proxy}",
            "HUB_REDIS__URL": running.redis,
            "HUB_HEALTH__PORT": str(self.extra_port),
            "HUB_ADMIN_KEY": self.key,
        }
        if link in self.stores:
            environment["HUB_STORE__URL"] = rig.behind(environment["HUB_STORE__URL"], self.stores[link])
        command = ["-m", "hub.chaos.clock", str(rig.clock_file(self.data, name)), kind]
        with (self.data / "logs" / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                _leashed(*command), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def extra_works(self) -> bool:
        """Whether that one is ready."""
        return plan.says_ok("127.0.0.1", self.extra_port, "/ready")

    def _process_of(self, name: str) -> state.ProcessState:
        return next(process for process in self._state().processes if process.name == name)

    def _state(self) -> state.RunState:
        running = state.read(self.data)
        if running is None:
            raise Unavailable("hub", f"has ended; its logs are in {self.data / 'logs'}")
        return running


def _store(data: Path, engine: SearchEngine | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Settings of the hub's store."""
    if engine is None:
        return {"HUB_STORE__URL": f"sqlite:///{data / STORE_FOLDER / 'hub.sqlite'}"}
    how = {name: value for name, value in environment.items() if name.startswith("HUB_STORE__")}
    return {**how, "HUB_STORE__URL": engine.url, "HUB_NAMESPACE": engine.namespace}


def _leashed(*arguments: str) -> list[str]:
    """Python with arguments; it is killed when we are."""
    return [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), sys.executable, *arguments]
