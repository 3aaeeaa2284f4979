"""Some servers that are one, each of which may be killed: brokers of a cluster, nodes of a search engine."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from pathlib import Path

from hub.errors import Unavailable
from hub.stack import ports
from hub.stack.process import Child, Program
from tests.waiting import wait_for


class Members(ABC):
    """Members by number, from 0. Ports and data of one that was killed stay."""

    what: str
    """What one is, in a word."""
    ready_s: float

    def __init__(self, folder: Path, names: list[str]) -> None:
        """Starts nothing. Args: folder: of their files, made if need be. names: of `ports`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._ports = ports.choose(folder / "ports.json", names)
        self._folder = folder
        self._children: dict[int, Child] = {}
        self._changed = threading.Event()

    @abstractmethod
    def program(self, number: int) -> Program:
        """One that may start: its files are there."""

    @abstractmethod
    def is_whole(self) -> bool:
        """Whether all are there, and everything has all its copies."""

    def start(self, number: int) -> None:
        """Does not wait for it. From the main thread."""

        def keep(_: str, line: str) -> None:
            with (self._folder / f"{self.what}{number}.log").open("a") as log:
                log.write(f"{line}\n")

        self._children[number] = Child(self.program(number), keep, self._changed.set)

    def kill(self, number: int) -> None:
        """SIGKILL."""
        self._children.pop(number).kill()

    def stop(self) -> None:
        """All of them, as nobody needs what they have."""
        for number in list(self._children):
            self.kill(number)

    def wait(self) -> None:
        """Until all are there and everything has all its copies again."""
        wait_for(f"each {self.what} has all copies of everything", self._is_whole, self.ready_s)

    def _is_whole(self) -> bool:
        for number, child in self._children.items():
            if child.code is not None:
                raise Unavailable(self.what, f"{self.what} {number} has ended: {child.last_words()}")
        return self.is_whole()
