"""Whom bridges, destinations and imports may connect to; a socket listens there, and nobody may come to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from typing import Any

import pytest

from bridges import trial
from bridges.avro import AvroDecoder
from bridges.base import Context
from bridges.kafka import Registry
from bridges.network import places
from bridges.outward import registry as outward
from bridges.outward.base import Denied, Message
from bridges.outward.http import HttpSettings, HttpTarget
from bridges.outward.keeper import build
from bridges.registry import MODULES, spec_of
from hub.definitions import kinds
from hub.egress import addresses, check
from hub.errors import Refused
from hub.flows.addresses import Forbidden
from hub.imports import local
from hub.imports.sources import Reach, source_of
from hub.imports.spec import ImportSpec
from hub.settings import Egress

ANYWHERE = Egress()
ELSEWHERE = Egress(networks=[ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])
BRIDGES: dict[str, dict[str, Any]] = {
    "imap": {"host": "{host}", "port": "{port}", "username": "u", "password": "env:P", "security": "plain"},
    "kafka": {"bootstrap": "{host}:{port}", "topics": ["t"]},
    "rabbitmq": {"url": "amqp://{host}:{port}", "queues": ["q"]},
    "mqtt": {"url": "mqtt://{host}:{port}", "topics": ["t"]},
    "nats": {"url": "nats://{host}:{port}", "stream": "s"},
    "postgres": {
        "url": "postgresql://{host}:{port}/d",
        "username": "u",
        "password": "env:P",
        "table": "t",
        "after": "delete",
    },
    "redis_list": {"url": "redis://{host}:{port}", "key": "k"},
    "redis_streams": {"url": "redis://{host}:{port}", "streams": ["s"]},
    "sqs": {"queue": "q", "endpoint_url": "http://{host}:{port}", "region": "eu-west-1"},
}
DESTINATIONS: dict[str, dict[str, Any]] = {
    "clickhouse": {"url": "http://{host}:{port}", "table": "t"},
    "http": {"url": "http://{host}:{port}/"},
    "kafka": {"bootstrap": "{host}:{port}", "topic": "t"},
    "mqtt": {"url": "mqtt://{host}:{port}", "topic": "t"},
    "nats": {"url": "nats://{host}:{port}", "subject": "s"},
    "postgres": {"url": "postgresql://{host}:{port}/d", "username": "u", "table": "t"},
    "rabbitmq": {"url": "amqp://{host}:{port}"},
    "redis_streams": {"url": "redis://{host}:{port}", "stream": "s"},
    "s3": {"bucket": "b", "endpoint_url": "http://{host}:{port}", "region": "eu-west-1"},
    "smtp": {"host": "{host}", "port": "{port}", "sender": "a@example.com", "security": "none"},
    "sqs": {"queue": "q", "endpoint_url": "http://{host}:{port}", "region": "eu-west-1"},
}
IMPORTS: list[dict[str, Any]] = [
    {"location": "s3://bucket/rows.csv", "endpoint_url": "http://{host}:{port}"},
    {"location": "postgresql://{host}:{port}/d", "table": "t"},
    {"location": "postgresql://no-such-host.invalid/d", "table": "t", "options": {"hostaddr": "{host}"}},
    {"location": "mysql://{host}:{port}/d", "table": "t"},
    {"location": "elasticsearch+http://{host}:{port}/i"},
    {"location": "kafka://{host}:{port}/t"},
    {"location": "kafka://no-such-host.invalid:9092/t", "options": {"bootstrap.servers": "{host}:{port}"}},
]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """On loopback. Fails if anybody has come."""
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        sock.setblocking(False)
        yield sock
        with pytest.raises(BlockingIOError):
            sock.accept()


def filled(value: Any, host: str, port: int) -> Any:
    """With host and port in their places."""
    if isinstance(value, dict):
        return {name: filled(one, host, port) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, host, port) for one in value]
    return port if value == "{port}" else value.replace("{host}", host).replace("{port}", str(port))


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "fd12::1", "93.184.216.34"])
def test_brokers_beside_the_hub_are_the_usual_ones(host: str) -> None:
    assert addresses(host, 9092, ANYWHERE)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
def test_where_clouds_keep_secrets_nobody_connects_to_unless_it_is_named(host: str) -> None:
    for egress in (ANYWHERE, Egress(networks=[ip_network("0.0.0.0/0"), ip_network("::/0")])):
        with pytest.raises(Forbidden, match="secrets of machines"):
            addresses(host, 80, egress)
    inside = [ip_network(one) for one in ("169.254.0.0/16", "fe80::/64", "fd00:ec2::254/128", "100.100.100.200/32")]
    assert addresses(host, 80, Egress(networks=[*inside, ip_network("168.63.129.16/32")]))


def test_who_names_networks_allows_no_others() -> None:
    assert addresses("192.0.2.7", 1, ELSEWHERE) == ["192.0.2.7"]
    assert addresses("2001:db8::7", 1, ELSEWHERE) == ["2001:db8::7"]
    for host in ("192.0.3.7", "127.0.0.1", "::1", "localhost"):
        with pytest.raises(Forbidden, match="HUB_EGRESS__NETWORKS"):
            addresses(host, 1, ELSEWHERE)


def test_a_place_is_a_host_with_a_port_or_without_or_a_url() -> None:
    for place in ("127.0.0.1", "127.0.0.1:9092", "[::1]:9092", "::1", "amqp://127.0.0.1/", "SASL_SSL://localhost:1"):
        with pytest.raises(Refused, match="HUB_EGRESS__NETWORKS"):
            check([place], ELSEWHERE, "source")
    check(["no-such-host.invalid:1"], ELSEWHERE, "source")  # the client will say so


def test_every_kind_of_bridge_and_destination_says_where_it_connects_to() -> None:
    assert BRIDGES.keys() == MODULES.keys() - {"webhook"}
    assert DESTINATIONS.keys() == outward.MODULES.keys()
    for settings, of in ((BRIDGES, spec_of), (DESTINATIONS, outward.spec_of)):
        for kind, one in settings.items():
            found = places(of(kind).settings.model_validate(filled(one, "127.0.0.1", 7)))
            assert any("127.0.0.1" in place for place in found), kind
    registry = {"bootstrap": "a:1,b:2", "topics": ["t"], "registry": {"url": "http://c"}, "format": "avro"}
    options = {"options": {"sasl.oauthbearer.token.endpoint.url": "http://d"}}
    found = places(spec_of("kafka").settings.model_validate(registry | options))
    assert sorted(found) == ["a:1", "b:2", "http://c", "http://d"]


@pytest.mark.parametrize("kind", BRIDGES)
async def test_no_bridge_connects_where_it_may_not(kind: str, listening: socket.socket) -> None:
    settings = filled(BRIDGES[kind], "127.0.0.1", port_of(listening))
    definition = kinds.Bridge(type=kind, source="s", settings=settings)
    with pytest.raises(Refused, match="HUB_EGRESS__NETWORKS"):
        await trial.build("b", definition, "hub", {"P": "x"}, ELSEWHERE)
    await trial.build("b", definition, "hub", {"P": "x"}, ANYWHERE)


@pytest.mark.parametrize("kind", DESTINATIONS)
async def test_no_destination_connects_where_it_may_not(kind: str, listening: socket.socket) -> None:
    class Site:
        namespace, environ, egress = "hub", {}, ELSEWHERE

    settings = filled(DESTINATIONS[kind], "127.0.0.1", port_of(listening))
    definition = kinds.Destination(type=kind, settings=settings, sends="flows" if kind == "smtp" else "events")
    with pytest.raises(Refused, match="HUB_EGRESS__NETWORKS"):
        await build("d", definition, Site())  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", IMPORTS, ids=lambda spec: spec["location"].partition(":")[0])
def test_no_import_connects_where_it_may_not(spec: dict[str, Any], listening: socket.socket) -> None:
    wanted = ImportSpec(id="i", source="s", **filled(spec, "127.0.0.1", port_of(listening)))
    with pytest.raises(Refused, match="HUB_EGRESS__NETWORKS"):
        source_of(wanted, Reach(local.anywhere, {}, ELSEWHERE))


def test_no_registry_is_asked_that_may_not(listening: socket.socket) -> None:
    decode = AvroDecoder(Registry(url=f"http://127.0.0.1:{port_of(listening)}"), [], {}, ELSEWHERE)
    with pytest.raises(Refused, match="HUB_EGRESS__NETWORKS"):
        decode(b"\0\0\0\0\1rest")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_what_http_connects_to_is_what_was_checked(host: str, listening: socket.socket) -> None:
    """Also when what a name leads to has changed since the destination was started."""
    target = HttpTarget(HttpSettings(url=f"http://{host}:{port_of(listening)}/"), Context("d", "hub", {}, ELSEWHERE))
    message = Message(id="1", key="", body=b"{}", content={}, type="t", source="s", profile_id="p", time_ms=0)
    try:
        await target.connect()
        with pytest.raises(Denied, match="HUB_EGRESS__NETWORKS"):
            async with asyncio.timeout(20):
                await target.send([message])
    finally:
        await target.close()
