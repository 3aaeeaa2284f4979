"""What `hub up` runs: servers unless there are some already, then our own processes."""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from zlib import crc32

from hub.definitions.secrets import masked
from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.settings import Api, Kafka, Redis
from hub.stack import kafka as embedded_kafka
from hub.stack import ports, valkey
from hub.stack.level import level
from hub.stack.process import Program
from hub.stack.supervisor import Stage

OURS: Final = ("collector", "api", "bridges")
LATE: Final = ("agents", "worker")
"""Start once the others are ready, and are not waited for: without them events come in all the same."""
WORKERS: Final = {"HUB_TASKS__ON_DEMAND": "true"}
"""Unless somebody has said otherwise: for tasks there are workers when there are tasks."""
HEALTH_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True)
class Site:
    """Where and with what a hub runs. `environment` is that of its processes; what the plan decides is added."""

    data: Path
    namespace: str
    kafka: Kafka
    redis: Redis
    api: Api
    admin_key: str
    environment: Mapping[str, str]
    class_path: Sequence[Path]  # of Kafka; empty when `kafka.bootstrap` is set
    late: Sequence[str] = LATE  # processes that start once the others are ready
    store_url: str = ""  # of a store that Kafka's log is compared with after a power cut; empty: of none


@dataclass(frozen=True)
class Plan:
    """Stages, in order; and the addresses that result."""

    stages: Sequence[Stage]
    url: str
    kafka: str
    redis: str


def make(site: Site, ours: Sequence[str] = OURS, say: Callable[[str], None] = lambda _: None) -> Plan:
    """
    Decide ports and programs. Starts nothing, but writes the chosen ports to the data folder.

    Args: ours: processes of the hub, which make it ready. say: gets what a person should know.

    Raises: Refused: the API's port is taken, or no port is free.
    """
    late = site.late
    how = "Choose another one with --port or HUB_API__PORT (0: any)"
    ports.require_free(site.api.host, site.api.port, how)
    chosen = ports.choose(site.data / "ports.json", ("broker", "controller", "valkey", *ours, *late))
    servers: list[Program] = []
    kafka, redis_url, address = site.kafka, site.redis.url, site.redis.address
    brought: dict[str, str] = {}
    if not kafka.bootstrap:
        listeners = embedded_kafka.Listeners(chosen["broker"], chosen["controller"])
        broker = embedded_kafka.Broker(site.data / "kafka", site.class_path, listeners, fsync=kafka.fsync)
        servers.append(embedded_kafka.program(broker))
        kafka = kafka.model_copy(update={"bootstrap": broker.bootstrap})
    if not redis_url:
        servers.append(valkey.program(site.data / "valkey", chosen["valkey"]))
        redis_url = address = brought["HUB_REDIS__URL"] = valkey.url(chosen["valkey"])
    api_port = site.api.port or chosen.get("api", 0)
    environment = {
        **site.environment,
        "HUB_NAMESPACE": site.namespace,
        "HUB_DATA": str(site.data),
        "HUB_ADMIN_KEY": site.admin_key,
        "HUB_KAFKA__BOOTSTRAP": kafka.bootstrap,
        **brought,
        "HUB_API__PORT": str(api_port),
        "HUB_AGENTS__INSTANCE": site.environment.get("HUB_AGENTS__INSTANCE") or _instance(site.data),
        "PYTHONUNBUFFERED": "1",  # a line is in the log when it was printed, also if the process is killed
    }

    def check_servers() -> None:
        if not valkey.answers(address):
            raise Unavailable("redis", f"{masked(redis_url)} does not answer. Start it, or unset HUB_REDIS__URL")
        LogAdmin(kafka, site.namespace).ensure_topics()
        if site.store_url and not site.kafka.bootstrap:
            for topic, count in level(kafka, site.namespace, site.store_url).items():
                say(f"a power cut has cost the last {count:,} records of {topic} that are stored: docs/operations.md")

    host = reachable(site.api.host)
    own_ports = {**chosen, "api": api_port}
    return Plan(
        stages=(
            Stage(servers, check_servers),
            Stage(
                [
                    _ours(name, host if name == "api" else "", own_ports[name], environment, site.api.scheme)
                    for name in ours
                ]
            ),
            Stage([_ours(name, "", own_ports[name], {**WORKERS, **environment}) for name in late], is_late=True),
        ),
        url=f"{site.api.scheme}://{f'[{host}]' if ':' in host else host}:{api_port}",
        kafka=kafka.bootstrap,
        redis=masked(redis_url),
    )


def _instance(data: Path) -> str:
    """What the one agents process of this folder on this machine is called, whenever it is started."""
    return f"{socket.gethostname()[:100]}-{crc32(str(data).encode()):08x}"


def reachable(host: str) -> str:
    """An address at which a server that listens on `host` can be asked from this machine."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound


def _ours(name: str, host: str, port: int, environment: Mapping[str, str], scheme: str = "http") -> Program:
    """A process of ours: `/live` and `/ready` on the API's own port, or on a health port. Args: scheme: of the API."""
    tls = bool(host) and scheme == "https"
    own = {} if host else {"HUB_HEALTH__PORT": str(port), "HUB_HEALTH__HOST": "127.0.0.1"}
    host = host or "127.0.0.1"
    return Program(
        name=name,
        argv=(sys.executable, "-m", "hub", name),
        env={**environment, **own},
        port=port,
        ready=lambda: says_ok(host, port, "/ready", tls=tls),
        live=lambda: says_ok(host, port, "/live", tls=tls),
    )


def says_ok(host: str, port: int, path: str, *, tls: bool = False) -> bool:
    """Whether a GET is answered with 200. Blocks for 2 s at most."""
    connection = (
        http.client.HTTPSConnection(host, port, timeout=HEALTH_TIMEOUT_S, context=_unverified())
        if tls
        else http.client.HTTPConnection(host, port, timeout=HEALTH_TIMEOUT_S)
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@cache
def _unverified() -> ssl.SSLContext:
    """Its certificate is of the name that others know it by. Nothing is told to it: whether it answers is all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
