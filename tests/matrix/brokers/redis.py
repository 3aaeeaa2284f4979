"""Valkey: users in a file, and a disk that is waited for; what both kinds of Redis bridge are tried on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import redis

from hub.stack.process import Program
from tests.matrix.brokers import PASSWORD, QUEUE, SECRET, USER, OwnServer
from tests.matrix.link import Link
from tests.servers.kinds import Server
from tests.servers.valkey import Valkey

ANSWER_S = 5.0


class Durable(Valkey):
    """Confirms what is on disk: with the usual second in between it may itself forget what it has confirmed."""

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        usual = super().program(home, ports)
        users = home / "users.acl"
        if not users.exists():
            users.write_text(f"user default on nopass ~* &* +@all\nuser {USER} on >{PASSWORD} ~* &* +@all\n")
        return replace(usual, argv=(*usual.argv, "--appendfsync", "always", "--aclfile", str(users)))


class Redis(OwnServer):
    """See Broker."""

    server = "valkey"
    notes = "with `appendfsync always`: what it confirms is then on disk"

    def __init__(self, folder: Path, link: Link) -> None:
        """Does not start it."""
        super().__init__(folder, link)
        self.own.server = cast("Server", Durable())
        self.settings: dict[str, Any] = {
            "url": f"redis://{self.through}",
            "username": USER,
            "password": f"env:{SECRET}",
        }

    @property
    def product(self) -> str:
        with self.client() as client:
            return f"Valkey {client.info('server').get('valkey_version', '')}"

    def delete(self) -> None:
        with self.client() as client:
            client.delete(QUEUE)

    def set_password(self, password: str) -> None:
        with self.client() as client:
            client.acl_setuser(USER, enabled=True, reset_passwords=True, passwords=[f"+{password}"])
            client.execute_command("CLIENT", "KILL", "USER", USER)  # type: ignore[no-untyped-call]

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """One connection, nothing is tried twice."""
        with redis.Redis.from_url(
            self.own.url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=None
        ) as client:
            yield client
