"""Each broker's bridge from its first message to its last, beside a bare loop on the same client library."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import psutil
import pytest

from hub.stack import ports
from schemas.codec import decode_inbound
from schemas.records import TRACK
from schemas.topics import EVENTS
from tests.bench import passage, payloads, processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.tracking import Course, follow
from tests.kafka_tools import read
from tests.sources import Source, World, open_source
from tests.waiting import wait_for

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
        share: The least of the bare loop's rate.
    """

    place: str
    source: str
    bare: tuple[str, str]
    most_cpu_s: float
    share: float = SHARE_OF_BARE


KINDS: Final = {
    "mqtt": Kind("5a", "mqtt:qos1", ("bare_mqtt", "paho with manual acknowledgements"), 6.4),
    "rabbitmq": Kind("5c", "rabbitmq:classic", ("bare_rabbitmq", "pika, a prefetch of 1000, multiple=True"), 5.3),
    "redis_streams": Kind("5d", "redis:stream", ("bare_redis", "redis with hiredis, XREADGROUP COUNT 500, XACK"), 5.2),
    # it pops: what it has in hand is lost by a crash, which saves it half of the server's work
    "redis_list": Kind("5e", "redis:left", ("bare_redis", "redis with hiredis, LMPOP COUNT 500"), 5.2, 0.45),
    "nats": Kind("5b", "nats:limits", ("bare_nats", "nats-py, fetch(500), each acknowledged"), 4.0),
    # psycopg hands over 500 rows in one call to C: the bare loop needs half of what the hub's own work on them takes
    "postgres": Kind("5f", "postgres:delete", ("bare_postgres", "psycopg, 500 rows a SELECT, a DELETE"), 4.0, 0.45),
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
            Floor(measured.share, of="ratio"),
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


# what passes through a bridge that is not behind, and what one costs that has nothing to do

RATE: Final = 1_000
SECONDS: Final = 8
IDLE: Final = 100
SETTLE_S: Final = 15.0
WATCH_S: Final = 30.0
EVERY: Final = {
    "kafka": "kafka",
    "rabbitmq": "rabbitmq:classic",
    "mqtt": "mqtt:qos1",
    "nats": "nats:limits",
    "redis_streams": "redis:stream",
    "redis_list": "redis:left",
    "sqs": "sqs:lasting",
    "postgres": "postgres:cursor",
    "imap": "imap",
}
"""Sources as in tests.sources.WAYS, by kind of bridge."""
MIXED: Final = "every kind"
"""As many of each."""
PASSAGE: Final = (
    f"{RATE:,} messages a second of some {payloads.MESSAGE_BYTES} bytes for {SECONDS} s, sent by the clock (an open "
    "loop) in groups of a hundredth of a second. From when a message was due to be sent to the broker until our Kafka "
    "had it on events.v1: the time that its broker writes into the record, rounded up to a millisecond; nobody reads "
    "meanwhile. Sender, broker, bridge process and our Kafka share the cores."
)
REST: Final = (
    f"{IDLE} bridges in one process, each with a queue of its own that is empty, without Redis; processor time over "
    f"{WATCH_S:g} s, {SETTLE_S:g} s after the last of them has connected, as a share of one core."
)


@pytest.mark.bench
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", passage.SENDERS)
def test_latency_of(kind: str, bench: Bench, shared_folder: Path) -> None:
    """p99 under 25 ms."""
    with open_source(EVERY[kind], World(bench.kafka.bootstrap, shared_folder, bench.namespace)) as source:
        spec = {"type": source.kind, "source": payloads.SOURCE, "settings": source.settings, "priority": "live"}
        bench.define("bridge", "bench", spec)
        with bridging(bench, 1):
            arguments = (json.dumps(source.settings), bench.kafka.bootstrap, EVENTS.name(bench.namespace))
            runs = [processes.ask("passage", kind, *arguments, RATE, SECONDS) for _ in range(RUNS + 1)][1:]
    rows = [
        Row("p50, ms", [run["p50"] for run in runs]),
        Row("p99, ms", [run["p99"] for run in runs], (), Floor(25, at_most=True)),
        Row("longest, ms", [run["max"] for run in runs]),
    ]
    write(f"5x. Latency of a bridge of {kind}", PASSAGE, rows, bench.began)


@pytest.mark.bench
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [*EVERY, MIXED])
def test_idle_bridges_of(kind: str, bench: Bench, shared_folder: Path) -> None:
    """A hundred of them: under 2 % of a core and 300 MB."""
    kinds = [*EVERY] if kind == MIXED else [kind]
    with ExitStack() as stack:
        for number in range(IDLE):
            world = World(bench.kafka.bootstrap, shared_folder, f"{bench.namespace}i{number}")
            source = stack.enter_context(open_source(EVERY[kinds[number % len(kinds)]], world))
            spec = {"type": source.kind, "source": payloads.SOURCE, "settings": source.settings}
            bench.define("bridge", f"idle{number}", spec)
        process = stack.enter_context(bridging(bench, IDLE))
        time.sleep(SETTLE_S)
        before, began = processes.Usage.of(process).cpu_s, time.monotonic()
        time.sleep(WATCH_S)
        used = processes.Usage.of(process).cpu_s - before
        share = used / (time.monotonic() - began) * 100
        rss_mb = process.memory_info().rss / 1e6
    rows = [
        Row("% of a core", [share], (), Floor(2, at_most=True)),
        Row("resident memory, MB", [rss_mb], (), Floor(300, at_most=True)),
    ]
    write(f"5y. {IDLE} idle bridges of {kind}", REST, rows, bench.began)


@contextmanager
def bridging(bench: Bench, count: int) -> Iterator[psutil.Process]:
    """A bridge process in which `count` bridges run."""
    port = ports.free_port()
    with processes.hub("bridges", bench.folder, {**bench.variables(), "HUB_HEALTH__PORT": str(port)}) as process:

        def running() -> bool:
            try:
                bridges = httpx.get(f"http://127.0.0.1:{port}/ready", timeout=10).json()["bridges"]
            except httpx.TransportError:
                return False
            return [bridge["state"] for bridge in bridges] == ["running"] * count

        wait_for(f"{count} bridges run", running, timeout_s=120)
        yield process
