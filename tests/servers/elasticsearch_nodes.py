"""Two nodes of Elasticsearch that hold data, each of which may be killed, and a small one that breaks ties."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx

from hub.stack.process import Program
from tests.plain_http import NO_TLS
from tests.servers.elasticsearch import SERVER, node
from tests.servers.members import Members

COUNT: Final = 2
"""Of those that hold data, from 0. The next one has a vote when a master is chosen, and no data."""
READY_S: Final = 180.0
HEAP_MB: Final = 512


class Nodes(Members):
    """By number; the last one holds no data."""

    what = "node"
    ready_s = READY_S

    def __init__(self, folder: Path) -> None:
        """Starts nothing. Args: folder: of their files, made if need be."""
        super().__init__(folder, [f"{kind}{number}" for number in range(COUNT + 1) for kind in ("http", "transport")])

    @property
    def hosts(self) -> list[str]:
        """For clients: those that hold data."""
        return [f"127.0.0.1:{self._ports[f'http{number}']}" for number in range(COUNT)]

    def program(self, number: int) -> Program:
        """See `Members`."""
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
        return node(f"node{number}", SERVER.version, home, own, settings, cluster=cluster, heap_mb=HEAP_MB)

    def is_whole(self) -> bool:
        """See `Members`."""
        try:
            said = httpx.get(f"http://{self.hosts[0]}/_cluster/health", timeout=5, verify=NO_TLS).json()
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
