"""Each broker's bridge from its first message to its last, beside a bare loop on the same client library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from schemas.codec import decode_inbound
from schemas.records import TRACK
from schemas.topics import EVENTS
from tests.bench import payloads, processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.tracking import Course, follow
from tests.kafka_tools import read
from tests.sources import Source, World, open_source

MESSAGES: Final = 100_000
ROUND: Final = 5_000
SHARE_OF_BARE: Final = 0.6
HOW: Final = (
    f"{MESSAGES:,} messages of {payloads.MESSAGE_BYTES} bytes of JSON in the shape of a /track payload wait at the "
    "broker, which shares the cores, as our Kafka does. The whole `hub bridges` process, from its first record on "
    "events.v1 to its last. Bare: {bare}, msgspec decode and encode, produce with a callback, acknowledge what is "
    "durable; it checks nothing and makes no ids."
)


class Kind(NamedTuple):
    """
    What is measured of one broker.

    Attributes:
        place: Number of its section in RESULTS.md.
        source: As in tests.sources.NAMES.
        bare: The module of its bare loop, and what that does.
        most_cpu_s: Per 100,000 messages: what Redpanda Connect needs.
    """

    place: str
    source: str
    bare: tuple[str, str]
    most_cpu_s: float


KINDS: Final = {
    "mqtt": Kind("5a", "mqtt:qos1", ("bare_mqtt", "paho with manual acknowledgements"), 6.4),
    "rabbitmq": Kind("5c", "rabbitmq:classic", ("bare_rabbitmq", "pika, a prefetch of 1000, multiple=True"), 5.3),
    "nats": Kind("5b", "nats:limits", ("bare_nats", "nats-py, fetch(500), each acknowledged"), 4.0),
}


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_bridge_of(kind: str, bench: Bench, shared_folder: Path) -> None:
    """At least 60 % of the bare loop's rate, and less processor time than Redpanda Connect."""
    measured = KINDS[kind]
    courses, bare = [], []
    for run in range(RUNS):
        courses.append(forward(bench, kind, f"{bench.namespace}r{run}", shared_folder))
        target = f"{bench.namespace}b{run}"
        bench.prepare(target)
        with open_source(measured.source, World(bench.kafka.bootstrap, shared_folder, target)) as source:
            fill(source)
            settings = json.dumps(source.settings)
            topic = EVENTS.name(target)
            bare.append(processes.ask(measured.bare[0], bench.kafka.bootstrap, settings, topic, MESSAGES))
    rows = [
        Row(
            "messages/s",
            [course.rate for course in courses],
            [loop["rate"] for loop in bare],
            Floor(SHARE_OF_BARE, of="ratio"),
        ),
        Row(
            "CPU s per 100,000 messages",
            [course.cpu_s_per_100k for course in courses],
            [loop["cpu_s_per_100k"] for loop in bare],
            Floor(measured.most_cpu_s, at_most=True),
        ),
    ]
    write(f"{measured.place}. Bridge of {kind}", HOW.format(bare=measured.bare[1]), rows, bench.began)


def fill(source: Source) -> None:
    """All the messages, as someone else's system would send them."""
    bodies = list(payloads.stream(payloads.message, MESSAGES))
    for start in range(0, MESSAGES, ROUND):
        source.put(bodies[start : start + ROUND])


def forward(bench: Bench, kind: str, namespace: str, folder: Path) -> Course:
    """One run, into a namespace of its own."""
    bench.prepare(namespace)
    with open_source(KINDS[kind].source, World(bench.kafka.bootstrap, folder, namespace)) as source:
        fill(source)
        # live: no collector runs here, for which a backlog would wait
        spec = {"type": source.kind, "source": payloads.SOURCE, "settings": source.settings, "priority": "live"}
        bench.define("bridge", "bench", spec, namespace)
        with processes.hub("bridges", bench.folder, bench.variables(namespace)) as process:
            course = follow(process, lambda: bench.records(EVENTS, namespace), MESSAGES, timeout_s=180)
    for message in read(bench.kafka, namespace, EVENTS)[::1000]:
        record, _ = decode_inbound(message.value() or b"")["body"]
        assert record == TRACK, "what was fast was a refusal"
    return course
