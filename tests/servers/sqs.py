"""SQS as moto plays it: a program of the development environment. It keeps nothing when it ends."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hub.stack import ports as tcp
from hub.stack.process import Program
from tests.servers.kinds import Image

ROOT: Final = Path(__file__).parents[2]


class Sqs:
    """See Server."""

    name = "sqs"
    package = "python3-moto"
    ports = ("http",)
    image: Image | None = None

    def binary(self) -> Path | None:
        return Path(sys.executable) if importlib.util.find_spec("moto") else None

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        port = ports["http"]
        return Program(
            name="sqs",
            argv=(sys.executable, "-m", "tests.servers.moto_sqs", str(port)),
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(home), "PYTHONPATH": str(ROOT)},
            port=port,
            ready=lambda: tcp.answers(port),
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return f"http://127.0.0.1:{ports['http']}"

    def image_url(self, host: str, port: int) -> str:
        return f"http://{host}:{port}"


SERVER = Sqs()
