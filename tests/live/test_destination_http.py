"""HTTP as a target: what an answer means, who is asked again and when, and what is given up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bridges.outward.http import HttpSettings, retry_after
from hub.settings import Kafka
from hub.stack import ports
from schemas.topics import STORED
from tests.destinations import document, event_id, letters, running, store
from tests.kafka_tools import write
from tests.targets.http import Answer, HttpServer, Received, server

SOON = {"first_s": 0.05, "longest_s": 0.1}


@pytest.fixture
def crm() -> Iterator[HttpServer]:
    with server() as made:
        yield made


def to(url: str, **changes: Any) -> dict[str, Any]:
    return {"settings": {"url": url, **changes.pop("settings", {})}, "retry": SOON, **changes}


def number(received: Received) -> int:
    found: int = json.loads(received.body)["properties"]["number"]
    return found


def buried(ours: Kafka, namespace: str) -> list[str]:
    return [json.loads(letter["body"])["id"] for letter in letters(ours, namespace)]


async def test_a_server_that_is_busy_is_left_alone_as_long_as_it_asks(
    crm: HttpServer, ours: Kafka, namespace: str
) -> None:
    """And then gets what it lacks, and nothing twice."""
    times: list[float] = []
    loop = asyncio.get_running_loop()

    def decide(received: Received) -> Answer:
        if number(received) == 4 and len(times) < 2:
            times.append(loop.time())
            if len(times) == 1:
                return Answer(503, {"Retry-After": "1"}, b"deploying")
        return Answer()

    crm.decide = decide
    store(ours, namespace, range(10))
    async with running(ours, namespace, "http", to(crm.url)) as destination:
        status = await destination.until(state="failed")
        assert "503: deploying" in status.last_error
        await destination.until(lag=0, state="running", forwarded=10)
    assert times[1] - times[0] >= 1
    ids = [received.headers["hub-event-id"] for received in crm.requests]
    assert sorted(ids) == sorted([*map(event_id, range(10)), event_id(4)])
    assert [number(received) for received in crm.taken if number(received) % 3 == 1] == [1, 4, 7]
    assert letters(ours, namespace) == []


async def test_a_server_that_is_gone_and_comes_back(ours: Kafka, namespace: str) -> None:
    port = ports.free_port()
    store(ours, namespace, range(5))
    async with running(ours, namespace, "http", to(f"http://127.0.0.1:{port}/in")) as destination:
        status = await destination.until(state="failed")
        assert f"nobody listens at 127.0.0.1:{port}" in status.last_error
        with server(port=port) as crm:
            await destination.until(forwarded=5, state="running")
            assert [number(received) for received in crm.taken if number(received) % 3 == 0] == [0, 3]


@pytest.mark.parametrize("status", [301, 307, 401, 404])
async def test_an_answer_about_the_address_buries_nothing(
    crm: HttpServer, ours: Kafka, namespace: str, status: int
) -> None:
    with server() as elsewhere:
        crm.decide = lambda _: Answer(status, {"Location": elsewhere.url})
        store(ours, namespace, range(5))
        async with running(ours, namespace, "http", to(crm.url)) as destination:
            found = await destination.until(state="failed")
            assert f"answers {status}" in found.last_error
            assert "settings.url" in found.last_error
            crm.decide = lambda _: Answer()
            await destination.until(forwarded=5)
        assert elsewhere.requests == []
    assert letters(ours, namespace) == []


@pytest.mark.parametrize("batch", ["single", "array", "lines"])
async def test_a_rejected_message_does_not_hold_up_the_others(
    crm: HttpServer, ours: Kafka, namespace: str, batch: str
) -> None:
    """In a request of several, the one at fault is found."""

    def decide(received: Received) -> Answer:
        return Answer(400, body=b"odd number") if b'"number":7,' in received.body.replace(b"}", b",") else Answer()

    crm.decide = decide
    store(ours, namespace, range(12))
    async with running(ours, namespace, "http", to(crm.url, settings={"batch": batch})) as destination:
        await destination.until(forwarded=11, refused=1, state="running")
    [letter] = letters(ours, namespace)
    assert json.loads(letter["body"]) == document(7)
    assert (letter["reason"], "400: odd number" in letter["detail"]) == ("undeliverable", True)


async def test_a_message_that_only_fails_is_given_up_in_the_end(crm: HttpServer, ours: Kafka, namespace: str) -> None:
    crm.decide = lambda received: Answer(500 if number(received) == 2 else 204)
    store(ours, namespace, range(6))
    async with running(ours, namespace, "http", to(crm.url, give_up_s=0.5)) as destination:
        await destination.until(forwarded=5, refused=1)
    assert buried(ours, namespace) == [event_id(2)]
    assert "given up after" in letters(ours, namespace)[0]["detail"]
    assert sorted(number(received) for received in crm.taken) == [0, 1, 3, 4, 5]


async def test_a_mapping_that_fails_and_bytes_that_are_no_record_are_buried(
    crm: HttpServer, ours: Kafka, namespace: str
) -> None:
    write(ours, STORED.name(namespace), [(b"somebody", b"else wrote this")])
    store(ours, namespace, range(4))
    mapping = {"id": "id", "properties": "properties", "x": "if(properties.number == `2`, number(type), `1`)"}
    async with running(ours, namespace, "http", to(crm.url, mapping=mapping)) as destination:
        await destination.until(forwarded=3, refused=2)
    found = letters(ours, namespace)
    assert [letter["reason"] for letter in found] == ["undecodable_record", "mapping_failed"]
    assert found[0]["body"] == b"else wrote this"
    assert "mapping.x" in found[1]["detail"]


async def test_a_target_that_rejects_most_of_it_stops_the_destination(
    crm: HttpServer, ours: Kafka, namespace: str
) -> None:
    """A wrong mapping must not drain the topic into the dead letters."""
    crm.decide = lambda _: Answer(422)
    store(ours, namespace, range(40))
    async with running(ours, namespace, "http", to(crm.url), stop_window=20) as destination:
        status = await destination.until(state="failed")
        assert "of the last 40 events cannot be taken" in status.last_error
        assert letters(ours, namespace) == []
        crm.decide = lambda _: Answer()
        destination.keeper.retry()
        await destination.until(forwarded=40)


async def test_a_condition_and_a_mapping_that_gives_nothing(crm: HttpServer, ours: Kafka, namespace: str) -> None:
    definition = to(
        crm.url, condition="profile@id = p1", mapping="if(properties.number != `4`, @)", settings={"concurrency": 1}
    )
    store(ours, namespace, range(10))
    async with running(ours, namespace, "http", definition) as destination:
        await destination.until(forwarded=2, received=10, lag=0)
    assert [number(received) for received in crm.taken] == [1, 7]


def test_what_retry_after_says() -> None:
    assert retry_after("120", 0) == 120
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 30) == 30
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 90) == 0
    assert retry_after("99999999999999", 0) == 3600
    assert retry_after("soon", 0) == retry_after("", 0) == retry_after("-5", 0) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "file:///etc/passwd"},
        {"url": "http://"},
        {"url": "http://there/in", "headers": {"Authorization": "Bearer plain"}},
        {"url": "http://there/in", "headers": {"X-A": "b\r\nX-C: d"}},
        {"url": "http://there/in", "secret": "plain"},
    ],
)
def test_settings_that_are_not_taken(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        HttpSettings.model_validate(settings)
