"""SQS beyond the contract: groups of FIFO queues, visibility, attributes, errors in words, faults."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError, SSLError

from bridges.base import Rewind
from bridges.sqs import SqsSettings
from bridges.sqs_link import port_error
from hub.chaos.proxy import Proxy
from hub.errors import Refused, Unavailable
from hub.stack import ports
from tests.live.reading import Pump, bridge, error_of, nothing_more, opened, take, taken
from tests.servers.running import own, shared
from tests.sources.sqs import SECRET, SqsSource

ENVIRON: Final = {SECRET: "test"}


@pytest.fixture(scope="module")
def server(shared_folder: Path) -> Iterator[str]:
    with shared("sqs", shared_folder / "sqs") as url:
        yield url


@pytest.fixture
def source(server: str, namespace: str) -> Iterator[SqsSource]:
    made = SqsSource(server, namespace, "text")
    yield made
    made.close()


@pytest.fixture
def fifo(server: str, namespace: str) -> Iterator[SqsSource]:
    made = SqsSource(server, f"{namespace}.fifo", "text")
    yield made
    made.close()


def bodies(first: int, after: int) -> list[bytes]:
    return [f"m{n}".encode() for n in range(first, after)]


def send(source: SqsSource, body: str, **attributes: dict[str, Any]) -> str:
    answer = source.client.send_message(QueueUrl=source.queue, MessageBody=body, MessageAttributes=attributes)
    id: str = answer["MessageId"]
    return id


# what a message is made of


async def test_attributes_are_there_for_mappings(source: SqsSource) -> None:
    body = base64.b64encode(gzip.compress(b'{"a": 1}')).decode()
    id = send(
        source,
        body,
        **{
            "content-encoding": {"DataType": "String", "StringValue": "gzip"},
            "n": {"DataType": "Number", "StringValue": "7"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\xff\x00"},
        },
    )
    async with opened("sqs", {**source.settings, "encoding": "base64"}, ENVIRON) as reading:
        [found] = await taken(reading, 1)
    assert (found.body, found.position) == (b'{"a": 1}', f"{source.settings['queue']}/{id}")
    assert found.time_ms
    assert dict(found.headers) == {"content-encoding": b"gzip", "n": b"7", "raw": b"\xff\x00"}
    assert {name: found.meta()[name] for name in ("message_id", "group_id", "sequence_number", "receive_count")} == {
        "message_id": id,
        "group_id": None,
        "sequence_number": None,
        "receive_count": 1,
    }


async def test_a_body_that_is_not_what_the_settings_say_stays_as_it_came(source: SqsSource) -> None:
    send(source, "no base64: ä")
    async with opened("sqs", {**source.settings, "encoding": "base64"}, ENVIRON) as reading:
        assert [delivery.body for delivery in await taken(reading, 1)] == ["no base64: ä".encode()]


async def test_equal_messages_are_two(source: SqsSource) -> None:
    source.put([b"same", b"same"])
    async with opened("sqs", source.settings, ENVIRON) as reading:
        assert len({delivery.position for delivery in await taken(reading, 2)}) == 2


async def test_the_largest_message(source: SqsSource) -> None:
    large = "x" * 1_048_576
    send(source, large)
    async with opened("sqs", source.settings, ENVIRON) as reading:
        assert [delivery.body for delivery in await taken(reading, 1)] == [large.encode()]


async def test_each_group_of_a_fifo_queue_comes_in_its_order(fifo: SqsSource) -> None:
    """Whatever comes again in between: the bridge is ended with messages of each group unacknowledged."""
    for start in range(0, 60, 10):
        for group in "abc":
            fifo.put([f"{group}{n}".encode() for n in range(start, start + 10)], group)
    order: list[str] = []
    while len(set(order)) < 180:
        async with opened("sqs", fifo.settings, ENVIRON) as reading:
            for round in range(4):
                batch = await reading.take(25)
                order += [delivery.body.decode() for delivery in batch.deliveries]
                assert all(delivery.meta()["sequence_number"] for delivery in batch.deliveries)
                if round < 3:
                    await reading.ack(batch)
    for group in "abc":
        first = list(dict.fromkeys(int(body[1:]) for body in order if body[0] == group))
        assert first == list(range(60))


# visibility


@pytest.mark.slow
async def test_what_waits_for_our_kafka_stays_ours(source: SqsSource) -> None:
    source.put(bodies(0, 30))
    settings = {**source.settings, "visibility_s": 5}
    async with opened("sqs", settings, ENVIRON) as reading:
        held = await take(reading, 30)
        async with opened("sqs", settings, ENVIRON, "other") as second:
            for _ in range(13):  # half a second each
                assert await nothing_more(second)
        for batch in held:
            await reading.ack(batch)
    async with opened("sqs", source.settings, ENVIRON) as reading:
        assert await nothing_more(reading)


async def test_what_is_given_back_comes_at_once(source: SqsSource) -> None:
    source.put(bodies(0, 40))
    settings = {**source.settings, "visibility_s": 3600}
    async with opened("sqs", settings, ENVIRON) as reading:
        await take(reading, 5)
    async with opened("sqs", settings, ENVIRON) as reading:
        found = await taken(reading, 40)
    assert {delivery.body for delivery in found} == {*bodies(0, 40)}


async def test_a_look_takes_nothing(source: SqsSource) -> None:
    source.put(bodies(0, 20))
    assert len(await bridge("sqs", source.settings, ENVIRON).sample(5)) == 5
    async with opened("sqs", source.settings, ENVIRON) as reading:
        assert {delivery.body for delivery in await taken(reading, 20)} == {*bodies(0, 20)}


async def test_the_lag_is_known(source: SqsSource) -> None:
    source.put(bodies(0, 70))
    async with opened("sqs", source.settings, ENVIRON) as reading:
        assert reading.lag() == 70


async def test_it_cannot_be_rewound(source: SqsSource) -> None:
    with pytest.raises(Refused, match="keeps no message that is acknowledged"):
        await bridge("sqs", source.settings, ENVIRON).rewind(Rewind("beginning"))


# errors


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"endpoint_url": "http://127.0.0.1:1"}, Unavailable, ["127.0.0.1:1", "settings.endpoint_url"]),
        ({"endpoint_url": "https://127.0.0.1:PORT"}, Refused, ["write http://", "settings.endpoint_url"]),
        ({"queue": "not-there"}, Unavailable, ["queue not-there", "settings.queue", "create"]),
        ({"queue": "http://127.0.0.1:PORT/123456789012/not-there"}, Unavailable, ["not-there", "settings.queue"]),
        ({"secret_access_key": "env:NOT_SET"}, Refused, ["variable NOT_SET"]),
    ],
)
async def test_errors_name_the_cause_and_the_mend(
    source: SqsSource, server: str, changes: dict[str, Any], kind: type[Exception], words: list[str]
) -> None:
    port = str(urlsplit(server).port)
    settings = {**source.settings, **{name: value.replace("PORT", port) for name, value in changes.items()}}
    error = await error_of(bridge("sqs", settings, ENVIRON))
    assert isinstance(error, kind), error
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("InvalidClientTokenId", Refused, "settings.access_key_id"),
        ("UnrecognizedClientException", Refused, "settings.access_key_id"),
        ("SignatureDoesNotMatch", Refused, "settings.secret_access_key"),
        ("ExpiredToken", Refused, "settings.session_token"),
        ("AccessDenied", Refused, "sqs:GetQueueUrl"),
        ("AWS.SimpleQueueService.NonExistentQueue", Unavailable, "settings.queue"),
        ("KMS.AccessDeniedException", Refused, "kms:Decrypt"),
        ("RequestThrottled", Unavailable, "settings.receivers"),
        ("OverLimit", Unavailable, "in flight"),
        ("InternalError", Unavailable, "InternalError"),
    ],
)
def test_what_aws_says_gets_words_that_help(code: str, kind: type[Exception], words: str) -> None:
    """The codes are AWS's; the test server checks neither keys nor rights."""
    error = ClientError({"Error": {"Code": code, "Message": "No."}}, "ReceiveMessage")
    found = port_error(error, SqsSettings(queue="q", region="eu-west-2"))
    assert isinstance(found, kind)
    assert words in str(found)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NoRegionError(), "settings.region"),
        (NoCredentialsError(), "settings.access_key_id"),
        (SSLError(endpoint_url="e", error="CERTIFICATE_VERIFY_FAILED"), "settings.ca_file"),
    ],
)
def test_what_boto_misses_gets_words_that_help(error: Exception, words: str) -> None:
    found = port_error(error, SqsSettings(queue="q"))
    assert isinstance(found, Refused)
    assert words in str(found)


