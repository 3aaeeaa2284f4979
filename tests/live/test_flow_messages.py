"""Messages of flows through destinations: to every real server, and what becomes of them while one is away."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridges.outward.flows import FlowOutward
from bridges.outward.shape import Shape, told_of
from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Destination
from hub.errors import Unavailable
from hub.flows.effects import CallHttp, SendMessage
from hub.model import Person
from hub.pipeline.letter_owner import Looking, is_about
from hub.settings import Kafka, Settings
from schemas.codec import decode_stored
from tests.destinations import document, event_id, letters, numbers, record
from tests.factories import NOW_MS
from tests.sources import World
from tests.targets import NAMES, Sink, open_sink
from tests.targets.http import NOWHERE, Answer, HttpServer, server
from tests.targets.smtp import MailServer, mail_server


class Defined:
    """Definitions as a process has them. Attributes: catalogue."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self._offset = 0

    def put(self, id: str, spec: dict[str, Any] | None) -> None:
        value = None if spec is None else msgspec.json.encode({"spec": spec, "updated_at_ms": 0})
        self.catalogue.apply(f"destination/{id}".encode(), value, self._offset)
        self._offset += 1


@pytest.fixture
def defined() -> Defined:
    return Defined()


@pytest.fixture
def crm() -> Iterator[HttpServer]:
    with server() as made:
        yield made


@pytest.fixture
def post() -> Iterator[MailServer]:
    with mail_server() as made:
        yield made


def opened(ours: Kafka, namespace: str, defined: Defined, folder: Path, **flows: Any) -> FlowOutward:
    settings = Settings(kafka=ours, namespace=namespace, data=folder, flows={"send_s": 0.3, "rest_s": 0.1, **flows})
    return FlowOutward(settings, os.environ, defined.catalogue)


def message(number: int, destination: str = "d", content: Any = None, at_ms: int = NOW_MS) -> SendMessage:
    content = document(number) if content is None else content
    return SendMessage(event_id(number), destination, content, f"p{number % 3}", at_ms, f"p{number % 3}")


def for_flows(sink: Sink) -> dict[str, Any]:
    given = {name: value for name, value in sink.definition.items() if name not in ("mapping", "key", "condition")}
    return {"type": sink.kind, "sends": "flows", "retry": {"first_s": 0.05, "longest_s": 0.1}, **given}


def as_mapped(sink: Sink, numbers: Sequence[int]) -> list[SendMessage]:
    """What the sink's mapping would have made of these events, said by a flow."""
    shape = Shape(Destination.model_validate({"type": sink.kind, **sink.definition}))
    found = []
    for number in numbers:
        stored = decode_stored(record(number)[1])
        made = shape.message(told_of(stored), stored["event"])
        assert made is not None
        found.append(message(number, content=made.content))
    return found


def person(id: str) -> Person:
    """Who is to be erased."""
    return Person({id: 1})


def now() -> int:
    """Of a message that was made just now."""
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_every_target_takes_what_a_flow_sends(
    name: str, kafka: str, shared_folder: Path, ours: Kafka, namespace: str, defined: Defined, tmp_path: Path
) -> None:
    with open_sink(name, World(kafka, shared_folder, namespace)) as sink:
        defined.put("d", for_flows(sink))
        with closing(opened(ours, namespace, defined, tmp_path, send_s=20)) as outward:
            outward.send(as_mapped(sink, range(3)))
            outward.send(as_mapped(sink, range(3, 5)))
            if sink.exactly_once:
                outward.send(as_mapped(sink, range(1, 4)))  # the run was made again
        assert sorted(numbers(sink.arrived())) == list(range(5))
    assert letters(ours, namespace) == []


