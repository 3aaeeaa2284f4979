"""An embedded Kafka that can be killed and started again; for a source, with a listener that asks for a password."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from hub.errors import Unavailable
from hub.stack import jars, kafka, ports
from hub.stack.process import Child

READY_S: Final = 120.0
# the last entry of a name counts in a properties file: these replace those of `hub up`
LOCKED: Final = """\
listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},LOCKED://127.0.0.1:{locked}
advertised.listeners=BROKER://127.0.0.1:{broker},LOCKED://127.0.0.1:{advertised}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,LOCKED:SASL_PLAINTEXT
listener.name.locked.sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.locked.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


class Server:
    """
    Ports and data stay when it is killed.

    Attributes:
        bootstrap: For clients that need no password.
        locked: The port of the listener that asks for one, if there is one.
    """

    def __init__(self, folder: Path, advertised: int = 0) -> None:
        """Args: advertised: the port that clients with a password are told to use; 0: there is no such listener."""
        folder.mkdir(parents=True, exist_ok=True)
        chosen = ports.choose(folder / "ports.json", (*kafka.Listeners._fields, "locked"))
        self.locked = chosen.pop("locked")
        cache = jars.default_cache(os.environ.get("XDG_CACHE_HOME"))
        self._broker = kafka.Broker(folder, jars.resolve(cache), kafka.Listeners(**chosen))
        self._advertised = advertised
        self._child: Child | None = None
        self.bootstrap = self._broker.bootstrap

    def start(self) -> None:
        """Returns when it answers. From the main thread. Raises Unavailable with its last words."""
        program = kafka.program(self._broker)
        kafka.prepare(self._broker)
        if self._advertised:
            listeners = self._broker.listeners
            with (self._broker.folder / "server.properties").open("a") as file:
                file.write(LOCKED.format(**listeners._asdict(), locked=self.locked, advertised=self._advertised))
        changed = threading.Event()
        child = Child(program, self._keep, changed.set)
        while not child.ready:
            if not changed.wait(READY_S):
                child.stop()
                raise Unavailable("kafka", f"not ready after {READY_S:g} s: {child.last_words()}")
            changed.clear()
            if child.code is not None:
                raise Unavailable("kafka", f"it has ended: {child.last_words()}")
        self._child = child

    def kill(self) -> None:
        """SIGKILL."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def stop(self) -> None:
        """As an operator would."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _keep(self, _: str, line: str) -> None:
        with (self._broker.folder / "output.log").open("a") as log:
            log.write(f"{line}\n")
