"""Valkey, from its wheel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hub.stack import valkey
from hub.stack.process import Program
from tests.servers.kinds import Image


class Valkey:
    """See Server."""

    name = "valkey"
    package = "valkey-server"
    ports = ("redis",)
    image: Image | None = None

    def binary(self) -> Path | None:
        return valkey.binary()

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        return valkey.program(home, ports["redis"])

    def url(self, ports: Mapping[str, int]) -> str:
        return valkey.url(ports["redis"])

    def image_url(self, host: str, port: int) -> str:
        return f"redis://{host}:{port}/0"


SERVER = Valkey()