def test_what_is_sent_is_what_the_flow_says(
    ours: Kafka, namespace: str, defined: Defined, tmp_path: Path, crm: HttpServer, post: MailServer
) -> None:
    """A destination that sends events, too, does not do to a flow's message what it does to those."""
    defined.put("d", {"type": "http", "settings": {"url": crm.url}, "mapping": {"no": "id"}, "condition": "type = x"})
    settings = {"host": "127.0.0.1", "port": post.port, "security": "none", "sender": "hub@example.com"}
    defined.put("post", {"type": "smtp", "sends": "flows", "settings": settings})
    mail = {"to": "ann@example.com", "subject": "Tea", "text": "It waits.", "html": "<p>It waits."}
    with closing(opened(ours, namespace, defined, tmp_path)) as outward:
        outward.send([message(1, content={"a": [1]}), message(2, "post", mail)])
    (request,) = crm.taken
    assert msgspec.json.decode(request.body) == {"a": [1]}
    headers = request.headers
    assert (headers["hub-event-id"], headers["webhook-id"], headers["hub-profile-id"]) == (*[event_id(1)] * 2, "p1")
    assert headers["hub-event-type"] == "flow-message"
    (sent,) = post.mails
    assert (sent["Subject"], sent["Message-ID"]) == ("Tea", f"<{event_id(2)}@example.com>")
    assert parsedate_to_datetime(sent["Date"]).timestamp() == NOW_MS // 1_000


def test_one_that_the_target_will_never_take_is_a_dead_letter_and_the_others_are_sent(
    ours: Kafka, namespace: str, defined: Defined, tmp_path: Path, crm: HttpServer
) -> None:
    crm.decide = lambda received: Answer(400 if b'"number":2' in received.body else 200, body=b"no, never")
    defined.put("d", {"type": "http", "sends": "flows", "settings": {"url": crm.url}})
    with closing(opened(ours, namespace, defined, tmp_path)) as outward:
        outward.send([message(number, at_ms=now()) for number in range(4)])
        outward.send([message(2, at_ms=now())])  # the run was made again: the same letter
    taken = [msgspec.json.decode(one.body)["properties"]["number"] for one in crm.taken]
    assert sorted(taken) == [0, 1, 3]
    assert taken.index(0) < taken.index(3)  # in order are those to one profile
    first, second = letters(ours, namespace)
    body = msgspec.json.decode(first["body"])
    assert (first["reason"], body["message"], body["profile"]) == ("undeliverable", document(2), {"id": "p2"})
    assert is_about(person("p2"), stage="destination", key=b"", body=first["body"], by=Looking(b""))
    assert not is_about(person("p1"), stage="destination", key=b"", body=first["body"], by=Looking(b""))
    assert "no, never" in first["detail"]
    assert msgspec.json.decode(first["headers"])["hub-event-id"] == event_id(2)
    assert first["body"] == second["body"]


def test_while_a_destination_is_away_messages_come_again_and_then_are_dead_letters(
    ours: Kafka, namespace: str, defined: Defined, tmp_path: Path, crm: HttpServer
) -> None:
    defined.put("away", {"type": "http", "sends": "flows", "settings": {"url": NOWHERE}})
    defined.put("d", {"type": "http", "sends": "flows", "settings": {"url": crm.url}})
    with closing(opened(ours, namespace, defined, tmp_path, give_up_s=60)) as outward:
        both = [message(1, "away", at_ms=now()), message(2, at_ms=now())]
        for _ in range(3):
            with pytest.raises(Unavailable, match=r"away: .*127\.0\.0\.1:1"):
                outward.send(both)
        assert len(crm.taken) == 1  # the other one is not sent again and again
        assert letters(ours, namespace) == []
        outward.send([message(3, "away", at_ms=now() - 61_000)])
        (letter,) = letters(ours, namespace)
        assert "127.0.0.1:1" in letter["detail"]
        # mended, it takes what has waited
        defined.put("away", {"type": "http", "sends": "flows", "settings": {"url": crm.url}})
        outward.send(both)
        assert len(crm.taken) == 2
        outward.send(both)  # by now they are forgotten: sent again, under the same ids
        assert {one.headers["hub-event-id"] for one in crm.taken[2:]} == {event_id(1), event_id(2)}
        assert len(crm.taken) == 4


