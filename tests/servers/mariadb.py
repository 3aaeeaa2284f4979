"""MariaDB with all its files in one folder."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pymysql

from hub.stack.process import Program
from tests.servers import unprivileged
from tests.servers.kinds import Image, found

HOST: Final = "127.0.0.1"
USER: Final = "hub"
PASSWORD: Final = "correct-horse"
DATABASE: Final = "shop"
# nothing has to outlive the machine
CONF: Final = """
[mysqld]
bind-address = 127.0.0.1
skip-name-resolve
innodb_flush_log_at_trx_commit = 0
innodb_buffer_pool_size = 64M
character-set-server = utf8mb4
"""
FIRST: Final = f"""
CREATE DATABASE {DATABASE};
CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO '{USER}'@'%';
"""


class MariaDb:
    """See Server."""

    name = "mariadb"
    package = "mariadb-server"
    ports = ("mysql",)
    image: Image | None = Image(
        "mariadb:11",
        3306,
        {
            "MARIADB_USER": USER,
            "MARIADB_PASSWORD": PASSWORD,
            "MARIADB_DATABASE": DATABASE,
            "MARIADB_ROOT_PASSWORD": "x",
        },
    )

    def binary(self) -> Path | None:
        return found("mariadbd") or found("mysqld")

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        port = ports["mysql"]
        return Program(
            name="mariadb",
            argv=unprivileged.argv(
                str(self.binary()),
                f"--defaults-file={home / 'my.cnf'}",
                f"--datadir={home / 'data'}",
                f"--socket={home / 'mysql.sock'}",
                f"--pid-file={home / 'pid'}",
                f"--init-file={home / 'first.sql'}",
                f"--port={port}",
            ),
            env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            port=port,
            prepare=lambda: prepare(home),
            ready=lambda: _lets_in(port),
            stop_s=10.0,
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return self.image_url(HOST, ports["mysql"])

    def image_url(self, host: str, port: int) -> str:
        return f"mysql://{host}:{port}/{DATABASE}"


def prepare(home: Path) -> None:
    """Its system tables, once; whoever it lets in."""
    (home / "my.cnf").write_text(CONF)
    if (home / "data" / "mysql").exists():
        (home / "first.sql").write_text("")
        return
    (home / "first.sql").write_text("".join(f"{line}\n" for line in FIRST.strip().splitlines()))
    unprivileged.give(home)
    install = found("mariadb-install-db") or found("mysql_install_db")
    command = (str(install), f"--defaults-file={home / 'my.cnf'}", f"--datadir={home / 'data'}", "--skip-test-db")
    argv = unprivileged.argv(*command, "--auth-root-authentication-method=normal")
    subprocess.run(argv, cwd=home, check=True, timeout=120, capture_output=True)


def _lets_in(port: int) -> bool:
    try:
        pymysql.connect(
            host=HOST, port=port, user=USER, password=PASSWORD, database=DATABASE, connect_timeout=2
        ).close()
    except pymysql.MySQLError:
        return False
    return True


SERVER = MariaDb()
