"""What a run does inside the hub, through a real Kafka, collector and store: once, whatever is sent again or killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hub.flows.effects import ChangeField, ChangeSegment, Effect, MergeProfiles, RaiseEvent
from hub.flows.loops import raised_by
from hub.flows.records import FLOW, records
from hub.flows.run import run_id
from hub.flows.trace import Fired
from hub.log.admin import LogAdmin
from hub.pipeline.flow_changes import TYPE
from hub.settings import Kafka
from schemas.codec import decode_stored
from schemas.records import Inbound
from schemas.topics import STORED
from tests import stores
from tests.factories import NOW_MS, event, track
from tests.kafka_tools import eventually, read, write_events
from tests.live.api import running
from tests.live.collector import collector

RUN = run_id("tea", 3, Fired("e1", "event", NOW_MS))
ABOUT = {"id": "tea", "version": 3, "run": RUN}


def leg(*, at_ms: int) -> list[Inbound]:
    """What the run does: it is made again, at another time, as whoever made it was killed before it was noted."""
    effects: list[tuple[str, Effect]] = [
        ("gift", ChangeField("set", "traits.gift", "tea")),
        ("count", ChangeField("increment", "stats.gifts", 1)),
        ("list", ChangeField("append", "traits.gifts", "tea")),
        ("friends", ChangeSegment("friends", enters=True)),
        ("tell", RaiseEvent("x1", "gift-given", "ann", "", {"gift": "tea"}, raised_by(ABOUT, 1))),
        ("same", MergeProfiles("m1", "bob")),
    ]
    made = records(RUN, "tea", 3, "ann", "s1", effects, now_ms=NOW_MS + at_ms, definitions_offset=-1)
    return [record for _, record in made]


@pytest.mark.slow
async def test_a_run_that_is_made_again_and_a_collector_that_is_killed_change_a_profile_once(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    settings = Kafka(bootstrap=kafka, partitions=2)
    async with running(settings, namespace, tmp_path) as hub:
        assert (await hub.define("segment", "friends", name="Friends")).status_code == 201

        def done() -> bool:
            ends = {number: end for number, (_, end) in LogAdmin(settings, namespace).offsets().items() if end}
            progress = hub.store.latest_progress()[1]
            return all(progress.get(number) == end for number, end in ends.items())

        def merged() -> bool:
            found = hub.store.get("profiles", "bob")
            return found is not None and len(found["ids"]) == 2

        def send(*some: Inbound) -> None:
            write_events(settings, namespace, some)

        with collector(kafka, namespace, tmp_path):
            people = [track(id, event(f"e-{id}", time_ms=NOW_MS), definitions_offset=0) for id in ("ann", "bob")]
            await asyncio.to_thread(send, *people)
            await asyncio.to_thread(eventually, done)
        await asyncio.to_thread(send, *leg(at_ms=1_000)[:2])
        store_url = stores.store_url(tmp_path, namespace)
        command = [sys.executable, "-m", "tests.crashing_collector", kafka, namespace, store_url, "written", "1"]
        dead = await asyncio.to_thread(subprocess.run, command, timeout=60, check=False)
        assert dead.returncode == -signal.SIGKILL
        await asyncio.to_thread(send, *leg(at_ms=3_600_000))
        with collector(kafka, namespace, tmp_path, name="survivor"):
            await asyncio.to_thread(eventually, merged)  # its steps are sent once what led to them is written
            await asyncio.to_thread(eventually, done)

        profile = (await hub.admin.get("/profiles/ann")).json()
        assert profile["traits"] == {"gift": "tea", "gifts": ["tea"]}
        assert profile["stats"]["gifts"] == 1
        assert (profile["segments"], sorted(profile["ids"])) == (["friends"], ["ann", "bob"])
        because = (await hub.admin.get("/profiles/bob/identity")).json()["merges"][0]["because"]
        assert (because["kind"], because["label"]) == ("request", "flow/tea")

        found = (await hub.admin.get("/events", params={"q": f'source = "{FLOW}"'})).json()["items"]
        assert sorted(one["type"] for one in found) == [TYPE, "gift-given"]
        (changed,) = [one for one in found if one["type"] == TYPE]
        assert (changed["properties"]["flow"], changed["properties"]["run"]) == ("tea", RUN)
        assert profile["metadata"]["fields"]["traits.gift"][1] == changed["id"]
        story = (await hub.admin.get(f"/events/{changed['id']}/trace")).json()
        assert (story["edge"]["door"], story["edge"]["coordinates"]) == ("flow", RUN)
        fields = {one["field"]: one["mappings"] for one in story["mappings"]["changes"]}
        assert fields.keys() == {"traits.gift", "stats.gifts", "traits.gifts"}
        assert all(by == [{"id": "flow/tea", "version": 3, "changed_since": False}] for by in fields.values())

        sheet = (await hub.admin.get("/balance", params={"verify": "true"})).json()
        assert sheet["balanced"]
        (row,) = [row for row in sheet["sources"] if row["source"] == FLOW]
        assert (row["received"], row["stored"], row["duplicate"]) == (4, 2, 2)
        told = {
            record["id"]: record
            for record in (decode_stored(message.value() or b"") for message in read(settings, namespace, STORED))
        }
        assert told[changed["id"]]["segments_entered"] == ["friends"]
        assert msgspec.json.decode(told[changed["id"]]["event"])["properties"]["run"] == RUN
        assert sum(one["type"] == "segment-entered" for one in told.values()) == 1