def test_one_that_comes_back_in_time_takes_all(
    ours: Kafka, namespace: str, defined: Defined, tmp_path: Path, crm: HttpServer
) -> None:
    answers = iter([503, 429])
    crm.decide = lambda _: Answer(next(answers, 200))
    retry = {"first_s": 0.05, "longest_s": 0.1}
    defined.put("d", {"type": "http", "sends": "flows", "settings": {"url": crm.url}, "retry": retry})
    with closing(opened(ours, namespace, defined, tmp_path, send_s=20)) as outward:
        outward.send([message(number, at_ms=now()) for number in range(3)])
    ids = [one.headers["hub-event-id"] for one in crm.taken]
    assert sorted(set(ids)) == sorted(event_id(number) for number in range(3))
    assert letters(ours, namespace) == []


def test_the_destinations_own_patience_goes_before(
    ours: Kafka, namespace: str, defined: Defined, tmp_path: Path
) -> None:
    defined.put("d", {"type": "http", "sends": "flows", "settings": {"url": NOWHERE}, "give_up_s": 1})
    with closing(opened(ours, namespace, defined, tmp_path, give_up_s=60)) as outward:
        outward.send([message(1, at_ms=now() - 2_000)])
    assert len(letters(ours, namespace)) == 1


def test_destinations_that_are_not_there_or_switched_off_are_waited_for(
    ours: Kafka, namespace: str, defined: Defined, tmp_path: Path, crm: HttpServer
) -> None:
    spec = {"type": "http", "sends": "flows", "settings": {"url": crm.url}}
    with closing(opened(ours, namespace, defined, tmp_path, give_up_s=60)) as outward:
        with pytest.raises(Unavailable, match="d: there is no destination with this id"):
            outward.send([message(1, at_ms=now())])
        defined.put("d", {**spec, "enabled": False})
        with pytest.raises(Unavailable, match="switched off"):
            outward.send([message(1, at_ms=now())])
        assert (crm.requests, letters(ours, namespace)) == ([], [])
        outward.send([message(1, at_ms=now() - 61_000)])
        assert "switched off" in letters(ours, namespace)[0]["detail"]
        defined.put("d", spec)
        outward.send([message(2, at_ms=now())])
    assert len(crm.taken) == 1


def test_what_is_wrong_with_a_destination_does_not_show_its_secrets(
    ours: Kafka, namespace: str, defined: Defined, tmp_path: Path, crm: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR_KEY", "hush-hush")
    crm.decide = lambda received: Answer(400, body=received.headers["x-api-key"].encode())
    settings = {"url": crm.url, "headers": {"X-Api-Key": "env:THEIR_KEY"}}
    defined.put("d", {"type": "http", "sends": "flows", "settings": settings})
    with closing(opened(ours, namespace, defined, tmp_path)) as outward:
        outward.send([message(1)])
    (letter,) = letters(ours, namespace)
    assert "***" in letter["detail"]
    assert "hush-hush" not in letter["detail"]


def test_at_its_end_what_is_under_way_is_given_up(
    ours: Kafka, namespace: str, defined: Defined, tmp_path: Path, crm: HttpServer
) -> None:
    """Whoever has asked does it again, under the same ids."""
    came, go = threading.Event(), threading.Event()

    def hangs(_: object) -> Answer:
        came.set()
        go.wait(30)
        return Answer()

    crm.decide = hangs
    defined.put("d", {"type": "http", "sends": "flows", "settings": {"url": crm.url}})
    outward = opened(ours, namespace, defined, tmp_path, send_s=30, private_networks=["127.0.0.0/8"])
    call = CallHttp("c", "POST", crm.url, {}, {}, "{}", "", 30.0, 1, "", [(200, 299)])
    with ThreadPoolExecutor(2) as pool:
        sending = pool.submit(outward.send, [message(1, at_ms=now())])
        assert came.wait(30)
        came.clear()
        calling = pool.submit(outward.call, call)
        assert came.wait(30)
        outward.close()
        assert isinstance(sending.exception(30), Unavailable)
        assert isinstance(calling.exception(30), Unavailable)
        go.set()
    with pytest.raises(Unavailable, match="the process ends"):
        outward.call(call)


def test_after_its_end_nothing_is_taken(ours: Kafka, namespace: str, defined: Defined, tmp_path: Path) -> None:
    outward = opened(ours, namespace, defined, tmp_path)
    outward.close()
    with pytest.raises(Unavailable):
        outward.send([message(1)])
