"""Profiles that turn out to be one person: over REST, with several collectors, killed wherever it hurts."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.cli.trace import lines
from hub.collector.crash import CrashPoint
from hub.log.admin import LogAdmin, ensure_topics
from hub.log.partitions import partition_of_key
from hub.settings import Kafka
from hub.store import Store, open_store
from schemas.records import Inbound
from tests import stores
from tests.factories import NOW_MS, event, totals, track
from tests.kafka_tools import define, eventually, write_events
from tests.live.api import Running, running
from tests.live.collector import CRASHES, collector

POINT = {"event_type": "sign-in", "identifiers": [{"event": "properties.email", "kind": "email"}]}
FIELDS = {
    "event_type": "sign-in",
    "fields": [
        {"event": "properties.n", "profile": "traits.sum", "op": "add"},
        {"event": "properties.city", "profile": "traits.city"},
    ],
}


def prepared(kafka: str, namespace: str, partitions: int = 4) -> Kafka:
    settings = Kafka(bootstrap=kafka, partitions=partitions)
    ensure_topics(settings, namespace)
    define(settings, namespace, "mapping", "sum", FIELDS)
    define(settings, namespace, "identification-point", "mail", POINT)
    return settings


def sign_in(id: str, profile_id: str, email: str = "", **properties: Any) -> Inbound:
    if email:
        properties["email"] = email
    one = event(id, "sign-in", time_ms=NOW_MS, **properties)
    return track(profile_id, one, definitions_offset=1, session_id=f"s-{profile_id}")


async def sent(hub: Running, profile: str, session: str, **properties: Any) -> None:
    """Over REST, and acknowledged."""
    body = {
        "source": {"id": "shop"},
        "profile": {"id": profile},
        "session": {"id": session},
        "events": [{"type": "sign-in", "properties": properties}],
    }
    assert (await hub.public.post("/track", json=body)).status_code == 200


def done(store: Store, settings: Kafka, namespace: str) -> Callable[[], bool]:
    """Whether the collectors have come to the end of the log, merges and what was forwarded included."""
    log = LogAdmin(settings, namespace)

    def level() -> bool:
        ends = {number: end for number, (_, end) in log.offsets().items() if end}
        progress = store.latest_progress()[1]
        return all(progress.get(number) == end for number, end in ends.items())

    return level


async def test_two_profiles_are_one_and_two_again(kafka: str, namespace: str, tmp_path: Path) -> None:
    """By an address, however it is written; any id answers; the graph says why; the merge can be undone."""
    settings = prepared(kafka, namespace)
    with collector(kafka, namespace, tmp_path):
        async with running(settings, namespace, tmp_path) as hub:
            level = done(hub.store, settings, namespace)
            await hub.admin.put("/definitions/source/shop", json={"type": ["rest"]})

            send = partial(sent, hub)
            await send("bob", "s1", n=1, email="Ann@Example.com")
            eventually(lambda: hub.store.count("events", "") == 1)
            await send("ann", "s2", n=2, email=" ann@example.COM")
            eventually(lambda: hub.store.count("profiles", "traits.sum = 3") == 1)
            await send("bob", "s1", n=4, city="Rome")
            eventually(lambda: hub.store.count("events", "") == 3 and level())

            for id in ("ann", "bob"):
                profile = (await hub.admin.get(f"/profiles/{id}")).json()
                assert (profile["id"], profile["traits"]["sum"], profile["stats"]["events"]) == ("ann", 7, 3)
            identity = (await hub.admin.get("/profiles/bob/identity")).json()
            assert (identity["id"], identity["asked_for"], identity["ids"]) == ("ann", "bob", ["ann", "bob"])
            (identifier,) = identity["identifiers"]
            assert (identifier["label"], identifier["profiles"], identifier["shared"]) == ("email", 2, False)
            assert "example" not in str(identity)
            (merge,) = identity["merges"]
            assert (merge["loser_id"], merge["survivor_id"], merge["undone_at"]) == ("bob", "ann", None)
            because = (await hub.admin.get(f"/events/{merge['because']['event_id']}")).json()
            assert because["outcome"]["identity"][0]["did"] == "merged"

            assert (await hub.admin.post("/profiles/ann/merge", json={"profile": "bob"})).status_code == 409
            assert (await hub.admin.post("/profiles/ann/merge", json={"profile": "zoe"})).status_code == 404
            assert (await hub.admin.post("/merges/none/undo")).status_code == 404
            assert (await hub.admin.post(f"/merges/{merge['id']}/undo")).status_code == 202
            eventually(lambda: hub.store.count("profiles", "") == 2)
            ann, bob = [(await hub.admin.get(f"/profiles/{id}")).json() for id in ("ann", "bob")]
            assert (ann["id"], ann["traits"]["sum"], ann["ids"]) == ("ann", 2, ["ann"])
            assert (bob["id"], bob["traits"], bob["stats"]["events"]) == ("bob", {"sum": 5, "city": "Rome"}, 2)
            assert (await hub.admin.post(f"/merges/{merge['id']}/undo")).status_code == 409

            await send("bob", "s1", n=8, email="ann@example.com")
            eventually(lambda: hub.store.count("events", "") == 4 and level())
            assert hub.store.count("profiles", "") == 2
            bob = (await hub.admin.get("/profiles/bob")).json()
            assert bob["traits"]["sum"] == 13

            assert (await hub.admin.post("/profiles/bob/merge", json={"profile": "ann"})).status_code == 202
            eventually(lambda: hub.store.count("profiles", "traits.sum = 15") == 1 and level())
            assert hub.store.count("profiles", "") == 1
            sheet = (await hub.admin.get("/balance")).json()
            assert sheet["balanced"], sheet
            assert sheet["totals"]["received"] == sheet["totals"]["stored"] == 4


async def test_a_session_is_of_the_profile_that_came_with_it_first(kafka: str, namespace: str, tmp_path: Path) -> None:
    """Two profiles on two partitions, each with its collector: the other's events end with the holder, counted once."""
    assert partition_of_key(b"dan", 2) != partition_of_key(b"bob", 2)
    settings = prepared(kafka, namespace, partitions=2)
    async with running(settings, namespace, tmp_path) as hub:
        level = done(hub.store, settings, namespace)
        await hub.admin.put("/definitions/source/shop", json={"type": ["rest"]})

        async def send(profile: str, id: str, n: int) -> dict[str, Any]:
            one = {"id": id, "type": "sign-in", "properties": {"n": n, "email": f"{profile}@example.com"}}
            body = {"source": {"id": "shop"}, "profile": {"id": profile}, "session": {"id": "s"}, "events": [one]}
            answer = await hub.public.post("/track", json=body)
            assert answer.status_code == 200
            found: dict[str, Any] = answer.json()
            return found

        with (
            collector(kafka, namespace, tmp_path, name="one") as one,
            collector(kafka, namespace, tmp_path, name="two") as two,
        ):
            eventually(lambda: all("partitions.assigned" in each.log.read_text() for each in (one, two)))
            await send("bob", "b1", 1)
            eventually(lambda: hub.store.count("events", "") == 1)
            for again in range(2):  # the second time they are duplicates, whichever way they go
                await send("dan", "a1", 2)
                await send("bob", "b2", 4)
                eventually(lambda n=again: totals(hub.store)["received"] == 3 + 2 * n and level())

        assert totals(hub.store) == {"received": 5, "stored": 3, "duplicate": 2, "dropped": 0, "dead": 0}
        sheet = (await hub.admin.get("/balance?verify=true")).json()
        assert sheet["balanced"], sheet
        bob = (await hub.admin.get("/profiles/bob")).json()
        assert (bob["traits"]["sum"], bob["stats"], bob["ids"]) == (7, {"events": 3, "visits": 1}, ["bob"])
        assert (await hub.admin.get("/profiles/dan")).status_code == 404
        assert (await hub.admin.get("/sessions/s")).json()["stats"]["events"] == 3
        query = {"q": "profile.id = bob AND metadata.sent_as = dan"}
        (event,) = (await hub.admin.get("/events", params=query)).json()["items"]
        story = (await hub.admin.get(f"/events/{event['id']}/trace")).json()
        assert (story["identity"]["sent_as"], story["identity"]["forwarded_for"]) == ("dan", "session")
        assert (story["profile"]["id"], story["session"]["profile"]) == ("bob", "bob")
        assert story["validation"]["flags"] == []
        assert any("sent as   dan, forwarded to the profile that holds the session" in line for line in lines(story))


