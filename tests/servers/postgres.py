"""PostgreSQL with all its files in one folder; TLS on the same port."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psycopg

from hub.stack.process import Program
from tests.servers import tls, unprivileged
from tests.servers.kinds import Image, found

HOST: Final = "127.0.0.1"
USER: Final = "hub"
PASSWORD: Final = "correct-horse"
DATABASE: Final = "shop"
# nothing has to outlive the machine; a kill of the server loses nothing by this
CONF: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
ssl = on
ssl_cert_file = '{home}/tls/server.pem'
ssl_key_file = '{home}/tls/server.key'
max_connections = 260
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
max_prepared_transactions = 5
"""


class Postgres:
    """See Server. It has one superuser, and a database."""

    name = "postgres"
    package = "postgresql"
    ports = ("postgres",)
    image: Image | None = Image(
        "postgres:18-alpine",
        5432,
        {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": DATABASE},
    )

    def binary(self) -> Path | None:
        return _program("postgres")

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        return Program(
            name="postgres",
            argv=unprivileged.argv(str(self.binary()), "-D", str(home / "data"), "-p", str(ports["postgres"])),
            env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            port=ports["postgres"],
            prepare=lambda: prepare(home),
            ready=lambda: _lets_in(self.url(ports)),
            stop_s=5.0,  # SIGTERM waits for clients
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return self.image_url(HOST, ports["postgres"])

    def image_url(self, host: str, port: int) -> str:
        return f"postgresql://{USER}:{PASSWORD}@{host}:{port}/{DATABASE}"


def prepare(home: Path) -> None:
    """A cluster with its database, once."""
    if (home / "data" / "ready").exists():
        return
    tls.make(home / "tls")
    (home / "tls" / "server.key").chmod(0o600)
    (home / "password").write_text(PASSWORD)
    unprivileged.give(home)
    data = str(home / "data")
    initdb = (str(_program("initdb")), "-D", data, "-U", USER, f"--pwfile={home / 'password'}", "--no-sync")
    _run(home, *initdb, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8")
    with (home / "data" / "postgresql.conf").open("a") as conf:
        conf.write(CONF.format(home=home))
    alone = (str(_program("postgres")), "--single", "-D", data, "-c", "ssl=off", "postgres")
    _run(home, *alone, words=f"CREATE DATABASE {DATABASE}\n")
    (home / "data" / "ready").touch()


def _lets_in(url: str) -> bool:
    """It takes connections long before it lets anybody in, as long as it recovers from a kill."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _run(home: Path, *command: str, words: str = "") -> None:
    argv = unprivileged.argv(*command)
    subprocess.run(argv, input=words, text=True, cwd=home, check=True, timeout=120, capture_output=True)


def _program(name: str) -> Path | None:
    """On PATH, or where Debian keeps it: by version, the newest first."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: -float(path.parts[-3]))
    return found(name) or next(iter(places), None)


SERVER = Postgres()
