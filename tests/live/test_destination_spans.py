"""Destinations that write many events at once, files and inserts: exactly the stored events, whenever it is killed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from bridges.base import Rewind
from bridges.outward.keeper import DESTINATIONS
from bridges.outward.registry import validate
from bridges.registry import BridgeError
from hub.definitions.kinds import Destination
from hub.errors import Unavailable
from hub.log.admin import LogAdmin, ensure_topics
from hub.log.config import admin_config
from hub.log.lag import DestinationLag
from hub.settings import Kafka
from schemas.codec import decode_inbound, decode_stored, encode_stored
from schemas.records import REFUSED
from schemas.topics import EVENTS, STORED
from tests.destinations import entry, event_id, hub_of, record, running
from tests.factories import NOW_MS
from tests.kafka_tools import read, write
from tests.servers.running import own
from tests.sources import World
from tests.targets import open_sink
from tests.targets.clickhouse import ClickhouseSink
from tests.targets.clickhouse import ColumnsSink as TableSink
from tests.targets.s3 import ColumnsSink, S3Sink, client

pytestmark = pytest.mark.slow

SOON = {"first_s": 0.05, "longest_s": 0.2}
DAY_MS = 86_400_000
A_DAY = 10
"""Events of one day: so few that of two files one has days that the other has not."""


@pytest.fixture
def world(kafka: str, shared_folder: Path, namespace: str) -> World:
    return World(kafka, shared_folder, namespace)


@pytest.fixture
def ours(kafka: str, namespace: str) -> Kafka:
    settings = Kafka(bootstrap=kafka, partitions=2)
    ensure_topics(settings, namespace)
    return settings


@pytest.fixture
def bucket(world: World) -> Iterator[S3Sink]:
    with open_sink("s3", world) as sink:
        assert isinstance(sink, S3Sink)
        yield sink


def store(kafka: Kafka, namespace: str, numbers: Iterable[int], **properties: Any) -> None:
    """Events of several days."""
    records = []
    for number in numbers:
        stored = decode_stored(record(number, **properties)[1])
        stored["time_ms"] = NOW_MS + number + number // A_DAY * DAY_MS
        records.append((f"k{number % 8}".encode(), encode_stored(stored)))  # on every partition
    write(kafka, STORED.name(namespace), records)


def sized(sink: Any, **settings: Any) -> dict[str, Any]:
    return {**sink.definition, "settings": {**sink.definition["settings"], **settings}}


async def killed(ours: Kafka, namespace: str, sink: Any, when: str, **settings: Any) -> None:
    """A process that runs the destination, and dies at that moment."""
    definition = json.dumps({"type": sink.kind, **sized(sink, **settings)})
    command = [sys.executable, "-m", "tests.destinations", ours.bootstrap, namespace, definition, when]
    died = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, timeout=60, check=False)
    assert died.returncode == -9
    assert when.encode() in died.stdout


def ids(arrived: Sequence[Any]) -> Counter[str]:
    return Counter(one.id for one in arrived)


async def until_level(ours: Kafka, namespace: str) -> None:
    """Nothing waits for the destination any more."""
    lag = DestinationLag(ours, namespace)
    async with asyncio.timeout(40):
        while await asyncio.to_thread(lag, ["d"]) != {"d": 0}:  # noqa: ASYNC110 - Kafka is asked
            await asyncio.sleep(0.05)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("s3", "planned"),
        ("s3", "written"),
        ("s3", "sent"),
        ("clickhouse:columns", "planned"),
        ("clickhouse:columns", "sent"),
    ],
)
async def test_killed_and_gone_on_with_other_sizes(
    name: str, when: str, world: World, ours: Kafka, namespace: str
) -> None:
    """
    Between the two more has come, and what is written at once is another number of events.

    ClickHouse's table is one that keeps what is inserted twice.
    """
    with open_sink(name, world) as sink:
        store(ours, namespace, range(30))
        await killed(ours, namespace, sink, when, rows=20)
        before = ids(await asyncio.to_thread(sink.arrived))
        assert bool(before) == (when != "planned")
        store(ours, namespace, range(30, 60))
        await killed(ours, namespace, sink, "sent", rows=1000, age_s=1)
        store(ours, namespace, range(60, 70))
        async with running(ours, namespace, sink.kind, sized(sink, rows=7)):
            await until_level(ours, namespace)
        assert ids(await asyncio.to_thread(sink.arrived)) == {event_id(n): 1 for n in range(70)}


@pytest.mark.long
async def test_kafka_has_deleted_a_part_of_what_was_planned(bucket: S3Sink, ours: Kafka, namespace: str) -> None:
    """As after days without the destination: what was written before stays, and the rest is written once."""
    store(ours, namespace, range(100))
    await killed(ours, namespace, bucket, "written", rows=40)
    before = ids(await asyncio.to_thread(bucket.arrived))
    assert before
    name = STORED.name(namespace)
    deleted = [TopicPartition(name, partition, 3) for partition in range(2)]
    admin = AdminClient(admin_config(ours))
    for done in admin.delete_records(deleted).values():
        await asyncio.to_thread(done.result)
    there = {
        decode_stored(message.value() or b"")["id"]
        for message in await asyncio.to_thread(read, ours, namespace, STORED)
    }
    assert len(there) == 94
    async with running(ours, namespace, "s3", sized(bucket, rows=7)):
        await until_level(ours, namespace)
    assert ids(await asyncio.to_thread(bucket.arrived)) == dict.fromkeys(there | set(before), 1)


@pytest.mark.parametrize("name", ["s3", "clickhouse:columns"])
async def test_a_partition_that_is_taken_over(name: str, world: World, ours: Kafka, namespace: str) -> None:
    """A second process takes a partition while the first has gathered some of it, and then all."""
    with open_sink(name, world) as sink:
        async with running(ours, namespace, sink.kind, sized(sink, rows=50, age_s=0.5)) as first:
            store(ours, namespace, range(120))
            await first.until(received=60)
            async with running(ours, namespace, sink.kind, sized(sink, rows=30, age_s=0.3)) as second:
                at = 120
                async with asyncio.timeout(60):
                    while second.status.forwarded < 1:
                        store(ours, namespace, range(at, at + 10))
                        at += 10
                        await asyncio.sleep(0.1)
                await first.keeper.stop()
                store(ours, namespace, range(at, at + 20))
                await until_level(ours, namespace)
        assert ids(await asyncio.to_thread(sink.arrived)) == {event_id(n): 1 for n in range(at + 20)}


async def test_files_are_as_large_as_is_told(bucket: S3Sink, ours: Kafka, namespace: str) -> None:
    """One a partition and day; what is not full goes when it is old enough."""
    store(ours, namespace, range(90))
    async with running(ours, namespace, "s3", sized(bucket, rows=25, age_s=1)) as destination:
        await destination.until(forwarded=90)
    rows = {name: await asyncio.to_thread(bucket.rows, name) for name in await asyncio.to_thread(bucket.files)}
    spans = Counter[str]()
    for name, found in rows.items():
        spans[name.rpartition("/")[2]] += len(found)
        assert {f"events/date={row['time'].date()}" for row in found} == {name.rpartition("/")[0]}
    assert sum(spans.values()) == 90
    assert max(spans.values()) <= 25
    [row] = [row for found in rows.values() for row in found if row["event_id"] == event_id(44)]
    assert row["time"] == datetime.fromtimestamp((NOW_MS + 44 + 4 * DAY_MS) / 1000, UTC)
    assert (row["type"], row["source"], row["session_id"]) == ("purchase", "shop", None)


async def test_a_rewind_in_the_middle_of_a_plan(bucket: S3Sink, ours: Kafka, namespace: str) -> None:
    """Whoever sets it back wants all from there on, as the destination is now: what was planned is forgotten."""
    store(ours, namespace, range(20))
    await killed(ours, namespace, bucket, "sent", rows=1000)
    store(ours, namespace, range(20, 40))
    await killed(ours, namespace, bucket, "planned", rows=5)
    for name in await asyncio.to_thread(bucket.files):
        bucket.client.delete_object(Bucket=bucket.bucket, Key=name)
    there = entry("s3", sized(bucket))
    async with asyncio.timeout(60):
        while True:
            try:
                await DESTINATIONS.rewind("d", there, hub_of(ours, namespace), Rewind("beginning"))
                break
            except Unavailable:  # the one that was killed is in the group until Kafka misses it
                await asyncio.sleep(0.2)
    async with running(ours, namespace, "s3", sized(bucket, rows=1000, age_s=2)):
        await until_level(ours, namespace)
    assert ids(await asyncio.to_thread(bucket.arrived)) == {event_id(n): 1 for n in range(40)}
    assert len({name.rpartition("/")[2] for name in await asyncio.to_thread(bucket.files)}) == 2


async def test_a_value_that_its_column_does_not_take(world: World, ours: Kafka, namespace: str) -> None:
    """It becomes a dead letter, the others of its file are written."""
    with open_sink("s3:columns", world) as sink:
        assert isinstance(sink, ColumnsSink)
        store(ours, namespace, range(10))
        write(ours, STORED.name(namespace), [record(10, number="many")])
        async with running(ours, namespace, sink.kind, sink.definition) as destination:
            await destination.until(forwarded=10, refused=1)
        assert ids(await asyncio.to_thread(sink.arrived)) == {event_id(n): 1 for n in range(10)}
    [letter] = [decode_inbound(message.value() or b"")["body"] for message in read(ours, namespace, EVENTS)]
    assert letter[0] == REFUSED
    assert "column number: 'many' is no integer" in letter[1]["detail"]


async def test_clickhouse_finds_the_row_at_fault(world: World, ours: Kafka, namespace: str) -> None:
    with open_sink("clickhouse:columns", world) as sink:
        assert isinstance(sink, TableSink)
        store(ours, namespace, range(20))
        write(ours, STORED.name(namespace), [record(20, number="many")])
        store(ours, namespace, range(21, 25))
        async with running(ours, namespace, sink.kind, sink.definition) as destination:
            await destination.until(forwarded=24, refused=1)
        assert ids(await asyncio.to_thread(sink.arrived)) == {event_id(n): 1 for n in range(25) if n != 20}
    [letter] = [decode_inbound(message.value() or b"")["body"] for message in read(ours, namespace, EVENTS)]
    assert json.loads(letter[1]["body"])["id"] == event_id(20)


async def test_clickhouse_says_what_is_wrong(world: World, ours: Kafka, namespace: str) -> None:
    """No table, a table with other columns, a wrong password: nothing is buried, and it goes on when that is mended."""
    with open_sink("clickhouse", world) as sink:
        assert isinstance(sink, ClickhouseSink)
        definition = {**sized(sink, create=False), "retry": SOON}
        store(ours, namespace, range(3))
        async with running(ours, namespace, sink.kind, definition) as destination:
            status = await destination.until(state="failed")
            assert "Make the table" in status.last_error
            sink.execute(f"CREATE TABLE `{sink.table}` (event_id String) ENGINE = MergeTree ORDER BY event_id")
            await destination.until_error("settings.columns, or the table")
            sink.execute(f"DROP TABLE `{sink.table}`")
        wrong = {**definition, "settings": {**definition["settings"], "password": "env:PATH"}}
        async with running(ours, namespace, sink.kind, wrong) as destination:
            status = await destination.until(state="failed")
            assert "settings.password" in status.last_error
        async with running(ours, namespace, sink.kind, sink.definition) as destination:
            await destination.until(forwarded=3)
        assert ids(await asyncio.to_thread(sink.arrived)) == {event_id(n): 1 for n in range(3)}
    assert sum(LogAdmin(ours, namespace).end_offsets(EVENTS).values()) == 0


async def test_s3_says_what_is_wrong(bucket: S3Sink, ours: Kafka, namespace: str) -> None:
    """A bucket that is not there: it is failed until somebody makes it."""
    store(ours, namespace, range(3))
    definition = {**sized(bucket, bucket=f"{namespace}-missing"), "retry": SOON}
    async with running(ours, namespace, "s3", definition) as destination:
        status = await destination.until(state="failed")
        assert "there is no bucket" in status.last_error
        assert "settings.bucket" in status.last_error
        bucket.client.create_bucket(
            Bucket=f"{namespace}-missing", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
        )
        await destination.until(forwarded=3, state="running")
    assert sum(LogAdmin(ours, namespace).end_offsets(EVENTS).values()) == 0


async def test_s3_with_a_wrong_key(ours: Kafka, namespace: str, tmp_path: Path) -> None:
    with own("s3", tmp_path / "s3") as server:
        sink = S3Sink(server.url, "warehouse")
        iam = client(server.url, service="iam")
        iam.create_user(UserName="hub")
        key = iam.create_access_key(UserName="hub")["AccessKey"]
        await asyncio.to_thread(httpx.post, f"{server.url}/moto-api/reset-auth", content="0")
        store(ours, namespace, range(3))
        for id, words in ((key["AccessKeyId"], "settings.secret_access_key"), ("nobody", "settings.access_key_id")):
            definition = {**sized(sink, access_key_id=id), "retry": SOON}
            async with running(ours, namespace, "s3", definition) as destination:
                status = await destination.until(state="failed")
                assert words in status.last_error
    assert sum(LogAdmin(ours, namespace).end_offsets(EVENTS).values()) == 0


@pytest.mark.parametrize("name", ["s3", "clickhouse"])
async def test_a_target_that_goes_away_and_comes_back(name: str, ours: Kafka, namespace: str, tmp_path: Path) -> None:
    """While the destination runs; a server that keeps its data, if it can."""
    with own(name, tmp_path / name) as server:
        sink: Any = S3Sink(server.url, "warehouse") if name == "s3" else ClickhouseSink(server.url, "warehouse")
        definition = {**sized(sink, timeout_s=2), "retry": SOON}
        store(ours, namespace, range(20))
        async with running(ours, namespace, name, definition) as destination:
            await destination.until(forwarded=20)
            before = ids(await asyncio.to_thread(sink.arrived))
            server.kill()
            store(ours, namespace, range(20, 40))
            await destination.until(state="failed")
            server.start()
            if name == "s3":  # moto keeps nothing
                sink.__init__(server.url, "warehouse")
            else:
                before = Counter()
            await destination.until(forwarded=40, state="running")
        found = before + ids(await asyncio.to_thread(sink.arrived))
        assert found == {event_id(n): 1 for n in range(40)}


@pytest.mark.parametrize(
    ("kind", "settings", "changes", "words"),
    [
        ("s3", {"bucket": "b", "access_key_id": "a"}, {}, "go together"),
        ("s3", {"bucket": "b", "prefix": "events"}, {}, "settings.prefix"),
        ("s3", {"bucket": "b"}, {"mapping": {"a": "id"}}, "name the mapping's fields"),
        ("s3", {"bucket": "b", "columns": {"a": "string"}}, {}, "no mapping"),
        ("s3", {"bucket": "b", "columns": {"a": "uuid"}}, {"mapping": {"a": "id"}}, "settings.columns"),
        ("s3", {"bucket": "b", "columns": {"date": "string"}}, {"mapping": {"date": "id"}}, "folders"),
        ("s3", {"bucket": "b", "id": "time"}, {}, "another purpose"),
        ("s3", {"bucket": "b"}, {"give_up_s": 5}, "leave it out"),
        ("clickhouse", {"url": "clickhouse://h", "table": "t"}, {}, "http://host:port"),
        ("clickhouse", {"url": "http://u:p@h", "table": "t"}, {}, "username"),
        ("clickhouse", {"url": "http://h", "table": "t", "columns": ["a"]}, {}, "no mapping"),
        ("clickhouse", {"url": "http://h", "table": "t", "password": "x"}, {}, "settings.password"),
        ("clickhouse", {"url": "http://h", "table": "t"}, {"give_up_s": 5}, "leave it out"),
    ],
)
def test_definitions_that_cannot_work(kind: str, settings: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    definition = Destination.model_validate({"type": kind, "settings": settings, **changes})
    with pytest.raises(BridgeError, match=words):
        validate(definition)


def test_without_pyarrow_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from bridges.outward.registry import spec_of\n"
        "from bridges.registry import BridgeError\n"
        "try: spec_of('s3')\n"
        "except BridgeError as exc: print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert "pip install 'thamesthrive-hub[parquet]'" in done.stdout
