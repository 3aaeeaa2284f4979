"""Two nodes of Elasticsearch that hold data, each of which may be killed, and a small one that breaks ties."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx

from hub.errors import Unavailable
from hub.stack import ports
from hub.stack.process import Child
from tests.servers.elasticsearch import SERVER, node
from tests.waiting import wait_for

COUNT: Final = 2
"""Of those that hold data, from 0. The next one has a vote when a master is chosen, and no data."""
READY_S: Final = 180.0
HEAP_MB: Final = 512


class Nodes:
    """Nodes by number. Ports and data of one that was killed stay."""

    def __init__(self, folder: Path) -> None:
        """Starts nothing. Args: folder: of their files, made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"{kind}{number}" for number in range(COUNT + 1) for kind in ("http", "transport")]
        self._ports = ports.choose(folder / "ports.json", names)
        self._folder = folder
        self._children: dict[int, Child] = {}
        self._changed = threading.Event()

    @property
    def hosts(self) -> list[str]:
        """For clients: those that hold data."""
        return [f"127.0.0.1:{self._ports[f'http{number}']}" for number in range(COUNT)]

    def start(self, number: int) -> None:
        """Does not wait for it. From the main thread."""
        home = self._folder / f"node{number}"
        home.mkdir(exist_ok=True)
        every = range(COUNT + 1)
        settings = {
            "node.name": f"node{number}",
            "node.roles": "master,data" if number < COUNT else "master",
            "discovery.seed_hosts": ",".join(f"127.0.0.1:{self._ports[f'transport{one}']}" for one in every),
            "cluster.initial_master_nodes": ",".join(f"node{one}" for one in every),
        }
        own = {"http": self._ports[f"http{number}"], "transport": self._ports[f"transport{number}"]}
        cluster = f"hub-{self._ports['http0']}"
        program = node(f"node{number}", SERVER.version, home, own, settings, cluster=cluster, heap_mb=HEAP_MB)

        def keep(_: str, line: str) -> None:
            with (self._folder / f"node{number}.log").open("a") as log:
                log.write(f"{line}\n")

        self._children[number] = Child(program, keep, self._changed.set)

    def kill(self, number: int) -> None:
        """SIGKILL."""
        self._children.pop(number).kill()

    def stop(self) -> None:
        """All of them, as nobody needs what they have."""
        for number in list(self._children):
            self.kill(number)

    def wait(self) -> None:
        """Until all nodes are there and every shard has all its copies again."""
        wait_for("all nodes of Elasticsearch have all copies of everything", self._is_whole, READY_S)

    def _is_whole(self) -> bool:
        for number, child in self._children.items():
            if child.code is not None:
                raise Unavailable("elasticsearch", f"node {number} has ended: {child.last_words()}")
        try:
            said = httpx.get(f"http://{self.hosts[0]}/_cluster/health", timeout=5).json()
        except httpx.TransportError:
            return False
        return (said.get("status"), said.get("number_of_nodes")) == ("green", COUNT + 1)


@contextmanager
def nodes(folder: Path) -> Iterator[Nodes]:
    """A cluster of a test's own, which runs."""
    some = Nodes(folder)
    with ExitStack() as stack:
        stack.callback(some.stop)
        for number in range(COUNT + 1):
            some.start(number)
        some.wait()
        yield some