@pytest.mark.slow
@pytest.mark.parametrize("point", CRASHES[1:])
def test_kill_in_the_middle_of_merges(point: CrashPoint, kafka: str, namespace: str, tmp_path: Path) -> None:
    """Every tenth profile is one person with the others of its ten: exact, wherever the collector dies."""
    settings = prepared(kafka, namespace, partitions=3)
    people, each = 12, 5
    sent = []
    for n in range(people * each * 4):
        person, profile = n % people, f"p{n % (people * each):03d}"
        sent.append(sign_in(f"e{n}", profile, f"w{person}@example.com" if n % 7 else "", n=n))
    write_events(settings, namespace, sent)
    store_url = stores.store_url(tmp_path, namespace)
    command = [sys.executable, "-m", "tests.crashing_collector", kafka, namespace, store_url]
    for hit in ("2", "3"):
        assert subprocess.run([*command, point, hit], timeout=60, check=False).returncode == -signal.SIGKILL
    survivor = subprocess.Popen(command)
    store = open_store(store_url, readonly=True)
    wanted = {}
    for person in range(people):
        ids = sorted({f"p{n % (people * each):03d}" for n in range(len(sent)) if n % people == person})
        total = sum(n for n in range(len(sent)) if n % people == person)
        wanted |= dict.fromkeys(ids, (ids[0], ids, total, len(sent) // people))

    def made() -> dict[str, tuple[object, ...]]:
        """By each id, the profile that it leads to."""
        found = {id: store.get("profiles", id) for id in wanted}
        return {
            id: (one["id"], sorted(one["ids"]), one["traits"].get("sum"), one["stats"]["events"])
            for id, one in found.items()
            if one is not None
        }

    try:
        # the last record of the log may be one whose events are yet to be forwarded: its end alone says too little
        level = done(store, settings, namespace)
        eventually(lambda: level() and store.count("profiles", "") == people and made() == wanted)
    finally:
        survivor.send_signal(signal.SIGTERM)
        assert survivor.wait(30) == 0
    assert made() == wanted
    assert totals(store) == {"received": len(sent), "stored": len(sent), "duplicate": 0, "dropped": 0, "dead": 0}
    store.close()


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_a_thousand_profiles_become_one_with_a_hundred_thousand_events_in_flight(
    kafka: str, namespace: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Nothing is lost, and no profile is left over, with two collectors that take turns on what the other forwards."""
    settings = prepared(kafka, namespace)
    events, profiles = 100_000, 1_000
    order = random.Random(7)
    ids = [f"p{n:04d}" for n in range(profiles)]
    sent = [
        sign_in(f"e{n}", ids[n] if n < profiles else order.choice(ids), "one@example.com" if n < profiles else "", n=n)
        for n in range(events)
    ]
    order.shuffle(sent)
    write_events(settings, namespace, sent)
    store = open_store(stores.store_url(tmp_path, namespace))
    with ExitStack() as stack:
        began = time.monotonic()
        for name in ("one", "two"):
            stack.enter_context(collector(kafka, namespace, tmp_path, name=name))
        level = done(store, settings, namespace)
        eventually(lambda: level() and store.count("profiles", "") == 1, within_s=1_000)
        took = time.monotonic() - began
    record_property("took_s", took)
    print(f"merge of {profiles:,} profiles with {events:,} events in flight: {took:.1f} s")
    profile = store.get("profiles", "p0999")
    assert profile is not None
    assert (profile["id"], sorted(profile["ids"])) == ("p0000", ids)
    assert profile["traits"]["sum"] == sum(range(events))
    assert profile["stats"]["events"] == events
    assert totals(store) == {"received": events, "stored": events, "duplicate": 0, "dropped": 0, "dead": 0}
    store.close()
