"""A Kafka that speaks TLS and lets in who says who he is: in, and why not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bridges.base import Rewind
from hub.errors import PortError, Refused, Unavailable
from tests.live.reading import bridge, error_of, opened, taken
from tests.servers import kafka_tls
from tests.servers.running import Own, own
from tests.targets.own import port_of

TOPIC = "orders"
PASSWORD = {"KAFKA_PASSWORD": kafka_tls.PASSWORD, "WRONG": "wrong"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("kafka_tls", tmp_path_factory.mktemp("kafka-tls")) as running:
        plain = {"bootstrap.servers": running.url.removeprefix("kafka://"), "log_level": 3}
        admin = AdminClient(plain)
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result()
        producer = Producer(plain)
        producer.produce(TOPIC, b"m1")
        assert producer.flush(30) == 0
        yield running


def settings(server: Own, **options: str) -> dict[str, Any]:
    whole = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": kafka_tls.USER,
        "sasl.password": "env:KAFKA_PASSWORD",
        "ssl.ca.location": str(server.home / "tls" / "ca.pem"),
    }
    kept = {name: value for name, value in {**whole, **options}.items() if value}
    return {"bootstrap": f"localhost:{port_of(server, 'clients')}", "topics": TOPIC, "options": kept}


async def test_messages_come(server: Own) -> None:
    async with opened("kafka", settings(server), PASSWORD) as reading:
        assert [delivery.body for delivery in await taken(reading, 1)] == [b"m1"]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        pytest.param(
            {"ssl.ca.location": ""}, Refused, ["certificate verify failed", "ssl.ca.location"], id="authority"
        ),
        pytest.param(
            {"sasl.password": "env:WRONG"},
            Refused,
            ["Authentication failed", "settings.options"],
            marks=pytest.mark.long,
            id="password",
        ),
        pytest.param(
            {"security.protocol": "SASL_PLAINTEXT", "ssl.ca.location": ""},
            Unavailable,
            ["security.protocol"],
            marks=pytest.mark.long,
            id="no TLS",
        ),
    ],
)
async def test_errors_name_the_cause_and_the_mend(
    server: Own, options: dict[str, str], kind: type[PortError], words: list[str]
) -> None:
    error = await error_of(bridge("kafka", settings(server, **options), PASSWORD))
    assert isinstance(error, kind), error
    for word in words:
        assert word in str(error)


@pytest.mark.long
async def test_a_look_and_a_rewind_name_the_cause_too() -> None:
    """It is a look that tells somebody who connects for the first time what is wrong."""
    nowhere = {"bootstrap": "no.such.host.invalid:9092", "topics": TOPIC}
    look = bridge("kafka", nowhere).sample(5)
    rewind = bridge("kafka", nowhere).rewind(Rewind("beginning"))
    for error in await asyncio.gather(look, rewind, return_exceptions=True):
        assert isinstance(error, Unavailable), error
        assert "Failed to resolve 'no.such.host.invalid:9092'" in error.detail
        assert "settings.bootstrap" in error.detail
