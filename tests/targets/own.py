"""Targets on a server of one test's own, which it may kill, and which the destination reaches over TLS."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from tests.servers import kafka_tls
from tests.servers.running import Own
from tests.targets import Sink, mqtt
from tests.targets.kafka import KafkaSink
from tests.targets.nats import NatsSink
from tests.targets.postgres import PostgresSink
from tests.targets.rabbitmq import RabbitmqSink
from tests.targets.redis_streams import RedisSink

KAFKA_PASSWORD: Final = "TESTS_KAFKA_PASSWORD"

Place: TypeAlias = Callable[[Own, str], AbstractContextManager[Sink]]
"""Gets the server, and a name that nobody else has there; talks to it without TLS, where it lets us."""
Secure: TypeAlias = Callable[[Own, Path, int], Mapping[str, Any]]
"""Gets the server, the authority's file, and the port of a relay with TLS; gives settings of the destination."""


class Kind(NamedTuple):
    """
    What to know of one.

    Attributes:
        server: As in tests/servers.
        relayed: Whether its server has no TLS itself, so that it takes a relay.
        keeps: Whether what the server has acknowledged outlives a SIGKILL; else it is told to stop.
        untrusted: What a destination says that does not know the authority.
    """

    server: str
    place: Place
    secure: Secure
    relayed: bool = False
    keeps: bool = True
    untrusted: str = "settings.ca_file"


def port_of(server: Own, name: str) -> int:
    """One of the server's ports."""
    return int(json.loads((server.home / "ports.json").read_text())[name])


def trusting(ca: Path) -> ssl.SSLContext:
    """For the test's own connections."""
    return ssl.create_default_context(cafile=str(ca))


def _sasl(server: Own, ca: Path, _: int) -> Mapping[str, Any]:
    os.environ[KAFKA_PASSWORD] = kafka_tls.PASSWORD  # destinations run in this process
    options = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": kafka_tls.USER,
        "sasl.password": f"env:{KAFKA_PASSWORD}",
        "ssl.ca.location": str(ca),
    }
    return {"bootstrap": f"localhost:{port_of(server, 'clients')}", "options": options}


KINDS: Final[Mapping[str, Kind]] = {
    "kafka": Kind(
        "kafka_tls",
        lambda server, name: nullcontext(KafkaSink(server.url.removeprefix("kafka://"), name)),
        _sasl,
        untrusted="ssl.ca.location",
    ),
    # mosquitto keeps in memory what it has acknowledged, and writes it down once a second and when it stops
    "mqtt": Kind(
        "mosquitto",
        lambda server, name: mqtt.at(server.url, name),
        lambda server, ca, _: {"url": f"mqtts://localhost:{port_of(server, 'mqtts')}", "ca_file": str(ca)},
        keeps=False,
    ),
    "nats": Kind(
        "nats_tls",
        lambda server, name: nullcontext(NatsSink(server.url, name, tls=trusting(server.home / "tls" / "ca.pem"))),
        lambda server, ca, _: {"url": f"tls://localhost:{port_of(server, 'nats')}", "ca_file": str(ca)},
    ),
    "postgres": Kind(
        "postgres",
        lambda server, name: nullcontext(PostgresSink(server.url, name)),
        lambda server, ca, _: {
            "url": f"postgresql://localhost:{port_of(server, 'postgres')}/shop",
            "sslmode": "verify-full",
            "ca_file": str(ca),
        },
    ),
    "rabbitmq": Kind(
        "rabbitmq",
        lambda server, name: nullcontext(RabbitmqSink(server.url, name)),
        lambda server, ca, _: {"url": f"amqps://localhost:{port_of(server, 'amqps')}", "ca_file": str(ca)},
    ),
    "redis_streams": Kind(
        "valkey_kept",
        lambda server, name: nullcontext(RedisSink(server.url, name)),
        lambda _, ca, port: {"url": f"rediss://localhost:{port}", "ca_file": str(ca)},
        relayed=True,
    ),
}
