"""Sealed records from end to end: everything works, Kafka has nothing to read, and who is erased stays unreadable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka.admin import AdminClient, NewTopic

from hub.collector.crash import CrashPoint
from hub.collector.sweeper import NO_KEY
from hub.definitions.catalogue import Catalogue
from hub.log.follower import Follower
from hub.log.keys import KeepingOpener, KeyLog, Opener
from hub.pipeline.data_keys import DataKey, Wrapping, key_record, read_id
from hub.pipeline.records import PRIVACY, LogRecord, decode
from hub.pipeline.sealed import Sealer, is_sealed, key_id, stub
from hub.replay.bounds import BEGINNING
from hub.replay.options import Options
from hub.replay.report import Report
from hub.replay.run import replay
from hub.settings import Bulk, Kafka
from hub.stack.keys import identity_key, secret_key
from hub.store import open_store
from schemas.codec import decode_inbound, encode_inbound
from schemas.topics import EVENTS, KEYS
from tests import stores
from tests.factories import NOW_MS, event, track
from tests.kafka_tools import eventually, read, write, write_events
from tests.live.api import running
from tests.live.bridge_site import site
from tests.live.collector import collector
from tests.live.test_identity import done, prepared, sent, sign_in
from tests.servers.running import own
from tests.unit.test_privacy import order

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that a test starts."""
    monkeypatch.setenv("HUB_PRIVACY__SHREDDING", "true")


def wrapping(folder: Path) -> Wrapping:
    return Wrapping(secret_key(None, folder))


def replayed(settings: Kafka, namespace: str, folder: Path, into: str | None = None) -> Report:
    options = Options(
        kafka=settings,
        namespace=namespace,
        store_url=stores.store_url(folder, namespace),
        data=folder,
        since=BEGINNING,
        into=into,
        bulk=Bulk(),
        wrapping=wrapping(folder),
        sealer=Sealer(wrapping(folder), identity_key(None, folder)),
        environment={**os.environ, "HUB_DATA": str(folder)},
    )
    return replay(options, 0)


def values(settings: Kafka, namespace: str) -> list[bytes]:
    """Of events.v1, as Kafka has them."""
    return [message.value() or b"" for message in read(settings, namespace, EVENTS)]


def whose(value: bytes) -> str:
    left = stub(value)
    assert left is not None
    inbound = decode_inbound(left)
    return inbound.get("sent_as") or inbound["profile_id"]


def keys_of(settings: Kafka, namespace: str) -> dict[bytes, bytes | None]:
    """What keys.v1 says last of each key."""
    found: dict[bytes, bytes | None] = {}
    for message in read(settings, namespace, KEYS):
        id = read_id(message.key() or b"")
        assert id is not None
        if id == NO_KEY:
            continue
        found[id] = message.value()
    return found


