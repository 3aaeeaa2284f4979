"""The brokers of the matrix: each a real server to kill, with a queue to delete and a user to lock out."""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

from tests.matrix.link import HOST, Link
from tests.matrix.load import Send
from tests.servers.running import Own

NAMES: Final = (
    "kafka",
    "rabbitmq:classic",
    "rabbitmq:quorum",
    "rabbitmq:stream",
    "mqtt",
    "nats",
    "redis_streams",
    "redis_list",
    "sqs",
    "postgres",
    "imap",
)
"""`MODULE` or `MODULE:WAY`."""

SECRET: Final = "MATRIX_SECRET"
"""The variable that a bridge's password is in."""
PASSWORD: Final = "matrix-right"
OTHER_PASSWORD: Final = "matrix-other"
USER: Final = "matrix"
QUEUE: Final = "orders"


class Broker(ABC):
    """
    One server with one queue. Its methods talk to it directly, the bridge through the link.

    Attributes:
        kind: Of the bridge.
        settings: Of the bridge.
        product: Its name and version.
        in_order: Whether it promises that messages of one sender come in order.
        not_done: Faults that it does not have, by name, and why.
        notes: What is done in another way than with the others, and why.
        keeps_for_locked_out: Whether what comes while the bridge's user is locked out is kept for him.
        queue_is_the_bridge: Whether there is no queue before the bridge has connected.
    """

    kind: ClassVar[str]
    settings: Mapping[str, Any]
    in_order: ClassVar[bool] = True
    not_done: ClassVar[Mapping[str, str]] = {}
    notes: ClassVar[str] = ""
    keeps_for_locked_out: ClassVar[bool] = True
    queue_is_the_bridge: ClassVar[bool] = False

    @abstractmethod
    def start(self) -> int:
        """The port that the link leads to. From the main thread; again after `kill`."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL; of one that confirms before it saves, when it has saved, as `notes` says then."""

    @abstractmethod
    def stop(self) -> None:
        """For good."""

    @abstractmethod
    def sender(self) -> AbstractContextManager[Send]:
        """Connects; one that is not closed in a hurry would not be noticed when the broker is gone."""

    @abstractmethod
    def make(self) -> None:
        """The queue."""

    @abstractmethod
    def delete(self) -> None:
        """The queue."""

    @abstractmethod
    def set_password(self, password: str) -> None:
        """Of the bridge's user, who is made if need be."""

    @property
    @abstractmethod
    def product(self) -> str: ...


class OwnServer(Broker):
    """On a server of tests/servers."""

    server: ClassVar[str]

    def __init__(self, folder: Path, link: Link) -> None:
        """Does not start it."""
        self.own = Own(self.server, folder)
        self.through = f"{HOST}:{link.port}"

    def start(self) -> int:
        """See Broker."""
        self.own.start()
        return int(self.own.url.partition("://")[2].rpartition("@")[2].partition("/")[0].rpartition(":")[2])

    def kill(self) -> None:
        """See Broker."""
        self.own.kill()

    def stop(self) -> None:
        """See Broker."""
        self.own.stop()


def make(name: str, folder: Path, link: Link) -> Broker:
    """One of NAMES, not started."""
    module, _, way = name.partition(":")
    broker: Broker = import_module(f"tests.matrix.brokers.{module}").WAYS[way](folder, link)
    return broker


def variables() -> dict[str, str]:
    """What the bridge process needs in its environment."""
    return {SECRET: PASSWORD, "PATH": os.environ.get("PATH", os.defpath)}


def output_of(*command: str) -> str:
    """What a server says of its version, its first line."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout + done.stderr).strip().partition("\n")[0]
