"""Heartbeats as users have them: real Kafka, real Valkey, processes that are killed, paused and given a wrong clock."""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from hub.chaos import clock
from hub.log.admin import ensure_topics
from hub.settings import Kafka
from hub.store.port import ended_ms
from schemas.heartbeats import Keys
from schemas.topics import TRIGGERS
from tests.factories import event, track
from tests.kafka_tools import eventually, write, write_events
from tests.live.bridge_site import Process, Site
from tests.live.whole_hub import ROOT
from tests.plain_http import NO_TLS
from tests.servers.running import Own, own
from workers.agents.events import event_id
from workers.agents.plan import SLICE

SECOND = "1s"


class Hub(Site):
    """A site with heartbeats; its topics have three partitions."""

    def __init__(self, kafka: str, namespace: str, redis_url: str, folder: Path) -> None:
        self.redis_url = redis_url
        ensure_topics(Kafka(bootstrap=kafka, partitions=3), namespace)
        super().__init__(kafka, namespace, redis_url, folder)

    def people(self, number: int, prefix: str = "p") -> list[str]:
        """So many profiles, which are there when it returns."""
        ids = [f"{prefix}{n:05d}" for n in range(number)]
        now_ms = time.time_ns() // 1_000_000
        write_events(
            self.kafka,
            self.namespace,
            (track(id, event(f"e-{id}", time_ms=now_ms, n=n), received_at_ms=now_ms) for n, id in enumerate(ids)),
        )
        eventually(lambda: self.count("profiles", f"id ~ '^{prefix}'") == number)
        return ids

    def count(self, kind: str, query: str) -> int:
        return int(self.get(f"/{kind}/count", q=query)["count"])

    def run(self, id: str) -> dict[str, Any]:
        """Run a heartbeat now, and wait until the run has ended."""
        asked: dict[str, Any] = self.post(f"/heartbeats/{id}/run", status=202)
        return self.ended(id, asked["run"])

    def ended(self, id: str, run: str) -> dict[str, Any]:
        """A run, once it has ended."""

        def look() -> dict[str, Any] | None:
            return next((one for one in self.runs(id) if one["id"] == run and one["ended_at"]), None)

        found = eventually(look)
        assert found is not None
        return found

    def runs(self, id: str) -> list[dict[str, Any]]:
        """Newest first."""
        runs: list[dict[str, Any]] = self.get(f"/heartbeats/{id}")["runs"]
        return runs

    def received(self) -> dict[tuple[str, str], int]:
        """How often each profile has got a heartbeat of a time: by profile and RFC 3339."""
        found: Counter[tuple[str, str]] = Counter()
        cursor = None
        while True:
            page = self.get("/events", q='source = "@heartbeat"', size=1000, **({"cursor": cursor} if cursor else {}))
            found.update((one["profile"]["id"], one["metadata"]["time"]["create"]) for one in page["items"])
            cursor = page["next"]
            if cursor is None:
                return dict(found)

    def settled(self) -> dict[str, int]:
        """What became of heartbeats, once everything that was sent is stored."""

        def look() -> dict[str, int] | None:
            sheet = self.get("/balance")
            if sheet["totals"]["in_flight"] or not sheet["balanced"]:
                return None
            return next((row for row in sheet["sources"] if row["source"] == "@heartbeat"), {"received": 0})

        found = eventually(look)
        assert found is not None
        return found

    def agents(self) -> list[Process]:
        """Agents processes."""
        return [process for process in self._started if process.log.name.startswith("agents-")]

    @contextmanager
    def crashing(self, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """Agents that end or hang in the middle; see `tests.crashing_agents`."""
        with (self.folder / "crashing.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.crashing_agents", *arguments],
                cwd=ROOT,
                env={**self._variables, **variables},
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


@contextmanager
def running(kafka: str, valkey: Own, folder: Path, *agents: str) -> Iterator[Hub]:
    """A hub with a collector, and agents of these names."""
    with closing(Hub(kafka, f"t{secrets.token_hex(6)}", valkey.url, folder)) as made:
        try:
            made.put("source", "shop", {})
            made.start("collector")
            for name in agents:
                made.start("agents", HUB_AGENTS__INSTANCE=name)
            yield made
        except BaseException:
            print(made.logs())
            raise


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def hub(kafka: str, valkey: Own, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """For tests that kill nothing."""
    with running(kafka, valkey, tmp_path_factory.mktemp("hub"), "one") as made:
        yield made


@pytest.fixture
def alone(kafka: str, valkey: Own, tmp_path: Path) -> Iterator[Hub]:
    """Without agents."""
    with running(kafka, valkey, tmp_path) as made:
        yield made


def test_a_run_reaches_everybody_who_matches_once(hub: Hub) -> None:
    """The events are ordinary ones: in the profile, in the balance, with the properties of the definition."""
    people = hub.people(SLICE + 7, "match")
    hub.put(
        "heartbeat",
        "check",
        {
            "event_type": "was-checked",
            "properties": {"why": "yearly"},
            "every": "52w",
            "condition": "id STARTS WITH match0",
        },
    )
    run = hub.run("check")
    assert (run["state"], run["by"], run["events"]) == ("done", "person", len(people))
    eventually(lambda: hub.count("events", "type = was-checked") == len(people))
    for id in (people[0], people[-1]):
        found = hub.get("/events", q=f'type = was-checked AND profile.id = "{id}"')["items"]
        assert [one["metadata"]["time"]["create"] for one in found] == [run["due_at"]]
        assert found[0]["properties"] == {"why": "yearly"}
        assert hub.get(f"/profiles/{id}")["stats"]["events"] == 2


def test_who_has_done_something_lately_is_left_out(hub: Hub) -> None:
    people = hub.people(20, "idle")
    now_ms = time.time_ns() // 1_000_000
    active, long_ago = people[:5], people[5:8]
    write_events(
        hub.kafka,
        hub.namespace,
        [track(id, event(f"a-{id}", "view", time_ms=now_ms - 60_000), received_at_ms=now_ms) for id in active]
        + [track(id, event(f"l-{id}", "view", time_ms=now_ms - 3_700_000), received_at_ms=now_ms) for id in long_ago],
    )
    eventually(lambda: hub.count("events", "type = view") == 8)
    hub.put(
        "heartbeat",
        "miss-you",
        {
            "event_type": "was-missed",
            "every": "52w",
            "condition": "id STARTS WITH idle0",
            "unless": {"event_type": "view", "within": "1h"},
        },
    )
    run = hub.run("miss-you")
    assert (run["events"], run["left_out"]) == (15, 5)
    eventually(lambda: hub.count("events", "type = was-missed") == 15)
    assert hub.count("events", f'type = was-missed AND profile.id = "{active[0]}"') == 0


def test_a_schedule_is_kept_without_anybody(hub: Hub) -> None:
    """At the full seconds, each of them once, all of the profiles."""
    people = hub.people(3, "tick")
    spec = {"event_type": "ticked", "every": SECOND, "condition": "id STARTS WITH tick0", "catch_up": "all"}
    saved = hub.put("heartbeat", "tick", spec)
    eventually(lambda: hub.count("events", "type = ticked") >= 9)
    hub.put("heartbeat", "tick", {**spec, "every": "52w"}, 200)
    eventually(lambda: all(run["state"] == "done" for run in hub.runs("tick")))
    hub.settled()
    ticks = {key: times for key, times in hub.received().items() if key[0] in people}
    assert set(ticks.values()) == {1}
    due = sorted({at for _, at in ticks})
    assert [one["due_at"] for one in reversed(hub.runs("tick"))] == due
    assert all(at.endswith(".000Z") for at in due)
    assert len(ticks) == 3 * len(due)
    assert saved["spec"]["enabled"] is True


def test_a_heartbeat_that_cannot_work_is_refused_with_the_arithmetic(hub: Hub) -> None:
    hub.people(30, "sum")
    answer = hub.http.put(
        "/definitions/heartbeat/slow",
        json={"event_type": "x", "every": "1s", "rate_limit": 10, "condition": "id STARTS WITH sum0"},
    )
    assert answer.status_code == 422
    assert "30 profiles at 10 events a second (rate_limit) take 3s, but it is due every 1s" in answer.json()["detail"]
    answer = hub.http.put("/definitions/heartbeat/odd", json={"event_type": "x", "every": "1s", "condition": "a >"})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("condition: line 1, column 4: ")


def test_what_is_paused_goes_on_where_it_was(hub: Hub) -> None:
    """At a hundred a second: it is paused in the middle of a run, and nobody gets two."""
    people = hub.people(150, "pause")
    hub.put(
        "heartbeat",
        "slowly",
        {"event_type": "went-slowly", "every": "52w", "condition": "id STARTS WITH pause0", "rate_limit": 100},
    )
    run = hub.post("/heartbeats/slowly/run", status=202)["run"]
    eventually(lambda: hub.count("events", "type = went-slowly") >= 25)
    assert hub.post("/heartbeats/slowly/pause")["state"] == "paused"
    eventually(lambda: hub.runs("slowly")[0]["state"] == "paused")
    assert hub.post("/heartbeats/slowly/run", status=409)["detail"].startswith("the heartbeat is paused")
    assert hub.count("events", "type = went-slowly") < len(people)
    hub.post("/heartbeats/slowly/resume")
    ended = hub.ended("slowly", run)
    assert (ended["state"], ended["events"]) == ("done", len(people))
    hub.settled()
    assert {times for (id, _), times in hub.received().items() if id in people} == {1}


def test_the_end_of_a_visit_is_told_once(hub: Hub) -> None:
    """Of a source that wants to be told; at the time of its last event, so that it is no longer for it."""
    now_ms = time.time_ns() // 1_000_000
    hub.put("source", "web", {"system_events": True})
    for source, session in (("web", "s-web"), ("shop", "s-shop"), ("web", "s-now")):
        minutes = 0 if session == "s-now" else 40
        at = [now_ms - (minutes + n) * 60_000 for n in (2, 1)]
        events = [event(f"{session}-{n}", "page-view", time_ms=ms) for n, ms in enumerate(at)]
        one = track(f"v-{session}", *events, session_id=session, source=source, received_at_ms=now_ms)
        write_events(hub.kafka, hub.namespace, [one])
    eventually(lambda: hub.count("sessions", "id STARTS WITH s-") == 3)
    hub.run("visit-ended")
    eventually(lambda: hub.get("/sessions/s-web")["metadata"]["status"] == "ended")
    hub.run("visit-ended")
    hub.settled()
    (told,) = hub.get("/events", q="type = visit-ended")["items"]
    session = hub.get("/sessions/s-web")
    assert (told["session"]["id"], told["profile"]["id"]) == ("s-web", "v-s-web")
    assert told["metadata"]["time"]["create"] == session["metadata"]["time"]["end"]
    assert session["metadata"]["time"]["duration_s"] == 60
    assert hub.get("/sessions/s-shop")["metadata"]["status"] != "ended"
    assert hub.get("/sessions/s-now")["metadata"]["status"] != "ended"


def test_a_trigger_that_nobody_can_read_becomes_a_dead_letter(hub: Hub) -> None:
    """And holds nobody up."""
    write(hub.kafka, TRIGGERS.name(hub.namespace), [(b"odd", b"\x00no trigger")])
    letters = eventually(lambda: hub.get("/dead-letters", q='source = "@agents"')["items"])
    assert letters[0]["reason"] == "undecodable_record"
    assert re.fullmatch(r"triggers:[012]:\d+", letters[0]["origin"])


def test_without_redis_they_say_what_is_missing(kafka: str, namespace: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hub", "agents"],
        cwd=ROOT,
        env={"HUB_KAFKA__BOOTSTRAP": kafka, "HUB_NAMESPACE": namespace, "HUB_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert "HUB_REDIS__URL is not set" in done.stderr


def once_each(hub: Hub, people: Sequence[str], due: str) -> None:
    """Everybody has this heartbeat, and nobody has it twice."""
    hub.settled()
    received = hub.received()
    assert {id for id, at in received if at == due} == set(people)
    assert set(received.values()) == {1}


@pytest.mark.long
@pytest.mark.parametrize("point", ["read", "sent", "noted"])
def test_killed_in_the_middle_again_and_again_everybody_has_it_once(alone: Hub, point: str) -> None:
    """Five times, each a page further, wherever in a page; then one does the rest."""
    people = alone.people(3 * SLICE + 11, "kill")
    alone.put("heartbeat", "hard", {"event_type": "was-hard", "every": "52w"})
    asked = None
    for _ in range(5):
        with alone.crashing("kill", point, "2", HUB_AGENTS__INSTANCE="one") as process:
            if asked is None:
                eventually(lambda: Redis.from_url(alone.redis_url).exists(Keys(alone.namespace).leader))
                asked = alone.post("/heartbeats/hard/run", status=202)
            assert process.wait(60) == -9
    assert asked is not None
    alone.start("agents", HUB_AGENTS__INSTANCE="one")
    run = alone.ended("hard", asked["run"])
    assert run["state"] == "done"
    once_each(alone, people, asked["due_at"])
    first = alone.get(f"/events/{event_id('hard', ended_ms(run['due_at']), people[0])}")
    assert first["profile"]["id"] == people[0]


@pytest.mark.long
def test_several_processes_share_a_run_and_the_death_of_the_leader_costs_nothing(
    kafka: str, valkey: Own, tmp_path: Path
) -> None:
    """Three agents; the one that leads is killed in the middle, another is stopped; a new one joins."""
    with running(kafka, valkey, tmp_path, "a", "b", "c") as hub:
        people = hub.people(5_000, "share")
        hub.put("heartbeat", "shared", {"event_type": "was-shared", "every": "52w", "rate_limit": 1_000})
        agents = hub.agents()
        asked = hub.post("/heartbeats/shared/run", status=202)
        eventually(lambda: hub.count("events", "type = was-shared") >= 500)
        leader = next(process for process in agents if process.ready()["leads"])
        leader.kill()
        others = [process for process in agents if process is not leader]
        eventually(lambda: any(process.ready()["leads"] for process in others))
        assert others[0].stop() == 0
        hub.start("agents", HUB_AGENTS__INSTANCE="d")
        run = hub.ended("shared", asked["run"])
        assert (run["state"], run["slices_failed"]) == ("done", 0)
        once_each(hub, people, asked["due_at"])


@pytest.mark.long
def test_agents_with_slices_in_hand_stop_at_once_and_others_do_these(kafka: str, valkey: Own, tmp_path: Path) -> None:
    """One has partitions taken away in the middle, as a second one joins; then each that has some is stopped."""
    with running(kafka, valkey, tmp_path, "a") as hub:
        people = hub.people(5_000, "hand")
        hub.put("heartbeat", "handed", {"event_type": "was-handed", "every": "52w", "rate_limit": 500})
        asked = hub.post("/heartbeats/handed/run", status=202)
        eventually(lambda: hub.count("events", "type = was-handed") >= 500)
        first = hub.agents()[0]
        second = hub.start("agents", HUB_AGENTS__INSTANCE="b")
        eventually(lambda: second.ready()["partitions"] and first.ready()["partitions"])
        assert first.stop() == 0
        third = hub.start("agents", HUB_AGENTS__INSTANCE="c")
        eventually(lambda: third.ready()["partitions"])
        assert second.stop() == 0
        run = hub.ended("handed", asked["run"])
        assert (run["state"], run["slices_failed"]) == ("done", 0)
        once_each(hub, people, asked["due_at"])


@pytest.mark.long
def test_a_leader_that_stands_still_and_goes_on_does_no_harm(kafka: str, valkey: Own, tmp_path: Path) -> None:
    """For longer than its lease and its session, in the middle of a run; of two processes there are three meanwhile."""
    with running(kafka, valkey, tmp_path, "a", "b") as hub:
        people = hub.people(5_000, "still")
        hub.put("heartbeat", "still", {"event_type": "was-still", "every": "52w", "rate_limit": 1_000})
        asked = hub.post("/heartbeats/still/run", status=202)
        eventually(lambda: hub.count("events", "type = was-still") >= 500)
        leader, other = sorted(hub.agents(), key=lambda process: not process.ready()["leads"])
        leader.popen.send_signal(signal.SIGSTOP)
        try:
            eventually(lambda: other.ready()["leads"])
            hub.start("agents", HUB_AGENTS__INSTANCE="c")
            run = hub.ended("still", asked["run"])
        finally:
            leader.popen.send_signal(signal.SIGCONT)
        assert (run["state"], run["slices_failed"]) == ("done", 0)
        eventually(lambda: not leader.ready()["leads"])
        again = hub.run("still")
        assert (again["state"], again["events"]) == ("done", len(people))
        once_each(hub, people, asked["due_at"])
        once_each(hub, people, again["due_at"])


@pytest.mark.long
def test_an_hour_back_and_forward_again(alone: Hub, tmp_path: Path) -> None:
    """Of the agents' clock: no due time comes twice, and none is left out between the first and the last."""
    people = alone.people(5, "clock")
    file = tmp_path / "clock"
    clock.make(file)
    alone.put("heartbeat", "ticks", {"event_type": "ticked", "every": "10m", "catch_up": "all"})
    agents = alone.start("agents", module=("hub.chaos.clock", str(file)))
    looks(agents)
    clock.set_ahead(file, 3_600)
    eventually(lambda: len(alone.runs("ticks")) >= 6)
    clock.set_ahead(file, 0)  # an hour back: whatever was due in it has been run
    looks(agents)
    clock.set_ahead(file, 5_400)
    eventually(lambda: len(alone.runs("ticks")) >= 9)
    eventually(lambda: all(run["state"] == "done" for run in alone.runs("ticks")))
    alone.settled()
    received = alone.received()
    assert set(received.values()) == {1}
    due = sorted({ended_ms(at) for _, at in received})
    assert [later - earlier for earlier, later in pairwise(due)] == [600_000] * (len(due) - 1)
    assert len(received) == len(due) * len(people)


def looks(process: Process, least: int = 6) -> None:
    """Until the leader has looked so often at what is due."""
    begun = steps(process)
    eventually(lambda: steps(process) >= begun + least)


def steps(process: Process) -> float:
    text = httpx.get(f"http://127.0.0.1:{process.port}/metrics", timeout=10, verify=NO_TLS).text
    found = re.search(r'^hub_agents_ticks_total\{tick="heartbeats"\} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.long
def test_one_that_hangs_ends_itself_and_another_goes_on(alone: Hub) -> None:
    """The watchdog sees that no step is made with slices, although runs of a flow come and go all the time."""
    people = alone.people(SLICE + 5, "hang")
    alone.put("heartbeat", "hangs", {"event_type": "was-hung", "every": "52w"})
    flow = {
        "triggers": [{"type": "event", "event_type": "tick"}],
        "nodes": {
            "start": {"type": "start", "to": {"out": "count"}},
            "count": {"type": "increment", "config": {"field": "traits.ticks", "by": 1}},
        },
    }
    alone.put("flow", "ticks", flow)
    with alone.crashing("hang", "sent", "2", HUB_AGENTS__INSTANCE="one", HUB_AGENTS__STUCK_S="4") as process:
        eventually(lambda: Redis.from_url(alone.redis_url).exists(Keys(alone.namespace).leader))
        asked = alone.post("/heartbeats/hangs/run", status=202)
        for number in range(10_000):  # each waits until the one before is stored
            if process.poll() is not None:
                break
            write_events(alone.kafka, alone.namespace, [track(people[0], event(f"tick{number}", "tick"))])
            eventually(lambda: alone.count("events", "type = tick") > number)  # noqa: B023 - asked now
        assert process.wait(60) == 70
    assert "agents.stuck" in (alone.folder / "crashing.log").read_text()
    alone.start("agents", HUB_AGENTS__INSTANCE="one")
    assert alone.ended("hangs", asked["run"])["state"] == "done"
    once_each(alone, people, asked["due_at"])
