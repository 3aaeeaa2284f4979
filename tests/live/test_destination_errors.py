"""What is wrong with a destination's settings, in words that name the cause and the mend: of each kind of target."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import pytest
from aiosmtpd.smtp import AuthResult

from bridges.base import Context
from bridges.outward.base import Message, Target
from bridges.outward.registry import spec_of
from hub.errors import PortError, Refused, Unavailable
from tests.servers import kafka_tls, mosquitto
from tests.servers.relay import relay
from tests.servers.running import Own, own
from tests.sources import World
from tests.targets import open_sink
from tests.targets.own import port_of
from tests.targets.smtp import SENDER, mail_server

pytestmark = pytest.mark.slow

WITHIN_S: Final = 60.0
NOWHERE: Final = "no.such.host.invalid"
PASSWORDS: Final = {"WRONG": "pw-4711", "KAFKA": kafka_tls.PASSWORD, "STRANGER": mosquitto.USERS["stranger"]}
MAIL: Final = {"to": "ann@example.com", "subject": "s", "text": "t"}
Kind: TypeAlias = type[PortError]


async def error_of(kind: str, settings: Mapping[str, Any]) -> PortError:
    """What a message does not get there for."""
    spec = spec_of(kind)
    target = spec.build(spec.settings.model_validate(settings), Context("d", "t", {**os.environ, **PASSWORDS}))
    message = Message(
        id="0198c9a0-0000-7000-8000-000000000000",
        key="p",
        body=b"{}",
        content=MAIL,
        type="purchase",
        source="shop",
        profile_id="p",
        time_ms=1_780_000_000_000,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            await target.connect()
            assert isinstance(target, Target)
            await target.send([message])
    except PortError as exc:
        return exc
    finally:
        await target.close()
    raise AssertionError("it is sent")


def said(error: PortError, kind: Kind, *words: str) -> None:
    assert isinstance(error, kind), error
    for word in words:
        assert word in error.detail
    assert PASSWORDS["WRONG"] not in error.detail


@pytest.mark.parametrize(
    ("name", "changes", "kind", "words"),
    [
        ("clickhouse", {"url": f"http://{NOWHERE}"}, Unavailable, [NOWHERE, "not known", "settings.url"]),
        ("http", {"url": f"http://{NOWHERE}/in"}, Unavailable, [NOWHERE, "not known", "settings.url"]),
        ("mqtt", {"url": f"mqtt://{NOWHERE}"}, Unavailable, [NOWHERE, "not known", "settings.url"]),
        ("nats", {"url": f"nats://{NOWHERE}"}, Unavailable, [NOWHERE, "not known", "settings.url"]),
        ("nats", {"username": "u", "password": "env:WRONG"}, Refused, ["does not let us in", "settings.username"]),
        ("nats", {"subject": "no.stream"}, Unavailable, ["keeps no.stream", "settings.subject"]),
        ("postgres", {"url": f"postgresql://{NOWHERE}/shop"}, Unavailable, [NOWHERE, "settings.url"]),
        ("postgres", {"password": "env:WRONG"}, Refused, ["settings.username and settings.password"]),
        ("postgres", {"table": "nowhere.t"}, Unavailable, ['schema "nowhere"', "settings.table"]),
        ("rabbitmq", {"url": f"amqp://{NOWHERE}"}, Unavailable, [NOWHERE, "not known", "settings.url"]),
        ("rabbitmq", {"password": "env:WRONG"}, Refused, ["user guest", "settings.password"]),
        ("rabbitmq", {"exchange": "nowhere"}, Unavailable, ["no exchange 'nowhere'", "settings.exchange"]),
        (
            "rabbitmq",
            {"exchange": "", "routing_key": "nowhere"},
            Unavailable,
            ["no queue 'nowhere'", "settings.routing_key"],
        ),
        ("redis_streams", {"url": f"redis://{NOWHERE}"}, Unavailable, [NOWHERE, "not known", "settings.url"]),
        ("redis_streams", {"username": "u", "password": "env:WRONG"}, Refused, ["settings.password"]),
        ("s3", {"endpoint_url": f"http://{NOWHERE}"}, Unavailable, [NOWHERE, "settings.endpoint_url"]),
        ("s3", {"ca_file": "/no/such.pem"}, Refused, ["settings.ca_file", "/no/such.pem"]),
        ("smtp", {"host": NOWHERE}, Unavailable, [NOWHERE, "not known", "settings.host"]),
        ("smtp", {"security": "starttls"}, Refused, ["STARTTLS", "settings.security"]),
        ("sqs", {"endpoint_url": f"http://{NOWHERE}"}, Unavailable, [NOWHERE, "settings.endpoint_url"]),
        ("sqs", {"queue": "nowhere"}, Unavailable, ["queue nowhere", "settings.queue"]),
        ("sqs", {"ca_file": "/no/such.pem"}, Refused, ["settings.ca_file", "/no/such.pem"]),
    ],
)
async def test_a_wrong_setting(
    name: str,
    changes: dict[str, Any],
    kind: Kind,
    words: list[str],
    kafka: str,
    shared_folder: Path,
    namespace: str,
) -> None:
    with open_sink(name, World(kafka, shared_folder, namespace)) as sink:
        said(await error_of(name, {**sink.definition["settings"], **changes}), kind, *words)


WITHOUT_TLS: Final = {
    "clickhouse": "url",
    "http": "url",
    "nats": "url",
    "redis_streams": "url",
    "s3": "endpoint_url",
    "sqs": "endpoint_url",
}
"""By kind, the setting that says whether TLS is spoken."""


@pytest.mark.parametrize("name", WITHOUT_TLS)
async def test_tls_to_a_server_that_speaks_none_and_none_to_one_that_does(
    name: str, kafka: str, shared_folder: Path, namespace: str, tmp_path: Path
) -> None:
    where = WITHOUT_TLS[name]
    with open_sink(name, World(kafka, shared_folder, namespace)) as sink:
        settings = sink.definition["settings"]
        parts = urlsplit(settings[where])
        secure = {"nats": "tls", "redis": "rediss"}.get(parts.scheme, "https")
        patient = {"timeout_s": 2} if name == "redis_streams" else {}
        error = await error_of(name, {**settings, **patient, where: parts._replace(scheme=secure).geturl()})
        said(error, PortError, "write nats://" if name == "nats" else f"settings.{where}")
        if name == "nats":
            return  # it is the server that begins with TLS
        async with relay(parts.port or 0, tmp_path) as port:
            there = parts._replace(netloc=f"localhost:{port}").geturl()
            said(await error_of(name, {**settings, where: there}), Unavailable, f"settings.{where}")


class _Nobody:
    """Lets nobody in."""

    def __call__(self, *_: Any) -> AuthResult:
        return AuthResult(success=False, handled=False)


async def test_a_mail_server_that_does_not_let_us_in() -> None:
    with mail_server(authenticator=_Nobody(), auth_require_tls=False) as server:
        settings = {"host": "127.0.0.1", "port": server.port, "security": "none", "sender": SENDER}
        error = await error_of("smtp", {**settings, "username": "hub", "password": "env:WRONG"})
        said(error, Refused, "does not let us in: 535", "settings.username and settings.password")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("mosquitto", tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.mark.parametrize(
    ("url", "changes", "kind", "words"),
    [
        ("mqtt://127.0.0.1:passwords", {}, Refused, ["does not let us in", "settings.username"]),
        (
            "mqtt://127.0.0.1:passwords",
            {"username": "reader", "password": "env:WRONG"},
            Refused,
            ["does not let us in", "settings.password"],
        ),
        (
            "mqtt://127.0.0.1:passwords",
            {"username": "stranger", "password": "env:STRANGER"},
            Refused,
            ["does not take a message for a/b", "settings.topic"],
        ),
        ("mqtts://localhost:mqtt", {}, Unavailable, ["breaks the connection off", "TLS", "settings.url"]),
        ("mqtt://localhost:mqtts", {}, Unavailable, ["breaks the connection off", "TLS", "settings.url"]),
    ],
)
async def test_mqtt(broker: Own, url: str, changes: dict[str, Any], kind: Kind, words: list[str]) -> None:
    head, _, listener = url.rpartition(":")
    settings = {"url": f"{head}:{mosquitto.port_of(broker.home, listener)}", "topic": "a/b", **changes}
    said(await error_of("mqtt", settings), kind, *words)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("kafka_tls", tmp_path_factory.mktemp("kafka-tls")) as running:
        yield running


@pytest.mark.parametrize(
    ("place", "options", "kind", "words"),
    [
        pytest.param(f"{NOWHERE}:9092", None, Unavailable, [NOWHERE, "settings.bootstrap"], id="host"),
        pytest.param("clients", None, Unavailable, ["settings.bootstrap", "security.protocol"], id="none to TLS"),
        pytest.param(
            "broker",
            {"security.protocol": "SSL"},
            Unavailable,
            ["SSL handshake failed", "security.protocol"],
            id="TLS to none",
        ),
        pytest.param(
            "clients",
            {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "PLAIN",
                "sasl.username": kafka_tls.USER,
                "sasl.password": "env:WRONG",
            },
            Refused,
            ["Authentication failed", "settings.options"],
            id="password",
        ),
    ],
)
@pytest.mark.long
async def test_kafka(cluster: Own, place: str, options: dict[str, str] | None, kind: Kind, words: list[str]) -> None:
    bootstrap = place if ":" in place else f"localhost:{port_of(cluster, place)}"
    given = {**options, "ssl.ca.location": str(cluster.home / "tls" / "ca.pem")} if options else {}
    said(await error_of("kafka", {"bootstrap": bootstrap, "topic": "t", "options": given}), kind, *words)


async def test_kafka_without_its_topic_or_with_options_that_are_none(kafka: str, namespace: str) -> None:
    error = await error_of("kafka", {"bootstrap": kafka, "topic": namespace})
    said(error, Unavailable, f"no topic {namespace}", "settings.topic")
    options = {"security.protocol": "SSL", "ssl.ca.location": "/no/such.pem"}
    error = await error_of("kafka", {"bootstrap": kafka, "topic": namespace, "options": options})
    said(error, Refused, "ssl.ca.location", "settings.options", "machine of `hub bridges`")
