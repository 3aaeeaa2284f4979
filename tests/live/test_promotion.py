"""`hub replay --promote` on a real Kafka: live gets the shadow's profiles and definitions, or stays as it was."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.definitions.catalogue import Catalogue
from hub.errors import Refused
from hub.log.follower import Follower
from hub.replay.bounds import BEGINNING
from hub.replay.definitions import specs_of
from hub.replay.report import Report
from hub.replay.run import replay
from hub.replay.source import Step
from tests.factories import NOW_MS, event, track
from tests.kafka_tools import define, eventually, write_events
from tests.live.collector import CollectorProcess
from tests.live.replayed import MOST, PROFILES, SUM, TIMES, Live, definitions, tables
from tests.live.whole_hub import HUB, environment, whole_hub
from tests.plain_http import NO_TLS
from tests.unit.test_privacy import order

pytestmark = pytest.mark.slow


class Collectors:
    """One `hub collector` after the other, as a supervisor starts them."""

    def __init__(self, start: Callable[[], CollectorProcess]) -> None:
        self._start = start
        self.current = start()

    def again(self) -> int:
        """Wait for the end of the one that runs, and start the next. Returns the exit code."""
        code = self.current.process.wait(60)
        self.current = self._start()
        return code


@pytest.fixture
def live(kafka: str, namespace: str, tmp_path: Path) -> Live:
    return Live(kafka, namespace, tmp_path)


@pytest.fixture
def collectors(live: Live) -> Iterator[Collectors]:
    running = Collectors(lambda: CollectorProcess(live.kafka.bootstrap, live.namespace, live.folder))
    yield running
    running.current.kill()


def filled(live: Live) -> dict[str, list[Any]]:
    """Events are stored; returns what is in the store."""
    live.send()
    live.level()
    return tables(live.folder)


def promote(live: Live, folder: Path | None, on_step: Callable[[Step], None] = lambda _: None, **more: Any) -> Report:
    options = live.options(BEGINNING, into=live.shadow, definitions=folder, promote=True, **more)
    return replay(options, NOW_MS, on_step)


def profiles(live: Live) -> dict[str, dict[str, Any]]:
    return {row[1]: json.loads(row[3]) for row in tables(live.folder)["profiles"]}


def in_force(live: Live) -> dict[tuple[str, str], Any]:
    catalogue = Catalogue()
    with Follower(live.kafka, live.namespace, catalogue):
        return specs_of(catalogue)


def test_live_gets_the_profiles_and_the_definitions(live: Live, collectors: Collectors) -> None:
    """Events, sessions, versions stay; what comes next is applied on top of the new profiles, with the new mapping."""
    before = filled(live)
    collectors.current.log.write_text("")
    folder = definitions(live.folder / "other", sum=MOST, last=None)
    report = live.replay("--from", "beginning", "--into", live.shadow, "--definitions", str(folder), "--promote")
    done = report["promoted"]
    assert (done["profiles"], done["definitions"]) == (PROFILES, ["mapping/last", "mapping/sum"])
    assert 0 < done["paused_s"] < 8
    assert report["diff"]["differ"] == PROFILES

    after = tables(live.folder)
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in before if name != "profiles")
    assert [row[:3] for row in after["profiles"]] == [row[:3] for row in before["profiles"]]
    for id, profile in profiles(live).items():
        assert profile["traits"] == {"n": TIMES - 1}, id
        assert profile["stats"]["events"] == 2 * TIMES
        assert list(profile["metadata"]["fields"]) == ["traits.n"]
    assert sorted(id for kind, id in in_force(live) if kind == "mapping") == ["sum"]

    # a collector that ran all the time has the old ones in memory: it starts again, and says why in one line
    write_events(live.kafka, live.namespace, [track("p0", event("low", n=1)), track("p1", event("high", n=50))])
    assert collectors.again() == 1
    lines = collectors.current.log.read_text().splitlines()
    (told,) = [line for line in lines if "starts_again" in line]
    assert f"replaced by those of {live.shadow}" in told
    assert not any("Traceback" in line or '"error"' in line for line in lines)
    live.level()
    assert profiles(live)["p0"]["traits"] == {"n": TIMES - 1}
    assert profiles(live)["p1"]["traits"] == {"n": 50}
    assert profiles(live)["p1"]["stats"]["events"] == 2 * TIMES + 1

    again = live.replay("--from", "beginning", "--into", f"{live.namespace}-t")
    assert (again["diff"]["same"], again["diff"]["fields"]) == (PROFILES, [])


@pytest.mark.long
def test_a_history_is_made_anew_with_the_definitions_in_force(live: Live, collectors: Collectors) -> None:
    """Somebody has PUT a mapping; a promotion without any files applies it to what came before."""
    filled(live)
    define(live.kafka, live.namespace, "mapping", "sum", MOST)
    report = promote(live, None)
    assert report.promoted is not None
    assert (report.promoted.profiles, report.promoted.definitions) == (PROFILES, [])
    assert all(profile["traits"]["n"] == TIMES - 1 for profile in profiles(live).values())


@pytest.mark.parametrize(
    ("step", "flipped"),
    [
        pytest.param("live waits: writing definitions", False, marks=pytest.mark.long),
        ("live waits: committing", True),
    ],
)
def test_killed_in_the_pause_it_leaves_live_whole(live: Live, collectors: Collectors, step: str, flipped: bool) -> None:
    """The collector goes on; given again, the promotion is completed."""
    before = filled(live)
    folder = definitions(live.folder / "other", sum=MOST)
    names = (live.kafka.bootstrap, live.namespace, live.folder, live.shadow, folder, step)
    command = [sys.executable, "-m", "tests.crashing_replay", *map(str, names)]
    assert subprocess.run(command, timeout=90, check=False).returncode == -signal.SIGKILL
    assert tables(live.folder) == before
    assert (in_force(live)["mapping", "sum"]["fields"][0]["op"] == "max") == flipped
    write_events(live.kafka, live.namespace, [track("p0", event("later", n=100))])
    live.level()
    assert collectors.current.process.poll() is None

    report = promote(live, folder)
    assert report.promoted is not None, report.not_promoted
    assert report.promoted.definitions == ([] if flipped else ["mapping/sum"])
    found = {id: profile["traits"]["n"] for id, profile in profiles(live).items()}
    assert found == {f"p{n}": TIMES - 1 for n in range(PROFILES)} | {"p0": 100}


@pytest.mark.long
def test_who_is_who_cannot_be_promoted(live: Live, collectors: Collectors) -> None:
    """Live stays as it was; and the shadow's own definitions are no longer what somebody asks for."""
    filled(live)
    mail = [track(f"p{n}", event(f"mail-{n}", "sign-in", email="a@example.com")) for n in (1, 2)]
    write_events(live.kafka, live.namespace, mail)
    live.level()
    before, defined = tables(live.folder), in_force(live)
    folder = definitions(live.folder / "person", sum=MOST)
    (folder / "identification-point").mkdir()
    point = {"event_type": "sign-in", "identifiers": [{"event": "properties.email", "kind": "email"}]}
    (folder / "identification-point" / "mail.json").write_text(json.dumps(point))
    options = ("--into", live.shadow, "--definitions", str(folder), "--promote", "--json")
    running = live.start("--from", "beginning", *options)
    output, errors = running.communicate(timeout=100)
    assert running.returncode == 2
    assert "profile p2 is not part of the same profile" in errors
    assert json.loads(output)["not_promoted"] in errors
    with pytest.raises(Refused, match=r"definitions of its own.*identification-point/mail, mapping/sum"):
        promote(live, None)
    assert (tables(live.folder), in_force(live)) == (before, defined)
    assert collectors.current.process.poll() is None


