"""What is special about single targets of destinations: what they refuse, and how they say so."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bridges.outward.base import Message
from bridges.outward.registry import validate
from bridges.outward.smtp import NoMailError, made
from bridges.registry import BridgeError
from hub.definitions.kinds import Destination
from hub.settings import Kafka
from schemas.records import Refused
from schemas.topics import STORED
from tests.destinations import event_id, letters, record, running, store
from tests.kafka_tools import write
from tests.sources import World
from tests.targets import open_sink
from tests.targets.kafka import KafkaSink
from tests.targets.postgres import ColumnsSink
from tests.targets.rabbitmq import RabbitmqSink
from tests.targets.smtp import MAPPING, SENDER, mail_server

SOON = {"first_s": 0.05, "longest_s": 0.2}


@pytest.fixture
def world(kafka: str, shared_folder: Path, namespace: str) -> World:
    return World(kafka, shared_folder, namespace)


def by_event(ours: Kafka, namespace: str) -> dict[str, Refused]:
    """What is on its way to the dead letters."""
    return {json.loads(letter["body"])["id"]: letter for letter in letters(ours, namespace)}


async def test_postgres_finds_the_row_at_fault(world: World, ours: Kafka, namespace: str) -> None:
    """A value that its column does not take."""
    with open_sink("postgres:columns", world) as sink:
        assert isinstance(sink, ColumnsSink)
        write(ours, STORED.name(namespace), [record(n, **({"number": "many"} if n == 7 else {})) for n in range(20)])
        async with running(ours, namespace, sink.kind, sink.definition) as destination:
            await destination.until(forwarded=19, refused=1, state="running")
        arrived = await asyncio.to_thread(sink.arrived)
        assert {one.id for one in arrived} == {event_id(n) for n in range(20) if n != 7}
        [(id, letter)] = by_event(ours, namespace).items()
        assert id == event_id(7)
        assert "many" in letter["detail"]


async def test_postgres_without_its_table_or_index_says_so(world: World, ours: Kafka, namespace: str) -> None:
    with open_sink("postgres", world) as sink:
        definition = {**sink.definition, "retry": SOON}
        definition["settings"] = {**sink.definition["settings"], "create": False}
        store(ours, namespace, range(3))
        async with running(ours, namespace, sink.kind, definition) as destination:
            status = await destination.until(state="failed")
            assert "make the table" in status.last_error.lower()
            columns = "profile_id text, type text, source text, time timestamptz, document jsonb"
            sink.execute(f'CREATE TABLE "{sink.table}" (event_id text, {columns})')  # type: ignore[attr-defined]
            await destination.until_error("unique index")
            sink.execute(f'CREATE UNIQUE INDEX ON "{sink.table}" (event_id)')  # type: ignore[attr-defined]
            await destination.until(forwarded=3)
    assert letters(ours, namespace) == []


async def test_rabbitmq_waits_for_a_queue_that_gets_the_messages(world: World, ours: Kafka, namespace: str) -> None:
    with open_sink("rabbitmq", world) as sink:
        assert isinstance(sink, RabbitmqSink)
        await asyncio.to_thread(sink.delete)
        store(ours, namespace, range(6))
        async with running(ours, namespace, sink.kind, {**sink.definition, "retry": SOON}) as destination:
            status = await destination.until(state="failed")
            assert "no queue gets it" in status.last_error
            await asyncio.to_thread(sink.bind)
            await destination.until(forwarded=6)
        arrived = await asyncio.to_thread(sink.arrived)
        assert [one.id for one in arrived] == [event_id(n) for n in range(6)]
    assert letters(ours, namespace) == []


async def test_kafka_does_not_take_a_message_that_is_too_large(world: World, ours: Kafka, namespace: str) -> None:
    """Those that were packed with it go through."""
    with open_sink("kafka", world) as sink:
        assert isinstance(sink, KafkaSink)
        more = {4: {"text": "".join(chr(33 + n * n % 90) for n in range(1_500_000))}}
        write(ours, STORED.name(namespace), [record(n, **more.get(n, {})) for n in range(8)])
        settings = {**sink.definition["settings"], "options": {"compression.type": "none"}}
        async with running(ours, namespace, sink.kind, {"settings": settings}) as destination:
            await destination.until(forwarded=7, refused=1)
        arrived = [one.id for one in await asyncio.to_thread(sink.arrived)]
        assert set(arrived) == {event_id(n) for n in range(8) if n != 4}
        assert arrived[-3:] == [event_id(n) for n in (5, 6, 7)]
    assert list(by_event(ours, namespace)) == [event_id(4)]


async def test_a_mail_that_cannot_be_delivered(ours: Kafka, namespace: str) -> None:
    with mail_server() as server:
        server.answers = {"p1@example.com": "550 no such mailbox", "p2@example.com": "451 try again later"}
        settings = {"host": "127.0.0.1", "port": server.port, "security": "none", "sender": SENDER}
        mapping = {**MAPPING, "to": "join('', [profile.id, '@example.com'])"}
        store(ours, namespace, range(6))
        definition = {"settings": settings, "mapping": mapping, "retry": SOON}
        async with running(ours, namespace, "smtp", definition) as destination:
            status = await destination.until(state="failed")
            assert "451 try again later" in status.last_error
            server.answers.pop("p2@example.com")
            await destination.until(forwarded=4, refused=2, state="running")
        assert [mail["hub-event-id"] for mail in server.mails] == [event_id(n) for n in (0, 2, 3, 5)]
    found = by_event(ours, namespace)
    assert set(found) == {event_id(1), event_id(4)}
    assert all("550 no such mailbox" in letter["detail"] for letter in found.values())


def mail_of(**content: Any) -> Message:
    return Message(id=event_id(1), key="", body=b"", content=content, type="t", source="s", profile_id="", time_ms=0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": "nobody"}, "no address"),
        ({"to": []}, "no address"),
        ({"to": "a@b.c\r\nBcc: d@e.f"}, "no address"),
        ({"subject": "a\r\nBcc: d@e.f"}, "a header cannot be written"),
        ({"subject": 5}, "`subject` has to be a text"),
        ({"text": ""}, "`text` has to be a text"),
        ({"colour": "red"}, "to, subject, text"),
    ],
)
def test_what_is_no_mail(changes: dict[str, Any], words: str) -> None:
    good = {"to": ["Ann <ann@example.com>"], "subject": "Größe", "text": "x", "html": "<p>x</p>"}
    mail, to = made(mail_of(**good), SENDER)
    assert to == ["Ann <ann@example.com>"]
    assert mail.get_content_type() == "multipart/alternative"
    with pytest.raises(NoMailError, match=words):
        made(mail_of(**{**good, **changes}), SENDER)


@pytest.mark.parametrize(
    ("kind", "settings", "changes", "words"),
    [
        ("smtp", {"host": "h", "sender": SENDER}, {}, "mapping: a mail needs"),
        ("smtp", {"host": "h", "sender": SENDER}, {"mapping": {"to": "a"}}, "subject, text"),
        ("nats", {"url": "nats://h", "subject": "a.*"}, {}, "without wildcards"),
        ("mqtt", {"url": "mqtt://h", "topic": "a/#"}, {}, "without wildcards"),
        ("rabbitmq", {"url": "http://h"}, {}, "amqp://"),
        ("sqs", {"queue": "q", "access_key_id": "a"}, {}, "go together"),
        ("kafka", {"bootstrap": "h", "topic": "a b"}, {}, "settings.topic"),
        ("kafka", {"bootstrap": "h", "topic": "a", "options": {"sasl.password": "x"}}, {}, "sasl.password"),
        ("postgres", {"url": "postgresql://h/d", "username": "u", "table": "t", "columns": ["a"]}, {}, "no mapping"),
        ("redis_streams", {"url": "redis://h", "stream": ""}, {}, "settings.stream"),
        ("http", {"url": "http://h/"}, {"retry": {"first_s": 5, "longest_s": 1}}, "retry.longest_s"),
    ],
)
def test_definitions_that_cannot_work(kind: str, settings: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    definition = Destination.model_validate({"type": kind, "settings": settings, **changes})
    with pytest.raises(BridgeError, match=words):
        validate(definition)