async def test_who_is_erased_cannot_be_read_on_kafka(kafka: str, namespace: str, tmp_path: Path) -> None:
    settings = prepared(kafka, namespace)
    catalogue = Catalogue(identity_key(None, tmp_path))
    on = wrapping(tmp_path)
    with Follower(settings, namespace, catalogue):
        async with running(settings, namespace, tmp_path, catalogue=catalogue, wrapping=on) as hub:
            level = done(hub.store, settings, namespace)
            send = partial(sent, hub)
            with collector(kafka, namespace, tmp_path):
                await hub.admin.put("/definitions/source/shop", json={"type": ["rest"]})
                await send("bob", "s1", n=1, email="Ann@Example.com", city="Carthage")
                await send("dan", "s3", n=8, email="dan@example.com", city="Carthage")
                eventually(lambda: hub.store.count("events", "") == 2)
                await send("ann", "s2", n=2, email=" ann@example.COM", city="Carthage")
                eventually(lambda: hub.store.count("profiles", "traits.sum = 3") == 1 and level())
                # the step of the merge that carries a profile, too
                assert all(is_sealed(value) for value in values(settings, namespace))
                assert not any(b"Carthage" in value or b"xample" in value for value in values(settings, namespace))
                found = await hub.admin.get("/events")
                for one in found.json()["items"]:
                    trace = (await hub.admin.get(f"/events/{one['id']}/trace")).json()
                    assert trace["log"]["note"] == "Kafka still has the record"

                shadow = replayed(settings, namespace, tmp_path, f"{namespace}-s")
                assert shadow.diff is not None
                assert (shadow.diff.same, shadow.diff.differ, shadow.events) == (2, 0, 3)
                assert all(is_sealed(value) for value in values(settings, f"{namespace}-s"))

                theirs = {key_id(value) for value in values(settings, namespace) if whose(value) in ("ann", "bob")}
                assert set(hub.store.data_keys([*theirs])) == theirs
                asked = await hub.admin.post("/profiles/bob/erase")
                eventually(lambda: bool(hub.store.orders(1, None)) and hub.store.removals() == [])
                report = (await hub.admin.get(f"/erasures/{asked.json()['id']}")).json()
                assert report["removed"]["keys"] == len(theirs)
                assert report["done_at"] < report["kafka"]["keys_gone_at"] < report["kafka"]["gone_at"]
                assert hub.store.data_keys([*theirs]) == {}
                last = keys_of(settings, namespace)
                assert {id for id, value in last.items() if value is None} == theirs

                again = replayed(settings, namespace, tmp_path)
                eventually(level)
                assert again.skipped["shredded"] == len(theirs)
                assert [one["id"] for one in hub.store.search("profiles", "", 10, None).items] == ["dan"]
                await send("bob", "s1", n=5, email="ann@example.com")
                eventually(lambda: hub.store.count("profiles", "traits.sum = 5") == 1 and level())
                sheet = (await hub.admin.get("/balance?verify=true")).json()
                assert sheet["balanced"], sheet
                shadow = replayed(settings, namespace, tmp_path, f"{namespace}-s")
                assert shadow.diff is not None
                assert (shadow.diff.same, shadow.diff.live, shadow.diff.shadow) == (2, 2, 2)
    _made_anew(kafka, settings, namespace, tmp_path)


def _made_anew(kafka: str, settings: Kafka, namespace: str, folder: Path) -> None:
    """A store that is lost is made of the log again, without who was erased, and the collector stops nowhere."""
    for file in folder.glob("hub.sqlite*"):
        file.unlink()
    with collector(kafka, namespace, folder, "--accept-gap"):
        store = open_store(stores.store_url(folder, namespace))
        level = done(store, settings, namespace)
        eventually(lambda: level() and len(store.orders(9, None)) == 1 and not store.removals())
        profiles = {one["id"]: one["traits"]["sum"] for one in store.search("profiles", "", 10, None).items}
        assert profiles == {"dan": 8, "bob": 5}
        assert store.count("dead-letters", "") == 0
        store.close()


@contextmanager
def _own_site(kafka: str, namespace: str, folder: Path) -> Iterator[Any]:
    with (
        own("valkey", folder) as server,
        site(kafka, namespace, server.url, folder, HUB_PRIVACY__SHREDDING="true") as made,
    ):
        made.redis_url = server.url
        yield made


def test_what_a_bridge_brings_is_sealed(kafka: str, namespace: str, tmp_path: Path) -> None:
    with _own_site(kafka, namespace, tmp_path) as hub, collector(kafka, namespace, tmp_path):
        hub.put("source", "shop", {"type": ["bridge"]})
        settings = {"url": hub.redis_url, "streams": ["orders"]}
        hub.put("bridge", "orders", {"type": "redis_streams", "source": "shop", "settings": settings})
        hub.start("bridges")
        with redis.Redis.from_url(hub.redis_url) as client:
            body = '{"profile": {"id": "p%d"}, "events": [{"type": "purchase", "properties": {"what": "Carthage"}}]}'
            for number in range(300):
                client.xadd("orders", {"body": body % (number % 7)})
            client.xadd("orders", {"body": "no JSON"})
        with_store = open_store(stores.store_url(tmp_path, namespace), readonly=True)
        eventually(lambda: with_store.count("events", "properties.what = 'Carthage'") == 300)
        eventually(lambda: with_store.count("dead-letters", "") == 1)
        with_store.close()
        found = values(hub.kafka, namespace)
        assert sum(is_sealed(value) for value in found) == 300
        assert not any(b"Carthage" in value for value in found)
        assert len(keys_of(hub.kafka, namespace)) == 300


