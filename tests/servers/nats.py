"""NATS with JetStream: nobody has to say who he is, and some do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hub.stack import ports as tcp
from hub.stack.process import Program
from tests.servers import tls
from tests.servers.kinds import Image, found

HOST: Final = "127.0.0.1"
CONF: Final = """
listen: 127.0.0.1:{nats}
server_name: tests
max_payload: 30MB
write_deadline: 10s
jetstream {{ store_dir: "{home}/data", max_mem: 64MB, max_file: 8GB }}
"""
ACCOUNTS: Final = """
no_auth_user: anybody
accounts {
    HUB {
        jetstream: enabled
        users: [
            {user: anybody, password: any-word}
            {user: reader, password: read-it}
            {user: stranger, password: let-me-in, permissions: {publish: "none", subscribe: "_INBOX.>"}}
        ]
    }
    BARE { users: [{user: bare, password: no-streams}] }
}
"""


class Nats:
    """See Server."""

    package = "nats-server"
    ports = ("nats",)

    def __init__(self, name: str, more: str, image: Image | None = None) -> None:
        """Args: more: of its configuration."""
        self.name = name
        self.image = image
        self._more = more

    def binary(self) -> Path | None:
        return found("nats-server")

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        return Program(
            name=self.name,
            argv=(str(self.binary()), "-c", str(home / "nats.conf")),
            port=ports["nats"],
            prepare=lambda: self._prepare(home, ports),
            ready=lambda: tcp.answers(ports["nats"], HOST),
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return f"nats://{HOST}:{ports['nats']}"

    def image_url(self, host: str, port: int) -> str:
        return f"nats://{host}:{port}"

    def _prepare(self, home: Path, ports: Mapping[str, int]) -> None:
        tls.make(home / "tls")
        conf = home / "nats.conf"
        if not conf.exists():  # a test may have changed it
            conf.write_text(CONF.format(home=home, **ports) + self._more.replace("HOME", str(home)))


SERVER = Nats("nats", ACCOUNTS, Image("nats:2.10-alpine", 4222, command="-js"))
