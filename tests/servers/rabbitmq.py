"""RabbitMQ with all that it writes in one folder, and an epmd of its own that ends with it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hub.stack import ports as tcp
from hub.stack.process import Program
from tests.servers import tls
from tests.servers.kinds import Image, found

HOST: Final = "127.0.0.1"
BIN: Final = Path("/usr/lib/rabbitmq/bin")
"""Debian's programs without the wrapper that asks for root or the user rabbitmq."""
# epmd would start by itself, as a daemon that nobody ends: so it is here before, and ends with its parent
START: Final = 'setpriv --pdeathsig KILL epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" & exec "$0"'
CONF: Final = """
listeners.tcp.1 = 127.0.0.1:{amqp}
listeners.ssl.1 = 127.0.0.1:{amqps}
ssl_options.cacertfile = {home}/tls/ca.pem
ssl_options.certfile = {home}/tls/server.pem
ssl_options.keyfile = {home}/tls/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = warning
log.file = false
"""


class Rabbitmq:
    """See Server."""

    name = "rabbitmq"
    package = "rabbitmq-server"
    ports = ("amqp", "amqps", "dist", "epmd")
    image: Image | None = Image("rabbitmq:4-alpine", 5672)

    def binary(self) -> Path | None:
        return None if found("epmd") is None else found(str(BIN / "rabbitmq-server"))

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        return Program(
            name="rabbitmq",
            argv=("/bin/sh", "-c", START, str(BIN / "rabbitmq-server")),
            env=environment(home, ports),
            port=ports["amqp"],
            prepare=lambda: prepare(home, ports),
            ready=lambda: tcp.answers(ports["amqp"], HOST) and tcp.answers(ports["amqps"], HOST),
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return f"amqp://guest:guest@{HOST}:{ports['amqp']}/%2F"

    def image_url(self, host: str, port: int) -> str:
        return f"amqp://guest:guest@{host}:{port}/%2F"


def environment(home: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """Of the server, and of rabbitmqctl that talks to it."""
    return {
        "PATH": f"{BIN}{os.pathsep}{os.defpath}",
        "LANG": "C.UTF-8",
        "HOME": str(home),  # of Erlang's cookie
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_CONF_ENV_FILE": str(home / "none.conf"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_NODENAME": f"hub{ports['amqp']}@localhost",
        "RABBITMQ_DIST_PORT": str(ports["dist"]),
        # its schedulers would spin for a while before they sleep, on cores that others need
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 "
        "+sbwt none +sbwtdcpu none +sbwtdio none",
        "detached": "1",  # the script is replaced by the server, which so gets our signals
    }


def prepare(home: Path, ports: Mapping[str, int]) -> None:
    """Its configuration; certificates once."""
    tls.make(home / "tls")
    (home / "none.conf").touch()
    (home / "enabled_plugins").write_text("[].\n")
    (home / "rabbitmq.conf").write_text(CONF.format(home=home, **ports))


def control(home: Path, ports: Mapping[str, int], *command: str) -> str:
    """What `rabbitmqctl` says. Raises CalledProcessError."""
    done = subprocess.run(
        [str(BIN / "rabbitmqctl"), *command],
        env=environment(home, ports),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def address(url: str) -> str:
    """`host:port` of a URL."""
    return urlsplit(url).netloc.rpartition("@")[2]


SERVER = Rabbitmq()