def test_what_a_heartbeat_sends_is_sealed_and_collected(kafka: str, namespace: str, tmp_path: Path) -> None:
    """And cannot be read any more once the person is erased, as all that is theirs."""
    with _own_site(kafka, namespace, tmp_path) as hub:
        hub.put("source", "shop", {"type": ["rest"]})
        hub.start("collector")
        hub.start("agents", HUB_AGENTS__INSTANCE="one")
        for id in ("ann", "dan"):
            hub.post("/track", {"source": {"id": "shop"}, "profile": {"id": id}, "events": [{"type": "purchase"}]})
        eventually(lambda: hub.get("/profiles/count")["count"] == 2)
        properties = {"why": "Carthage"}
        hub.put("heartbeat", "check", {"event_type": "was-checked", "properties": properties, "every": "52w"})
        hub.post("/heartbeats/check/run", status=202)
        eventually(lambda: hub.get("/events/count", q="properties.why = Carthage")["count"] == 2)
        found = values(hub.kafka, namespace)
        assert sorted(map(whose, found)) == ["ann", "ann", "dan", "dan"]
        assert all(map(is_sealed, found))
        assert not any(b"Carthage" in value or b"was-checked" in value for value in found)
        asked = hub.post("/profiles/ann/erase", status=202)
        eventually(lambda: any(one["id"] == asked["id"] and one["done_at"] for one in hub.get("/erasures")["items"]))
        assert hub.get(f"/erasures/{asked['id']}")["removed"]["keys"] == 2
        gone = {id for id, value in keys_of(hub.kafka, namespace).items() if value is None}
        assert gone == {key_id(value) for value in found if whose(value) == "ann"}


@pytest.mark.parametrize("point", ["loaded", "written", "produced"])
def test_kill_among_sealed_records(point: CrashPoint, kafka: str, namespace: str, tmp_path: Path) -> None:
    """Two profiles of each of six people become one, every second of whom is erased: exact, wherever it dies."""
    settings = prepared(kafka, namespace, partitions=3)
    people, sealer = 6, Sealer(Wrapping("secret"), b"")
    records = [sign_in(f"a{n}", f"p{n % 12:03d}", f"w{n % people}@example.com", n=n) for n in range(48)]
    made = [(one, *sealer.seal(encode_inbound(one))) for one in records]
    write(settings, KEYS.name(namespace), [key_record(key) for _, _, key in made if key is not None])
    write(settings, EVENTS.name(namespace), [(one["profile_id"].encode(), value) for one, value, _ in made])
    store_url = stores.store_url(tmp_path, namespace)
    command = [sys.executable, "-m", "tests.crashing_collector", kafka, namespace, store_url]
    assert subprocess.run([*command, point, "2"], timeout=60, check=False).returncode == -signal.SIGKILL
    orders = [order(f"o{n}", f"p{n:03d}", at_ms=NOW_MS + 60_000) for n in range(0, people, 2)]
    write_events(settings, namespace, orders)
    assert subprocess.run([*command, point, "2"], timeout=60, check=False).returncode == -signal.SIGKILL
    survivor = subprocess.Popen(command)
    with closing(open_store(store_url)) as store:
        try:
            level = done(store, settings, namespace)
            eventually(lambda: level() and len(store.orders(99, None)) >= len(orders) and not store.removals())
        finally:
            survivor.send_signal(signal.SIGTERM)
            assert survivor.wait(30) == 0
        left = {one["id"]: one["stats"]["events"] for one in store.search("profiles", "", 99, None).items}
        assert left == {"p001": 8, "p003": 8, "p005": 8}
        assert store.keys_to_bury(1) == []
        on_log = values(settings, namespace)
        assert {decode_inbound(value)["source"] for value in on_log if not is_sealed(value)} == {PRIVACY}
        found = [value for value in on_log if is_sealed(value)]
        there = store.data_keys([key_id(value) for value in found])
        readable = {whose(value) for value in found if key_id(value) in there}
        assert readable == {f"p{n:03d}" for n in range(1, 12, 2)}
        last = keys_of(settings, namespace)
        assert {id for id, value in last.items() if value is not None} >= set(there)
        assert not any(last[key_id(value)] for value in found if key_id(value) not in there)


