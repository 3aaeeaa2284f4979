"""The Kafka bridge from its first message to its last, beside a bare loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.codec import decode_inbound
from schemas.records import TRACK
from schemas.topics import EVENTS
from tests.bench import payloads, preload, processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.tracking import Course, follow
from tests.kafka_tools import read

MESSAGES = 200_000
HOW = (
    f"{MESSAGES:,} messages of {payloads.MESSAGE_BYTES} bytes of JSON on three partitions, {{shape}}, onto events.v1 "
    "with acks=all; both topics on the same broker, which shares the cores. The whole `hub bridges` process, from its "
    "first record on events.v1 to its last. Bare: a loop of consume(1000), msgspec decode {by_hand}and encode, produce "
    "with a callback, commit the lowest; it checks nothing and makes no ids."
)


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_bridge_track_shape(bench: Bench) -> None:
    """At most 2 CPU seconds per 100,000 messages that have the /track shape."""
    rows = measure(bench, payloads.message, "message", None, Floor(2.0, at_most=True))
    how = HOW.format(shape="in the shape of a /track payload", by_hand="")
    write("4. Kafka bridge, messages of the /track shape", how, rows, bench.began)


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_bridge_mapping(bench: Bench) -> None:
    """At most 4 CPU seconds per 100,000 with a mapping of ten fields."""
    mapping = dict(payloads.TEN_FIELDS)
    rows = measure(bench, payloads.row, "row", mapping, Floor(4.0, at_most=True))
    how = HOW.format(shape="flat rows; a mapping takes ten fields", by_hand="(ten fields by hand) ")
    write("5. Kafka bridge, a mapping of ten fields", how, rows, bench.began)


def measure(
    bench: Bench, make: Callable[[int], bytes], shape: str, mapping: dict[str, Any] | None, floor: Floor
) -> list[Row]:
    """Ours and the bare loop in turn."""
    source = f"{bench.namespace}.source"
    preload.messages(bench.kafka, source, make, MESSAGES)
    courses, bare = [], []
    for run in range(RUNS):
        courses.append(forward(bench, f"{bench.namespace}r{run}", source, mapping))
        target = f"{bench.namespace}b{run}"
        bench.prepare(target)
        target = EVENTS.name(target)
        bare.append(processes.ask("bare_bridge", bench.kafka.bootstrap, source, target, MESSAGES, shape))
    return [
        Row("messages/s", [course.rate for course in courses], [loop["rate"] for loop in bare]),
        Row(
            "CPU s per 100,000 messages",
            [course.cpu_s_per_100k for course in courses],
            [loop["cpu_s_per_100k"] for loop in bare],
            floor,
        ),
    ]


def forward(bench: Bench, namespace: str, source: str, mapping: dict[str, Any] | None) -> Course:
    """One run, into a namespace of its own: all of the topic, from its beginning."""
    bench.prepare(namespace)
    settings = {"bootstrap": bench.kafka.bootstrap, "topics": source, "protocol": "consumer"}
    # live: no collector runs here, for which a backlog would wait
    spec = {"type": "kafka", "source": payloads.SOURCE, "settings": settings, "mapping": mapping, "priority": "live"}
    bench.define("bridge", "bench", spec, namespace)
    with processes.hub("bridges", bench.folder, bench.variables(namespace)) as process:
        course = follow(process, lambda: bench.records(EVENTS, namespace), MESSAGES, timeout_s=180)
    for message in read(bench.kafka, namespace, EVENTS)[::1000]:
        kind, _ = decode_inbound(message.value() or b"")["body"]
        assert kind == TRACK, "what was fast was a refusal"
    return course
