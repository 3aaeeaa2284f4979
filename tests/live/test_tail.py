"""The live tail on a real stored.v1: what it shows, to whom, how much, and what it does when something is away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from hub.log.admin import ensure_topics
from hub.model import FOREVER_MS, Void
from hub.pipeline.privacy import PROFILE, mark
from hub.settings import Kafka
from schemas.topics import STORED
from tests.destinations import event_id, record, store
from tests.kafka_tools import write
from tests.live.api import KEY, Running, running
from tests.live.collector import collector
from tests.live.listening import WITHIN_S, Ear, listening
from tests.live.test_api_admin import is_problem
from tests.live.test_api_process import api, client_of
from tests.servers.running import own


@pytest.fixture
async def hub(kafka, namespace, tmp_path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka, partitions=4), namespace, tmp_path, listeners=3) as running_hub:
        yield running_hub


def numbers(ear: Ear) -> list[int]:
    return [row["properties"]["number"] for row in ear.of("message")]


def heard(*wanted: int):
    return lambda ear: sorted(numbers(ear)) == sorted(wanted)


async def test_it_shows_what_is_stored_from_now_on_with_what_a_row_needs(hub):
    await asyncio.to_thread(store, hub.kafka, hub.namespace, [0])
    async with listening(hub.admin) as ear:
        await asyncio.to_thread(store, hub.kafka, hub.namespace, range(1, 4))
        await ear.until(heard(1, 2, 3))
        assert {row["id"] for row in ear.of("message")} == {event_id(number) for number in range(1, 4)}
        (row,) = [row for row in ear.of("message") if row["properties"]["number"] == 2]
        assert row | {"time": "", "received_at": ""} == {
            "id": event_id(2),
            "type": "purchase",
            "source": "shop",
            "profile_id": "p2",
            "session_id": None,
            "profile_version": 2,
            "time": "",
            "received_at": "",
            "segments_entered": [],
            "segments_left": [],
            "properties": {"number": 2},
            "properties_left_out": 0,
        }
        assert row["time"] == row["received_at"]
        # a second that is over says how much there was
        await ear.until(lambda ear: sum(told["shown"] for told in ear.of("summary")) == 3)
        assert sum(told["stored"] for told in ear.of("summary")) == 3


async def test_each_listener_has_its_own_filter_and_its_own_sample(hub):
    async with (
        listening(hub.admin, q="properties.number >= 10 AND properties.number < 12") as few,
        listening(hub.admin, rate=5) as sampled,
    ):
        await asyncio.to_thread(store, hub.kafka, hub.namespace, range(1, 501))

        def all_of_them(ear: Ear) -> bool:
            return sum(told["stored"] for told in ear.of("summary")) == 500

        await few.until(lambda ear: all_of_them(ear) and heard(10, 11)(ear))
        await sampled.until(all_of_them)
        assert sum(told["matched"] for told in few.of("summary")) == 2
        assert sum(told["matched"] for told in sampled.of("summary")) == 500
        seconds = sampled.of("summary")
        assert 5 <= sum(told["shown"] for told in seconds) == len(sampled.of("message"))
        assert all(told["shown"] <= 5 == told["rate"] for told in seconds)


async def test_a_filter_that_cannot_be_read_is_refused_with_its_place(hub):
    problem = is_problem(await hub.admin.get("/tail", params={"q": "type = purchase AND AND"}), 422, "bad_query")
    assert (problem["line"], problem["column"]) == (1, 24)
    is_problem(await hub.admin.get("/tail", params={"q": "profil.id = 'a'"}), 422, "bad_query")
    is_problem(await hub.admin.get("/tail", params={"rate": "201"}), 422, "wrong_type")
    is_problem(await hub.public.get("/tail"), 401, "unauthorized")


async def test_no_more_listen_than_may_and_who_goes_makes_room_at_once(hub):
    async with listening(hub.admin), listening(hub.admin):
        async with listening(hub.admin):
            problem = is_problem(await hub.admin.get("/tail"), 503, "unavailable")
            assert "HUB_API__TAIL_LISTENERS" in problem["detail"]
        async with asyncio.timeout(WITHIN_S):
            while (await _status(hub)) == 503:
                pass


async def _status(hub: Running) -> int:
    async with hub.admin.stream("GET", "/tail") as answer:
        return answer.status_code


async def test_when_the_last_has_gone_nothing_is_read_and_the_next_one_begins_anew(hub):
    async with listening(hub.admin) as ear:
        await asyncio.to_thread(store, hub.kafka, hub.namespace, [1])
        await ear.until(heard(1))
    async with asyncio.timeout(WITHIN_S):
        while "hub_tail_listeners 0.0" not in (await hub.public.get("/metrics")).text:
            pass
    await asyncio.to_thread(store, hub.kafka, hub.namespace, [2])
    async with listening(hub.admin) as ear:
        await asyncio.to_thread(store, hub.kafka, hub.namespace, [3])
        await ear.until(heard(3))


async def test_another_namespaces_events_are_not_shown(hub, kafka, namespace):
    others = f"{namespace}-x"
    ensure_topics(hub.kafka, others)
    async with listening(hub.admin) as ear:
        await asyncio.to_thread(store, hub.kafka, others, [1])
        await asyncio.to_thread(store, hub.kafka, hub.namespace, [2])
        await ear.until(heard(2))
        await ear.until(lambda ear: sum(told["stored"] for told in ear.of("summary")) == 1)


async def test_whoever_was_erased_is_not_shown(hub):
    """Though stored.v1 still has it."""
    gone = mark(PROFILE, "p1", hub.catalogue.identity_key)
    hub.store.keep_voids([Void(gone, 0, FOREVER_MS, "order")], [])
    async with listening(hub.admin) as ear:
        await asyncio.to_thread(store, hub.kafka, hub.namespace, [1, 2, 3, 4])
        await ear.until(heard(2, 3))
        await ear.until(lambda ear: sum(told["withheld"] for told in ear.of("summary")) == 2)
        assert heard(2, 3)(ear)


async def test_what_is_no_record_of_ours_is_left_out(hub):
    async with listening(hub.admin) as ear:
        key, value = record(1)
        records = [(key, b"nonsense"), (key, value[:40]), (key, None), record(2)]
        await asyncio.to_thread(write, hub.kafka, STORED.name(hub.namespace), records)
        await ear.until(heard(2))


async def test_a_key_that_is_taken_away_hears_no_more(hub):
    made = await hub.admin.post("/api-keys", json={"id": "reader", "roles": ["read"]})
    key = {"Authorization": f"Bearer {made.json()['key']}"}
    async with listening(hub.public, key) as ear:
        assert (await hub.admin.delete("/api-keys/reader")).is_success
        await ear.until(lambda ear: ear.ended)
        assert ear.of("state")[-1]["state"] == "ended"
        assert "key" in ear.of("state")[-1]["detail"]


@pytest.mark.slow
async def test_while_kafka_is_away_it_says_so_and_goes_on_when_it_is_back(namespace, tmp_path):
    with own("kafka", tmp_path / "kafka") as server:
        kafka = Kafka(bootstrap=server.url.removeprefix("kafka://"))
        async with running(kafka, namespace, tmp_path, listeners=1) as hub, listening(hub.admin) as ear:
            await asyncio.to_thread(server.kill)
            await ear.until(lambda ear: ear.of("state")[-1]["state"] == "waiting")
            assert "Kafka does not answer" in ear.of("state")[-1]["detail"]
            server.start()
            await ear.is_live()
            await asyncio.to_thread(store, kafka, namespace, [1])
            await ear.until(heard(1))


def test_the_command_shows_events_a_line_each_until_the_process_stops(kafka, namespace, tmp_path):
    """With all that is between an event's sender and whoever listens."""
    environment = {**os.environ, "HUB_KEY": KEY, "HUB_DATA": str(tmp_path), "NO_COLOR": "1"}
    event = {"type": "purchase", "properties": {"price": 5, "name": "a\x1b[2Jb"}}
    sent = {"source": "shop", "profile": {"id": "ann"}, "events": [{"type": "view"}, event]}
    with (
        collector(kafka, namespace, tmp_path),
        # requests may take longer than we wait for its end
        api(kafka, namespace, tmp_path, HUB_KAFKA__DELIVERY_TIMEOUT_S="300") as process,
        client_of(process) as client,
    ):
        assert client.put("/definitions/source/shop", json={}).is_success
        command = [sys.executable, "-m", "hub", "tail", "--url", str(client.base_url), "--q", "type = purchase"]
        with (
            subprocess.Popen([*command, "--json", "--events", "1"], env=environment, stdout=subprocess.PIPE) as one,
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as all_of_them,
        ):
            assert one.stdout is not None
            assert all_of_them.stdout is not None
            lines: list[bytes] = []
            reading = threading.Thread(target=lambda: lines.append(all_of_them.stdout.readline()))
            reading.start()
            # when they have begun to listen only they know
            while one.poll() is None or not lines:
                assert client.post("/track", json=sent).is_success
                reading.join(0.2)
            row = json.loads(one.stdout.read())
            assert (row["type"], row["profile_id"]) == ("purchase", "ann")
            assert b" purchase shop ann " in lines[0]
            assert b"\x1b" not in lines[0]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, "whoever listens holds nothing up"
            assert b"this process ends" in all_of_them.communicate(timeout=30)[1]
