"""A RabbitMQ of a test module, with what only its own tools can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.servers.rabbitmq import control
from tests.servers.running import Own
from tests.sources.rabbitmq import RabbitmqSource


class Site:
    """A server that a test may kill, with its users."""

    def __init__(self, server: Own) -> None:
        self.server = server
        self.ports: dict[str, int] = json.loads((server.home / "ports.json").read_text())
        self.url = f"amqp://127.0.0.1:{self.ports['amqp']}"
        self.tls_url = f"amqps://localhost:{self.ports['amqps']}"
        self.certificates: Path = server.home / "tls"

    def source(self, queue: str, way: str = "classic", **arguments: Any) -> RabbitmqSource:
        return RabbitmqSource(self.server.url, queue, way, **arguments)

    def control(self, *command: str) -> str:
        return control(self.server.home, self.ports, *command)