def test_what_somebody_defines_meanwhile_is_not_lost(live: Live, collectors: Collectors) -> None:
    before = filled(live)

    def put(step: Step) -> None:
        if step.what == "comparing profiles":
            define(live.kafka, live.namespace, "mapping", "new", SUM)

    report = promote(live, definitions(live.folder / "other", sum=MOST), put)
    assert "changed during the replay (mapping/new)" in report.not_promoted
    assert tables(live.folder) == before
    defined = in_force(live)
    assert (defined["mapping", "new"]["fields"], defined["mapping", "sum"]["fields"][0]["op"]) == (
        defined["mapping", "sum"]["fields"],
        "add",
    )


def test_who_is_erased_beside_it_is_in_neither(live: Live, collectors: Collectors) -> None:
    """One person before the shadow is made, one while it catches up with live: both stay away, all else is promoted."""
    filled(live)
    gone = {"p3", "p4"}

    def erase(id: str) -> None:
        write_events(live.kafka, live.namespace, [order(f"erase-{id}", id, at_ms=NOW_MS + 1_000)])

    def is_removed() -> bool:
        with closing(live.store()) as store:
            return not store.removals()

    erase("p3")
    live.level()
    eventually(is_removed)
    left = ["p4"]

    def meanwhile(step: Step) -> None:
        if step.what == "catching up with live" and left:
            erase(left.pop())

    report = promote(live, definitions(live.folder / "other", sum=MOST), meanwhile)
    assert report.promoted is not None, report.not_promoted
    assert report.promoted.profiles == PROFILES - len(gone)
    eventually(is_removed)
    assert profiles(live).keys() == {f"p{n}" for n in range(PROFILES)} - gone
    assert all(profile["traits"]["n"] == TIMES - 1 for profile in profiles(live).values())
    with closing(live.store()) as store:
        assert store.count("events", "") == (PROFILES - len(gone)) * TIMES * 2
    for name in ("hub.sqlite", f"shadow-{live.shadow}.sqlite"):
        assert not any(one[1] in gone for one in tables(live.folder, name)["profiles"])


