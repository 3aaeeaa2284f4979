"""A search engine as the store of the hub under test: asked and hurt from outside, not through the hub's store."""

from __future__ import annotations

import os
import signal
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from hub.chaos.plan import STORE
from hub.errors import Refused, Unavailable
from hub.search_engine import Access, address_of
from hub.settings import Store
from hub.store.factory import remove_store

ANSWER_S: Final = 10.0
LOOK_S: Final = 2.0
POLL_S: Final = 0.2
BLOCKS: Final = {"block": "index.blocks.write", "full": "index.blocks.read_only_allow_delete"}
"""What operators and their tools set, and what the engine itself sets when its disk is too full."""


class SearchEngine:
    """One namespace of somebody's cluster; and, with a file that says its process id, the process."""

    def __init__(self, store: Store, namespace: str, pid_file: Path | None = None) -> None:
        """
        Does not connect yet. Args: pid_file: whoever runs the process starts it again when it is gone.

        Raises: Refused: the setting names no search engine.
        """
        self._store_url = store.located(namespace)
        address = address_of(self._store_url)
        self.url = store.url
        """As the setting has it."""
        self.namespace = namespace
        self.place = ", ".join(address.hosts)
        self._pid_file = pid_file
        self._http = _client(address.hosts[0], address.access)
        host = httpx.URL(address.hosts[0])
        # a certificate is of another name than the proxy's, and a second host would be a way round it
        is_one = host.scheme == "http" and len(address.hosts) == 1
        self.target = (host.host, host.port or 80) if is_one else None
        """Where a proxy in front of it connects to; None: there can be none."""

    @property
    def has_process(self) -> bool:
        """Whether it can be sent signals."""
        return self._pid_file is not None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def check(self) -> str:
        """
        Its versions and where it is, in words.

        Raises: Unavailable: it does not answer, or does not let us in. Refused: its process may not be sent signals.
        """
        nodes = self._ask("GET", "/_nodes", params={"filter_path": "nodes.*.version"})["nodes"]
        if self._pid_file is not None:
            try:
                if self.pid() is None:
                    raise Refused("store", f"{self._pid_file} has no id of a process that runs (--store-pid)")
            except PermissionError as exc:
                raise Refused("store", f"the process of {self._pid_file} may not be sent signals by us") from exc
        versions = sorted({node["version"] for node in nodes.values()})
        return f"{', '.join(versions)} at {self.place}"

    def pid(self) -> int | None:
        """Of its process, if it runs at the moment. Raises PermissionError: it is somebody else's."""
        if self._pid_file is None:
            return None
        try:
            pid = int(self._pid_file.read_text())
            os.kill(pid, 0)
        except (ValueError, FileNotFoundError, ProcessLookupError):
            return None
        return pid

    def signal(self, number: signal.Signals) -> int:
        """Send it. Returns the process id. Raises ProcessLookupError when it does not run at the moment."""
        pid = self.pid()
        if pid is None:
            raise ProcessLookupError(STORE)
        os.kill(pid, number)
        return pid

    def works(self) -> bool:
        """Whether all of the namespace can be read. Blocks for 2 s at most."""
        try:
            answer = self._http.get(f"/_cluster/health/{self.namespace}-*", timeout=LOOK_S)
        except httpx.TransportError:
            return False
        return answer.is_success and answer.json()["status"] in ("yellow", "green")

    def block(self, kind: str, target: str) -> None:
        """
        Let it refuse writes. Args: kind: of BLOCKS. target: of STORE_PARTS; an index that is not there yet is free.

        Raises: Unavailable: it does not answer.
        """
        part = target.removeprefix(STORE).removeprefix("-")
        self._set(f"{self.namespace}-{part}*", {BLOCKS[kind]: True})

    def unblock(self) -> None:
        """Take all blocks back. Raises Unavailable: it does not answer."""
        for block in (BLOCKS["full"], BLOCKS["block"]):  # OpenSearch lets an index that is full change nothing besides
            self._set(f"{self.namespace}-*", {block: None})

    def forget(self) -> None:
        """Remove all that is in the namespace. Raises Unavailable."""
        remove_store(self._store_url)

    def _set(self, indices: str, settings: dict[str, Any]) -> None:
        self._ask("PUT", f"/{indices}/_settings", params={"allow_no_indices": "true"}, json=settings)

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx.TransportError as exc:
            raise Unavailable("store", f"{self.place} does not answer: {exc!r}") from exc
        if not answer.is_success:
            raise Unavailable("store", f"{self.place}: {method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


def patiently(act: Callable[[], None], seconds: float) -> None:
    """Do what may be done twice, until it is done. Raises Unavailable after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            act()
            return
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)


def _client(host: str, access: Access) -> httpx.Client:
    trusted = ssl.create_default_context(cafile=access.ca_file) if access.ca_file else True
    headers = {"Authorization": f"ApiKey {access.api_key}"} if access.api_key else {}
    auth = httpx.BasicAuth(*access.user) if access.user else None
    return httpx.Client(base_url=host, auth=auth, headers=headers, verify=trusted, timeout=ANSWER_S)
