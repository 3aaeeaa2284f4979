"""S3 as moto plays it: a program of the development environment. It keeps nothing when it ends."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from hub.stack import ports as tcp
from hub.stack.process import Program
from tests.servers.kinds import Image


class S3:
    """See Server."""

    name = "s3"
    package = "python3-moto"
    ports = ("http",)
    image: Image | None = None

    def binary(self) -> Path | None:
        return Path(sys.executable) if importlib.util.find_spec("moto") else None

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        port = ports["http"]
        return Program(
            name="s3",
            argv=(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)),
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(home)},
            port=port,
            ready=lambda: tcp.answers(port),
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return f"http://127.0.0.1:{ports['http']}"

    def image_url(self, host: str, port: int) -> str:
        return f"http://{host}:{port}"


SERVER = S3()
