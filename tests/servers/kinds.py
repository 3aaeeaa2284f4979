"""What a server of the tests is: where its program is, how it is run, how clients reach it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

from hub.stack.process import Program

PLACES: Final = ("/usr/sbin", "/usr/lib/rabbitmq/bin", "/usr/local/bin", "/usr/local/sbin")
"""Where programs lie that are not on everybody's PATH."""
SHORT_LIVED: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Of Java: what it compiles better, and with threads of its own, would pay off after the tests."""


class Image(NamedTuple):
    """The same server as a container. Attributes: port: the one in it that clients use. env: of the container."""

    name: str
    port: int
    env: Mapping[str, str] = {}
    command: str = ""


class Server(Protocol):
    """
    One kind of server; a module of this package has one as `SERVER`.

    Attributes:
        name: As in `HUB_TEST_<NAME>_URL`.
        package: What to install on Debian.
        ports: Names of the ports that it listens on; the first is the one that `url` is about.
        image: As a container; None: there is none.
    """

    name: str
    package: str
    ports: tuple[str, ...]
    image: Image | None

    def binary(self) -> Path | None:
        """Its program on this machine, if it is there."""
        ...

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        """How to run it, with all its files in `home`, an existing folder, which may hold those of an earlier run."""
        ...

    def url(self, ports: Mapping[str, int]) -> str:
        """How a client reaches it on 127.0.0.1, credentials included."""
        ...

    def image_url(self, host: str, port: int) -> str:
        """How a client reaches it in its container."""
        ...


def server_of(name: str) -> Server:
    """The `SERVER` of tests/servers/<name>.py."""
    return cast("Server", import_module(f"tests.servers.{name}").SERVER)


def found(name: str) -> Path | None:
    """A program on PATH, or where Debian keeps servers."""
    path = shutil.which(name) or next((f"{place}/{name}" for place in PLACES if Path(place, name).exists()), None)
    return None if path is None else Path(path)