@pytest.mark.long
def test_an_event_that_live_has_not_and_a_pause_that_is_too_short(live: Live, collectors: Collectors) -> None:
    """Both leave everything as it was."""
    before, defined = filled(live), in_force(live)
    folder = definitions(live.folder / "other", sum=MOST)
    report = promote(live, folder, most_pause_s=0.001)
    assert "had to wait" in report.not_promoted
    assert (tables(live.folder), in_force(live)) == (before, defined)

    with closing(sqlite3.connect(live.folder / "hub.sqlite", isolation_level=None)) as connection:
        table = next(name for name in before if name.startswith("events_") and before[name])
        connection.execute(f"DELETE FROM {table} WHERE seq = 1")
    before = tables(live.folder)
    report = promote(live, folder)
    assert "events, live has" in report.not_promoted
    assert (tables(live.folder), in_force(live)) == (before, defined)
    assert collectors.current.process.poll() is None


# Under load


class Load(threading.Thread):
    """
    Sends purchases through the API for as long as it may, each until it is acknowledged.

    Of four profiles two are one person, and say so; so some records are handed on to the other one all the time.
    """

    def __init__(self, url: str) -> None:
        super().__init__(name="load")
        self._url = url
        self._over = threading.Event()
        self.sent: list[tuple[str, int]] = []
        """(profile, amount), each an event."""
        self.failed: BaseException | None = None

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30, verify=NO_TLS) as http:
            try:
                self._send(http)
            except BaseException as exc:  # noqa: BLE001 - the test raises it
                self.failed = exc

    def _send(self, http: httpx.Client) -> None:
        number = 0
        while not self._over.is_set():
            profile, amount = f"p{number % 8}", number * 7919 % 1_000
            self.post(http, profile, {"id": f"e{number}", "type": "purchase", "properties": {"n": amount}})
            self.sent.append((profile, amount))
            number += 1

    def post(self, http: httpx.Client, profile: str, one: dict[str, Any]) -> None:
        body = {"source": {"id": "shop"}, "profile": {"id": profile}, "events": [one]}
        while True:
            answer = http.post("/track", json=body)
            if answer.status_code != 503:
                assert answer.status_code == 200, answer.text
                return

    def stop(self) -> None:
        self._over.set()
        self.join()
        if self.failed is not None:
            raise self.failed


def person(profile: str) -> str:
    """p0 and p1 are one, and so are p4 and p5."""
    return {"p1": "p0", "p5": "p4"}.get(profile, profile)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_promotion_while_events_come(tmp_path: Path) -> None:
    """None is lost, none counts twice, and every profile is what the new mapping makes of all of them."""
    with whole_hub(tmp_path / "data") as hub:
        hub.define("source", "shop")
        hub.define("mapping", "sum", **SUM)
        point = {"event_type": "sign-in", "identifiers": [{"event": "properties.email", "kind": "email"}]}
        hub.define("identification-point", "mail", **point)
        load = Load(hub.url)
        with httpx.Client(base_url=hub.url, timeout=30, verify=NO_TLS) as http:
            for profile in ("p0", "p1", "p4", "p5"):
                mail = {"type": "sign-in", "properties": {"email": f"{person(profile)}@example.com"}}
                load.post(http, profile, mail)
        load.start()
        try:
            eventually(lambda: len(load.sent) > 500)
            folder = definitions(tmp_path / "next", sum=MOST)
            options = ("--from", "beginning", "--into", "next", "--definitions", folder, "--promote", "--json")
            command = [*HUB, "replay", *map(str, options), "--data", str(hub.data)]
            done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            at_the_end = len(load.sent)
            eventually(lambda: len(load.sent) > at_the_end + 100)
        finally:
            load.stop()
        report = json.loads(done.stdout)
        print(report["promoted"], report["records"], len(load.sent))
        eventually(lambda: hub.totals()["in_flight"] == 0)

        largest: defaultdict[str, int] = defaultdict(int)
        events: defaultdict[str, int] = defaultdict(int)
        for profile, amount in load.sent:
            largest[person(profile)] = max(largest[person(profile)], amount)
            events[person(profile)] += 1
        for id in largest:
            profile = hub.get(f"/profiles/{id}")
            assert profile["traits"]["n"] == largest[id], id
            assert profile["stats"]["events"] == events[id] + 2 * (id in ("p0", "p4")), id
        balance = hub.get("/balance", verify="true")
        assert balance["balanced"], balance
        assert balance["totals"]["stored"] == balance["totals"]["received"] == len(load.sent) + 4
        assert hub.processes()["collector"].restarts == 1

        again = subprocess.run(
            [*HUB, "replay", "--from", "beginning", "--into", "next2", "--json", "--data", str(hub.data)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["diff"]["fields"] == []
