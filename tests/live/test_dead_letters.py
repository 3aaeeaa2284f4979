"""Dead letters and their way back: an API and a collector on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from hub import ids
from hub.collector.crash import CrashPoint
from hub.edge.inbound import refused
from hub.errors import InvalidPayload
from hub.log.admin import ensure_topics
from hub.log.config import producer_config
from hub.settings import Kafka
from hub.store.factory import open_store
from schemas.codec import decode_dead_letter, decode_inbound, encode_inbound
from schemas.replays import Replay, read_replay, replay_header
from schemas.topics import DEAD, EVENTS
from tests import stores
from tests.factories import NOW_MS, event, track
from tests.kafka_tools import eventually, read, write
from tests.live.api import Running, running
from tests.live.collector import CRASHES, CollectorProcess, collector

pytestmark = pytest.mark.slow

MAPPING = {"profile": "who", "event": {"type": "kind", "time": "at", "properties": {"n": "n", "key": "meta('key')"}}}


def refusal(number: int, body: bytes, bridge: str = "b", origin: str = "") -> tuple[bytes, bytes]:
    """What a bridge makes of a message that it can make nothing else of."""
    key, record = refused(
        InvalidPayload("mapping_failed", "event.type: expected a text"),
        body=body,
        headers={"tenant": b"acme"},
        origin=origin or f"bridge:{bridge}:orders/0/{number}",
        source="shop",
        now_ms=NOW_MS,
        definitions_offset=-1,
        payload_id=f"message-{number}",
        key=b"k\xff",
        time_ms=NOW_MS - 1_000 + number,
    )
    return key, encode_inbound(record)


def message(number: int) -> bytes:
    return json.dumps({"n": number, "who": f"p{number % 3}"}).encode()


class Hub:
    """An API and a collector; `letters` waits for letters of messages 0 to N - 1."""

    def __init__(self, api: Running) -> None:
        self.api = api

    async def bury(self, *records: tuple[bytes, bytes]) -> None:
        before = await self.count("")
        await asyncio.to_thread(write, self.api.kafka, EVENTS.name(self.api.namespace), records)
        await self.until("", before + len(records))

    async def count(self, q: str, kind: str = "dead-letters") -> int:
        answer = await self.api.admin.get(f"/{kind}/count", params={"q": q})
        return int(answer.json()["count"])

    async def until(self, q: str, wanted: int, kind: str = "dead-letters") -> None:
        """Wait until so many match."""
        async with asyncio.timeout(60):
            while await self.count(q, kind) != wanted:  # noqa: ASYNC110 - the other process tells nobody
                await asyncio.sleep(0.02)

    async def letters(self, q: str = "") -> list[dict[str, Any]]:
        found = (await self.api.admin.get("/dead-letters", params={"q": q, "size": 1000})).json()["items"]
        return sorted(found, key=lambda letter: letter["origin"])

    async def replay(self, path: str = "replay", status: int = 200, **document: Any) -> dict[str, Any]:
        answer = await self.api.admin.post(f"/dead-letters/{path}", json=document)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    async def totals(self) -> dict[str, int]:
        """Of a balance that adds up."""
        sheet = (await self.api.admin.get("/balance", params={"verify": "true"})).json()
        assert sheet["balanced"], sheet
        return dict(sheet["totals"])


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Hub]:
    settings = Kafka(bootstrap=kafka, partitions=4)
    ensure_topics(settings, namespace)
    async with running(settings, namespace, tmp_path) as api:
        with collector(kafka, namespace, tmp_path):
            await api.define("source", "shop")
            await api.define("bridge", "b", type="kafka", source="shop", mapping=MAPPING)
            yield Hub(api)


MENDED = {**MAPPING, "event": {**MAPPING["event"], "type": "kind || 'counted'"}}  # type: ignore[dict-item]


async def test_letters_go_the_way_of_their_bridge_as_it_is_now(hub: Hub) -> None:
    """In the order of the source, with all that their mapping may use, once."""
    await hub.bury(*(refusal(n, message(n)) for n in range(10)))
    assert (await hub.replay(q="headers.tenant = acme", dry_run=True))["matched"] == 10
    # the mapping is as it was: they fail again
    answer = await hub.replay(q="")
    assert (answer["matched"], answer["refused"], answer["sent"], answer["next"]) == (10, 10, 0, None)
    assert answer["problems"][0]["reason"] == "mapping_failed"
    await hub.until("attempts = 2 AND status = open", 10)
    assert await hub.count("") == 10

    await hub.api.define("bridge", "b", type="kafka", source="shop", mapping=MENDED)
    answer = await hub.replay(q="source = shop")
    assert (answer["matched"], answer["sent"], answer["refused"], answer["skipped"]) == (10, 10, 0, 0)
    await hub.until("status = resolved", 10)
    assert await hub.count("type = counted", "events") == 10
    assert await hub.totals() == {
        "received": 30,
        "stored": 10,
        "duplicate": 0,
        "dropped": 0,
        "dead": 20,
        "in_flight": 0,
    }
    events = (await hub.api.admin.get("/events", params={"q": "profile.id = p0"})).json()["items"]
    assert [one["properties"]["n"] for one in events] == [9, 6, 3, 0]
    assert {one["properties"]["key"] for one in events} == {"k\N{REPLACEMENT CHARACTER}"}
    # the broker's time, as if they had come through the bridge
    assert events[-1]["metadata"]["time"]["create"] == "2026-05-28T20:26:39.000Z"
    assert events[0]["outcome"]["profile_version"] > events[-1]["outcome"]["profile_version"]

    assert (await hub.replay(q=""))["matched"] == 0
    # one by its id, though it is resolved: received, and known
    [first, *_] = await hub.letters()
    assert (await hub.replay(f"{first['id']}/replay"))["sent"] == 1
    async with asyncio.timeout(60):
        while (await hub.totals())["duplicate"] != 1:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    assert await hub.totals() == {
        "received": 31,
        "stored": 10,
        "duplicate": 1,
        "dropped": 0,
        "dead": 20,
        "in_flight": 0,
    }
    assert (await hub.letters())[0] == first


async def test_a_bulk_replay_goes_on_where_the_one_before_ended(hub: Hub) -> None:
    await hub.bury(*(refusal(n, message(n)) for n in range(7)))
    sizes, after = [], 0
    while after is not None:
        answer = await hub.replay(q="", mapping=MENDED, size=3, after=after)
        sizes.append(answer["sent"])
        after = answer["next"]
    assert sizes == [3, 3, 1]
    await hub.until("status = resolved", 7)


async def test_a_letter_may_be_edited(hub: Hub) -> None:
    """An edit that does not help is refused as /track refuses, and is no attempt."""
    await hub.bury(refusal(1, b'{"n": 1'))
    [letter] = await hub.letters()
    path = f"{letter['id']}/replay"
    problem = await hub.replay(path, 422, body='{"n": 1,')
    assert problem["reason"] == "not_json"
    problem = await hub.replay(path, 422, body="{}", body_base64="e30=")
    assert problem["where"] == "body_base64"
    assert (await hub.replay(path, 422, body_base64="é"))["where"] == "body_base64"
    half = await hub.api.admin.post(
        f"/dead-letters/{path}", content=b'{"body": "\\ud800"}', headers={"Content-Type": "application/json"}
    )
    assert (half.status_code, half.json()["reason"]) == (422, "lone_surrogate")
    assert (await hub.replay(path, 422, mapping={"event": {"type": "a b"}}))["detail"].startswith("the mapping")
    assert (await hub.replay("nobody/replay", 404))["reason"] == "not_found"
    assert (await hub.letters()) == [letter]

    assert (await hub.replay(path, body='{"n": 1, "who": "ann", "kind": "edited"}'))["sent"] == 1
    await hub.until("status = resolved", 1)
    assert await hub.count("type = edited AND profile.id = ann", "events") == 1
    [resolved] = await hub.letters()
    assert (resolved["body"], resolved["attempts"]) == ('{"n": 1', 1)
    assert (await hub.api.admin.get(f"/dead-letters/{letter['id']}/body")).content == b'{"n": 1'


async def test_a_letter_whose_bridge_is_gone_needs_a_mapping(hub: Hub) -> None:
    await hub.bury(refusal(1, message(1), "gone"))
    answer = await hub.replay(q="")
    assert (answer["matched"], answer["skipped"]) == (1, 1)
    assert "no bridge 'gone' is defined" in answer["problems"][0]["detail"]
    [letter] = await hub.letters()
    assert "no bridge 'gone'" in (await hub.replay(f"{letter['id']}/replay", 422))["detail"]
    assert await hub.letters() == [letter], "nothing was sent"
    await hub.api.define("bridge", "b:with:colons", type="kafka", source="shop", mapping=MENDED)
    await hub.bury(refusal(2, message(2), "b:with:colons"))
    assert (await hub.replay(q="origin = 'bridge:b:with:colons:orders/0/2'"))["sent"] == 1
    await hub.until("status = resolved", 1)
    assert (await hub.replay(q="", mapping=MENDED))["sent"] == 1
    await hub.until("status = resolved", 2)
    assert await hub.count("", "events") == 2
    # which mapping is wrong is said even if nothing matches
    assert "the mapping" in (await hub.replay(status=422, q="", mapping={"event": {"type": 1}}))["detail"]
    assert (await hub.replay(status=422, q="reason ="))["reason"] == "bad_query"
    assert (await hub.replay(status=422))["where"] == "body.q"


async def test_a_trigger_is_not_sent_again(hub: Hub) -> None:
    """It holds no event, whatever mapping is given."""
    await hub.bury(refusal(1, b"rubbish", origin="triggers:1:5"))
    [letter] = await hub.letters()
    for document in ({}, {"mapping": MENDED}, {"body": "x"}):
        said = (await hub.replay(f"{letter['id']}/replay", 422, **document))["detail"]
        assert "let the heartbeat or flow run again" in said
    assert await hub.letters() == [letter]


async def test_bytes_that_are_no_record_go_back_under_their_own_key(hub: Hub) -> None:
    """They fail again, as the same letter, and the balance counts both."""
    await hub.bury((b"key\xff", b"rubbish"))
    [letter] = await hub.letters()
    assert (letter["reason"], letter["stage"]) == ("undecodable_record", "collector")
    assert "Avro" in (await hub.replay(f"{letter['id']}/replay", 422, body="x"))["detail"]
    answer = await hub.replay(q="", mapping=MENDED)
    assert "no mapping applies" in answer["problems"][0]["detail"]
    assert (await hub.replay(q=""))["sent"] == 1
    await hub.until("attempts = 2", 1)
    records = await asyncio.to_thread(read, hub.api.kafka, hub.api.namespace, EVENTS)
    assert {(record.key(), record.value()) for record in records} == {(b"key\xff", b"rubbish")}
    assert [read_replay(record.headers()) for record in records] == [None, Replay(letter["id"], 2)]
    told = [
        decode_dead_letter(one.value() or b"")
        for one in await asyncio.to_thread(read, hub.api.kafka, hub.api.namespace, DEAD)
    ]
    assert [(one["id"], one["attempts"], one["key"]) for one in told] == [(letter["id"], n, b"key\xff") for n in (1, 2)]
    assert await hub.totals() == {"received": 2, "stored": 0, "duplicate": 0, "dropped": 0, "dead": 2, "in_flight": 0}


async def test_an_original_that_lies_in_the_store_is_replayed_whole(hub: Hub) -> None:
    """A message that is too large for a record is refused again, without its bytes on the log."""
    body = json.dumps({"n": "x" * 1_500_000, "who": "p", "kind": "large"}).encode()
    sha256 = await asyncio.to_thread(hub.api.store.put_blob, body)
    key, record = refused(
        InvalidPayload("body_too_large", "large"),
        body=body,
        headers={},
        origin="bridge:b:orders/0/1",
        source="shop",
        now_ms=NOW_MS,
        definitions_offset=-1,
        body_sha256=sha256,
    )
    await hub.bury((key, encode_inbound(record)))
    assert (await hub.replay(q=""))["problems"][0]["reason"] == "body_too_large"
    await hub.until("attempts = 2", 1)
    [letter] = await hub.letters()
    assert (letter["body_sha256"], letter["body_size"]) == (sha256, len(body))
    records = await asyncio.to_thread(read, hub.api.kafka, hub.api.namespace, EVENTS)
    assert all(len(one.value() or b"") < 1_000 for one in records)
    assert (await hub.replay(f"{letter['id']}/replay", body='{"n": 1, "who": "p", "kind": "small"}'))["sent"] == 1
    await hub.until("status = resolved", 1)


@pytest.mark.parametrize("point", CRASHES)
def test_kill_the_collector_among_replays(point: CrashPoint, kafka: str, namespace: str, tmp_path: Path) -> None:
    """Each attempt counts once, whatever is read again."""
    settings = Kafka(bootstrap=kafka, partitions=1)
    ensure_topics(settings, namespace)
    topic = EVENTS.name(namespace)
    producer = Producer(producer_config(settings))
    buried = [refusal(n, message(n)) for n in range(100)]
    for key, value in buried:
        producer.produce(topic, value, key)
    store_url = stores.store_url(tmp_path, namespace)
    letters = [ids.derived("dead", decode_inbound(value)["id"]) for _, value in buried]
    for (key, value), id in zip(buried, letters, strict=True):
        producer.produce(topic, value, key, headers=[replay_header(Replay(id, 2))])
    for number, id in enumerate(letters[:60]):
        value = encode_inbound(track(f"p{number}", event(f"e{number}")))
        producer.produce(topic, value, b"p", headers=[replay_header(Replay(id, 3))])
    assert producer.flush(30) == 0
    command = [sys.executable, "-m", "tests.crashing_collector", kafka, namespace, store_url]
    assert subprocess.run([*command, point, "4"], timeout=60, check=False).returncode == -signal.SIGKILL
    survivor = subprocess.Popen(command)
    try:
        store = open_store(store_url, readonly=True)
        eventually(lambda: sum(store.latest_progress()[1].values()) == 260)
    finally:
        survivor.send_signal(signal.SIGTERM)
        assert survivor.wait(30) == 0
    assert store.count("dead-letters", "attempts = 2") == store.count("dead-letters", "") == 100
    assert store.count("dead-letters", "status = resolved") == store.count("events", "") == 60
    assert store.count_open_dead_letters("") == 40
    told: dict[tuple[str, int], set[bytes]] = {}
    for one in read(settings, namespace, DEAD):
        record = decode_dead_letter(one.value() or b"")
        told.setdefault((record["id"], record["attempts"]), set()).add(one.value() or b"")
    assert set(told) == {(id, attempt) for id in letters for attempt in (1, 2)}
    assert all(len(values) == 1 for values in told.values()), "told twice, but not the same"
    store.close()


def test_the_collector_stops_when_most_of_the_log_is_unreadable(
    kafka: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it drains the topic into the dead letters; a person may say that it shall."""
    settings = Kafka(bootstrap=kafka, partitions=1)
    ensure_topics(settings, namespace)
    good = [(b"p1", encode_inbound(track("p1", event(f"e{n}")))) for n in range(800)]
    write(settings, EVENTS.name(namespace), good + [(b"p1", b"rubbish %d" % n) for n in range(5_000)])
    stopped = CollectorProcess(kafka, namespace, tmp_path)
    assert stopped.process.wait(60) == 78
    said = stopped.log.read_text()
    assert "of the last" in said
    assert "undecodable_record" in said
    assert "HUB_COLLECTOR__STOP_SHARE=1" in said
    store = open_store(stores.store_url(tmp_path, namespace), readonly=True)
    assert store.count("dead-letters", "") < 2_000
    progress = sum(store.latest_progress()[1].values())
    assert progress == store.count("dead-letters", "") + store.count("events", "")

    monkeypatch.setenv("HUB_COLLECTOR__STOP_SHARE", "1")
    with collector(kafka, namespace, tmp_path):
        eventually(lambda: store.count("dead-letters", "") == 5_000)
    assert store.count("events", "") == 800
    store.close()