def test_two_collectors_keep_each_key_once(ours: Kafka, namespace: str, tmp_path: Path) -> None:
    """Whoever is late reads on from where the other one has come to; what was thrown away stays so."""
    secret = Wrapping("correct horse")
    made = [Sealer(secret, b"").seal(encode_inbound(track("ann", event(f"e{n}"), received_at_ms=n))) for n in range(5)]
    records = [LogRecord(0, n, 0, b"ann", value) for n, (value, _) in enumerate(made)]
    keys = [key for _, key in made if key is not None]

    def put(*some: DataKey) -> None:
        write(ours, KEYS.name(namespace), [key_record(key) for key in some])

    def ids(opener: Opener, *numbers: int) -> list[str]:
        """Of the events in these records; "" of one whose key was thrown away."""
        opened = opener.open([records[n] for n in numbers])
        return [one.events[0]["id"] for one in decode(opened)]

    def opener(name: str) -> KeepingOpener:
        store = stack.enter_context(closing(open_store(f"sqlite:///{tmp_path / name}")))
        made = KeepingOpener(KeyLog(ours, namespace), store, secret, now_ms=lambda: 1)
        return stack.enter_context(closing(made))

    with ExitStack() as stack:
        first, second = opener("a"), opener("a")
        put(*keys[:2])
        assert ids(first, 0, 1, 2) == ["e0", "e1", ""]
        put(keys[2])
        assert ids(second, 2, 0, 1) == ["e2", "e0", "e1"]
        KeyLog(ours, namespace).throw_away([keys[0].id])
        put(keys[3])
        assert ids(first, 3, 1) == ["e3", "e1"]
        assert ids(first, 0, 1) == ["", "e1"]
        put(keys[4])
        assert ids(second, 0, 4, 0) == ["", "e4", ""]
        assert ids(opener("b"), 0, 1, 2, 3, 4) == ["", "e1", "e2", "e3", "e4"]

        damaged = records[1]._replace(value=records[1].value[:-3])
        assert [one.inbound for one in decode(first.open([damaged]))] == [None]


@pytest.mark.long
def test_kafka_itself_forgets_a_key(kafka: str, namespace: str) -> None:
    """With the topic's settings, but seconds for minutes; what is new closes the segments, as the sweeper sees to."""
    settings = Kafka(bootstrap=kafka, partitions=1)
    quick = replace(KEYS, config=dict.fromkeys(KEYS.config, "1000"))
    assert set(quick.config) == {"segment.ms", "max.compaction.lag.ms"}
    topic = NewTopic(quick.name(namespace), num_partitions=1, config=quick.broker_config())
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([topic])[topic.topic].result()
    _, gone = Sealer(Wrapping("secret"), b"").seal(encode_inbound(track("ann", event("e1"))))
    _, kept = Sealer(Wrapping("secret"), b"").seal(encode_inbound(track("dan", event("e2"))))
    assert gone is not None
    assert kept is not None
    write(settings, quick.name(namespace), [key_record(gone), key_record(kept)])
    keys = KeyLog(settings, namespace)
    keys.throw_away([gone.id])

    def is_forgotten() -> bool:
        keys.throw_away([NO_KEY])
        found = [(message.key(), message.value()) for message in read(settings, namespace, KEYS)]
        assert key_record(kept) in found
        return key_record(gone) not in found

    eventually(is_forgotten, 100)
