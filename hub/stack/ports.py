"""TCP ports of this machine: is one free, who has it, which one can we take."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from hub.errors import Refused
from hub.stack import files

# Below the range from which Linux takes the local ports of outgoing connections (32768 to 60999): else a stranger's
# connection could sit on our port while a server of ours is being restarted.
CHOICE: Final = range(20_000, 32_000)


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection's TIME_WAIT is no server
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """`preferred` if it is free, else some free port. Raises Refused when none is."""
    if preferred and is_free(host, preferred):
        return preferred
    for _ in range(200):
        port = random.choice(CHOICE)
        if is_free(host, port):
            return port
    raise Refused("ports", f"no free port between {CHOICE.start} and {CHOICE.stop} on {host}")


def choose(kept: Path, names: Sequence[str]) -> dict[str, int]:
    """A free port for each name: that of the last time if it is still free. Remembered in the file `kept`."""
    last: dict[str, int] = json.loads(kept.read_text()) if kept.exists() else {}
    chosen: dict[str, int] = {}
    for name in names:
        port = free_port(last.get(name, 0))
        while port in chosen.values():
            port = free_port()
        chosen[name] = port
    files.write_atomically(kept, json.dumps(chosen))
    return chosen


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def owner(port: int) -> str:
    """Who listens on `port`, as in ` by process 123 (python)`; empty when the system does not tell."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr[1:2] == (port,):
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""


def require_free(host: str, port: int, how_to_change: str) -> None:
    """Raises Refused that names the port, who has it, and how to choose another one."""
    if not is_free(host, port):
        raise Refused("ports", f"port {port} on {host} is taken{owner(port)}. {how_to_change}")
