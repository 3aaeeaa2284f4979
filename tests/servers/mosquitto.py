"""Mosquitto: one port for anybody, one with passwords, one with TLS, one with TLS and a client's certificate."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hub.stack import ports as tcp
from hub.stack.process import Program
from tests.servers import tls
from tests.servers.kinds import Image, found

HOST: Final = "127.0.0.1"
# no limits on queues and on what is in flight: the broker would drop what is over the first
CONF: Final = """
user root
per_listener_settings true
persistence true
persistence_location {home}/
autosave_interval 1
max_queued_messages 0
max_inflight_messages 0
set_tcp_nodelay true
log_type error
log_type warning
log_type notice

listener {mqtt} 127.0.0.1
allow_anonymous true

listener {passwords} 127.0.0.1
allow_anonymous false
password_file {home}/passwords
acl_file {home}/acl

listener {mqtts} 127.0.0.1
allow_anonymous true
cafile {home}/tls/ca.pem
certfile {home}/tls/server.pem
keyfile {home}/tls/server.key
"""
USERS: Final = {"reader": "read-it", "stranger": "let-me-in"}
"""Of the port with passwords: the first may read all, the other nothing."""
ACL: Final = "user reader\ntopic readwrite #\n"


class Mosquitto:
    """See Server."""

    name = "mosquitto"
    package = "mosquitto"
    ports = ("mqtt", "passwords", "mqtts")
    image: Image | None = Image(
        "eclipse-mosquitto:2.0",
        1883,
        command="sh -c \"printf 'listener 1883\\nallow_anonymous true\\nmax_queued_messages 0\\n"
        "max_inflight_messages 0\\n' >/tmp/m.conf && exec mosquitto -c /tmp/m.conf\"",
    )

    def binary(self) -> Path | None:
        return found("mosquitto")

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        return Program(
            name="mosquitto",
            argv=(str(self.binary()), "-c", str(home / "mosquitto.conf")),
            port=ports["mqtt"],
            prepare=lambda: prepare(home, ports),
            ready=lambda: all(tcp.answers(port, HOST) for port in ports.values()),
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return f"mqtt://{HOST}:{ports['mqtt']}"

    def image_url(self, host: str, port: int) -> str:
        return f"mqtt://{host}:{port}"


def prepare(home: Path, ports: Mapping[str, int]) -> None:
    """Its configuration."""
    tls.make(home / "tls")
    (home / "mosquitto.conf").write_text(CONF.format(home=home, **ports))
    (home / "acl").write_text(ACL)
    passwords = home / "passwords"
    if not passwords.exists():
        passwords.write_text("".join(f"{name}:{secret}\n" for name, secret in USERS.items()))
        passwords.chmod(0o600)
        subprocess.run([str(found("mosquitto_passwd")), "-U", str(passwords)], check=True, timeout=30)


def port_of(home: Path, name: str) -> int:
    """Of a server of one test: one of its ports."""
    return int(json.loads((home / "ports.json").read_text())[name])


SERVER = Mosquitto()
