"""ClickHouse: its engine from the development environment, or a server as a container."""

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
USER: Final = "hub"
PASSWORD: Final = "correct-horse"


class Clickhouse:
    """See Server."""

    name = "clickhouse"
    package = "chdb"
    ports = ("http",)
    image: Image | None = Image(
        "clickhouse/clickhouse-server:25.8", 8123, {"CLICKHOUSE_USER": USER, "CLICKHOUSE_PASSWORD": PASSWORD}
    )

    def binary(self) -> Path | None:
        return Path(sys.executable) if importlib.util.find_spec("chdb") else None

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        port = ports["http"]
        return Program(
            name="clickhouse",
            argv=(sys.executable, "-m", "tests.servers.chdb_http", str(port), str(home / "data")),
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(home), "PYTHONPATH": str(ROOT), "TZ": "UTC"},
            port=port,
            ready=lambda: tcp.answers(port),
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return self.image_url("127.0.0.1", ports["http"])

    def image_url(self, host: str, port: int) -> str:
        return f"http://{USER}:{PASSWORD}@{host}:{port}"


SERVER = Clickhouse()
