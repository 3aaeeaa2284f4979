"""One malformed message among a thousand, of every kind: a dead letter with its bytes; the others are stored."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from prometheus_client.parser import text_string_to_metric_families

from hub.settings import Kafka
from tests.kafka_tools import eventually
from tests.live.api import Running, running
from tests.live.whole_hub import WholeHub, whole_hub

pytestmark = pytest.mark.timeout(300)

GOOD: Final = 1_000
TOPIC: Final = "messages"
LARGEST_BYTES: Final = 60_000_000


class Malformed(NamedTuple):
    """A message or body that cannot be taken, and what becomes of it. `source`: whose it is, as far as it says."""

    body: bytes
    reason: str
    status: int = 422
    where: str = ""
    source: str = "queue"


def payload(properties: str = "{}", *, time: str = "null", source: str = '"queue"', type: str = '"view"') -> bytes:
    """JSON text of a payload with one event."""
    event = f'{{"type": {type}, "time": {time}, "properties": {properties}}}'
    return f'{{"source": {{"id": {source}}}, "events": [{event}]}}'.encode()


def deep(levels: int) -> str:
    """An object with lists in each other."""
    return '{"a": ' + "[" * levels + "]" * levels + "}"


KINDS: Final = {
    "not JSON": Malformed(b"<xml>no</xml>", "not_json"),
    "JSON, but no object": Malformed(b'["a"]', "not_json"),
    "nothing at all": Malformed(b"", "not_json"),
    "not UTF-8": Malformed(payload().replace(b"view", b"vi\xe9w"), "not_json"),
    "breaks off": Malformed(payload()[:-9], "not_json"),
    "a source without a name": Malformed(payload(source='""'), "bad_id", where="source.id"),
    "unknown source": Malformed(payload(source='"nobody"'), "unknown_source", 401, "source.id", "nobody"),
    "number for a type": Malformed(payload(type="7"), "wrong_type", where="events[0].type"),
    "list for properties": Malformed(payload("[1]"), "wrong_type", where="events[0].properties"),
    "text for events": Malformed(b'{"source": {"id": "queue"}, "events": "view"}', "wrong_type", where="events"),
    "no events": Malformed(b'{"source": {"id": "queue"}}', "missing_field", where="events"),
    "50 MB": Malformed(payload('{"a": "' + "x" * 50_000_000 + '"}'), "body_too_large", 413),
    "10,000 levels": Malformed(payload(deep(10_000)), "too_deep"),
    "33 levels": Malformed(payload(deep(30)), "too_deep"),
    "NUL, as an escape": Malformed(payload('{"a": "x\\u0000y"}'), "nul_character", where="events[0].properties.a"),
    "NUL, as a byte": Malformed(payload('{"a": "x\0y"}'), "not_json"),
    "NUL in a key": Malformed(payload('{"x\\u0000y": 1}'), "nul_character", where="events[0].properties"),
    "lone surrogate": Malformed(payload('{"a": "\\ud83d"}'), "lone_surrogate", where="events[0].properties.a"),
    "lone surrogate, as bytes": Malformed(payload('{"a": "~"}').replace(b"~", b"\xed\xa0\xbd"), "not_json"),
    "NaN": Malformed(payload('{"a": NaN}'), "number_out_of_range", where="events[0].properties.a"),
    "infinity": Malformed(payload('{"a": 1e999}'), "number_out_of_range", where="events[0].properties.a"),
    "past 64 bits": Malformed(payload(f'{{"a": {2**63}}}'), "number_out_of_range", where="events[0].properties.a"),
    "far past 64 bits": Malformed(
        payload('{"a": 1' + "0" * 5_000 + "}"), "number_out_of_range", where="events[0].properties.a"
    ),
    "year 0": Malformed(payload(time='{"create": "0000-01-01T00:00:00Z"}'), "bad_time", where="events[0].time.create"),
    "year 9999": Malformed(
        payload(time='{"create": "9999-12-31T23:59:59Z"}'), "bad_time", where="events[0].time.create"
    ),
    "duplicate keys": Malformed(payload('{"a": 1, "a": 2}'), "duplicate_key", where="events[0].properties.a"),
}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WholeHub]:
    """A whole one, bridge process included."""
    with whole_hub(tmp_path / "data") as hub:
        hub.define("source", "queue")
        yield hub


@pytest.fixture
async def api(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    """Where refusals never get further than."""
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as api:
        await api.define("source", "queue")
        yield api


def produce(hub: WholeHub, messages: list[bytes]) -> list[str]:
    """Onto a topic that takes large messages; returns each message's position, TOPIC/PARTITION/OFFSET."""
    admin = AdminClient({"bootstrap.servers": hub.kafka})
    config = {"max.message.bytes": str(LARGEST_BYTES)}
    admin.create_topics([NewTopic(TOPIC, num_partitions=3, replication_factor=1, config=config)])[TOPIC].result(30)
    positions = [""] * len(messages)
    producer = Producer(
        {
            "bootstrap.servers": hub.kafka,
            "acks": "all",
            "message.max.bytes": LARGEST_BYTES,
            "enable.idempotence": True,
        }
    )
    for number, body in enumerate(messages):

        def delivered(error: KafkaError | None, message: Message, number: int = number) -> None:
            assert error is None, error
            positions[number] = f"{TOPIC}/{message.partition()}/{message.offset()}"

        producer.produce(TOPIC, body, str(number), headers={"trace": f"t{number}"}, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(60) == 0
    assert all(positions)
    return positions


def mixed() -> tuple[list[bytes], dict[str, int]]:
    """Good messages with one of each kind among them; and where each kind is."""
    messages = [
        json.dumps({"profile": {"id": f"p{n % 50}"}, "events": [{"type": "view", "properties": {"n": n}}]}).encode()
        for n in range(GOOD)
    ]
    places = {}
    step = GOOD // len(KINDS)
    for number, (kind, malformed) in enumerate(KINDS.items()):
        places[kind] = number * (step + 1) + step // 2
        messages.insert(places[kind], malformed.body)
    return messages, places


@pytest.mark.slow
def test_from_a_broker_each_is_a_dead_letter(hub: WholeHub) -> None:
    messages, places = mixed()
    positions = produce(hub, messages)
    settings = {"bootstrap": hub.kafka, "topics": [TOPIC], "protocol": "consumer"}
    hub.define("bridge", "messages", type="kafka", source="queue", settings=settings)

    def settled() -> bool:
        totals = hub.totals()
        return totals["received"] >= len(messages) and totals["in_flight"] == 0

    eventually(settled)
    sheet = hub.get("/balance", verify="true")
    assert sheet["balanced"], sheet
    expected = {"received": len(messages), "stored": GOOD, "dead": len(KINDS), "duplicate": 0}
    assert sheet["totals"] == {**expected, "dropped": 0, "in_flight": 0}
    dead: Counter[str] = Counter()
    for row in sheet["rows"]:
        dead[row["source"]] += row["dead"]
    assert dead == Counter(malformed.source for malformed in KINDS.values())

    letters = {letter["origin"]: letter for letter in hub.get("/dead-letters", size=1_000)["items"]}
    assert len(letters) == len(KINDS)
    for kind, malformed in KINDS.items():
        letter = letters[f"bridge:messages:{positions[places[kind]]}"]
        assert (letter["reason"], letter["source"]) == (malformed.reason, malformed.source), (kind, letter)
        assert letter["detail"], kind
        assert malformed.where in letter["detail"], (kind, letter)
        assert letter["stage"] == "bridge"
        assert letter["headers"] == {"trace": f"t{places[kind]}"}
        body = hub.ask(f"/dead-letters/{letter['id']}/body").content
        assert hashlib.sha256(body).digest() == hashlib.sha256(malformed.body).digest(), kind

    stored = hub.get("/events", q="type = view", size=1_000)["items"]
    assert {event["properties"]["n"] for event in stored} == set(range(GOOD))
    assert {event["source"]["id"] for event in stored} == {"queue"}


async def refused(api: Running) -> tuple[Counter[str], Counter[str]]:
    """Refused payloads by reason: from the metrics, and from the balance sheet."""
    metrics: Counter[str] = Counter()
    for family in text_string_to_metric_families((await api.public.get("/metrics")).text):
        for sample in family.samples:
            if sample.name == "hub_refused_payloads_total":
                metrics[sample.labels["reason"]] += int(sample.value)
    return metrics, Counter((await api.admin.get("/balance")).json()["refused"]["by_reason"])


async def test_from_rest_each_is_refused_and_counted(api: Running) -> None:
    """The client still has it, so it is neither received nor a dead letter."""
    already = await refused(api)
    expected: Counter[str] = Counter()
    no_source = Malformed(b'{"events": [{"type": "view"}]}', "missing_field", where="source")
    for kind, malformed in {**KINDS, "no source": no_source}.items():
        answer = await api.public.post("/track", content=malformed.body)
        problem: dict[str, Any] = answer.json()
        assert answer.status_code == malformed.status == problem["status"], (kind, problem)
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["reason"] == malformed.reason, (kind, problem)
        assert problem.get("where", "") == malformed.where, (kind, problem)
        expected[malformed.reason] += 1
    for now, then in zip(await refused(api), already, strict=True):
        assert now - then == expected
    assert await api.records() == []


@pytest.mark.parametrize("kind", ["number for a type", "list for properties", "lone surrogate", "year 9999"])
async def test_a_payload_says_which_of_its_events_is_not_good(api: Running, kind: str) -> None:
    """Whole or not at all: the good ones are not taken without it."""
    bad = KINDS[kind].body.decode().partition('"events": [')[2].removesuffix("]}")
    good = '{"type": "view"}'
    body = f'{{"source": {{"id": "queue"}}, "events": [{good}, {good}, {bad}, {good}]}}'
    answer = await api.public.post("/track", content=body.encode())
    assert answer.status_code == 422
    assert answer.json()["where"] == KINDS[kind].where.replace("events[0]", "events[2]")
    assert await api.records() == []