@pytest.mark.parametrize(
    "settings",
    [
        {"queue": "q", "access_key_id": "a"},
        {"queue": "q", "access_key_id": "a", "secret_access_key": "in the open"},
        {"queue": "q", "endpoint_url": "ftp://h"},
        {"queue": "q", "visibility_s": 1},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"go together|a secret|pattern|greater than"):
        bridge("sqs", settings)


# faults


@pytest.mark.slow
async def test_a_queue_that_is_deleted_and_made_again_is_read_again(source: SqsSource) -> None:
    pump = Pump("sqs", source.settings, ENVIRON)
    await asyncio.to_thread(source.put, bodies(0, 20))
    await pump.until(bodies(0, 20))
    source.client.delete_queue(QueueUrl=source.queue)
    error = await pump.until_error("settings.queue")
    assert isinstance(error, Unavailable)
    source.client.create_queue(QueueName=source.settings["queue"])
    await asyncio.to_thread(source.put, bodies(20, 40))
    await pump.until(bodies(0, 40))
    await pump.end()


@pytest.mark.slow
async def test_the_server_is_killed_and_comes_back(tmp_path: Path, namespace: str) -> None:
    """The test server keeps nothing: what is sent afterwards comes."""
    with own("sqs", tmp_path / "s") as running:
        source = SqsSource(running.url, namespace, "text")
        pump = Pump("sqs", source.settings, ENVIRON)
        await asyncio.to_thread(source.put, bodies(0, 20))
        await pump.until(bodies(0, 20))
        running.kill()
        assert isinstance(await pump.until_error("endpoint_url"), Unavailable)
        running.start()
        source.client.create_queue(QueueName=namespace)
        await asyncio.to_thread(source.put, bodies(20, 40))
        await pump.until(bodies(0, 40))
        await pump.end()
        source.close()


async def test_a_cut_loses_nothing(source: SqsSource, server: str) -> None:
    proxy = Proxy(ports.free_port(), "127.0.0.1", urlsplit(server).port or 0)
    await proxy.start()
    pump = Pump("sqs", {**source.settings, "endpoint_url": f"http://127.0.0.1:{proxy.port}"}, ENVIRON)
    try:
        await asyncio.to_thread(source.put, bodies(0, 100))
        await pump.until(bodies(0, 50))
        proxy.cut()
        await asyncio.to_thread(source.put, bodies(100, 200))
        await pump.until_error("endpoint_url")
        proxy.heal()
        await pump.until(bodies(0, 200))
    finally:
        await pump.end()
        await proxy.close()
    assert len(pump.found) == 200


@pytest.mark.long
async def test_a_silent_connection_is_noticed(source: SqsSource, server: str) -> None:
    """Half open, as when a firewall forgets it: within the time that a receive may take."""
    proxy = Proxy(ports.free_port(), "127.0.0.1", urlsplit(server).port or 0)
    await proxy.start()
    pump = Pump("sqs", {**source.settings, "endpoint_url": f"http://127.0.0.1:{proxy.port}"}, ENVIRON)
    try:
        await asyncio.to_thread(source.put, bodies(0, 100))
        await pump.until(bodies(0, 100))
        proxy.stall()
        await asyncio.to_thread(source.put, bodies(100, 200))
        await pump.until_error("does not answer")
        proxy.heal()
        await pump.until(bodies(0, 200))
    finally:
        await pump.end()
        await proxy.close()
