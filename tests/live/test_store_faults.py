"""
The search engine under a collector is not there yet, refuses writes, is full, slow, silent, cut off, stopped, killed:
nothing is lost, the collector says what it waits for, and goes on by itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from hub.api import health
from hub.chaos.engine import SearchEngine
from hub.chaos.proxy import HOST, Proxy
from hub.doctor.store import store as doctor
from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.settings import Kafka
from hub.settings import Store as StoreSettings
from hub.stack import ports
from hub.store import open_store
from hub.store.factory import remove_store
from hub.store.port import Store
from tests.factories import event, track
from tests.kafka_tools import define, eventually, write_events
from tests.live.collector import CollectorProcess, collector
from tests.plain_http import NO_TLS
from tests.servers.kept_up import kept_up
from tests.servers.running import shared

pytestmark = pytest.mark.slow

SUM: Final = {"event_type": "purchase", "fields": [{"event": "properties.n", "profile": "traits.n", "op": "add"}]}
PROFILES: Final = 10
SOME: Final = 40
"""Events that are written in each trouble."""
MANY: Final = 3_000


class Site(NamedTuple):
    """A collector and its store. `hurt`: the engine, past the link that the collector has to it."""

    kafka: Kafka
    namespace: str
    collector: CollectorProcess
    store: Store
    link: Link
    hurt: SearchEngine
    health: int

    def send(self, first: int, count: int) -> None:
        """So many events, whose numbers begin with `first`."""
        numbers = range(first, first + count)
        write_events(self.kafka, self.namespace, [track(f"p{n % PROFILES}", event(f"e{n}", n=n)) for n in numbers])

    def state(self) -> dict[str, Any]:
        """What the collector says of itself."""
        try:
            said: dict[str, Any] = httpx.get(f"http://{HOST}:{self.health}/ready", timeout=20, verify=NO_TLS).json()
        except httpx.TransportError:  # it has only just started
            return {"ready": False, "waiting_for": ""}
        return said

    def stored(self) -> int:
        """Events that are counted as stored."""
        return sum(counts.stored for _, counts in self.store.counters())

    def until_stored(self, events: int) -> None:
        """Wait for so many."""
        eventually(lambda: self.stored() == events)

    def until_waiting(self, within_s: float = 60) -> dict[str, Any]:
        """What the collector says of itself once it waits."""
        eventually(lambda: self.state()["waiting_for"], within_s)
        return self.state()

    def has(self, events: int) -> None:
        """Everything once, and each profile what its events make."""
        assert self.stored() == events
        eventually(lambda: self.store.count("events", "") == events)
        for number in range(PROFILES):
            profile = self.store.get("profiles", f"p{number}")
            assert profile is not None
            assert profile["traits"]["n"] == sum(range(number, events, PROFILES))
            assert profile["stats"]["events"] == len(range(number, events, PROFILES))


class Link:
    """A proxy on a thread of its own, told from other threads what to do."""

    def __init__(self, url: str) -> None:
        """Args: url: of the engine."""
        to = urlsplit(url)
        self.url = f"http://{HOST}:{(port := ports.free_port())}"
        self._proxy = Proxy(port, to.hostname or HOST, to.port or 80)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Link:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._proxy.start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, what: Callable[[Proxy], None]) -> None:
        """On its thread; done when this returns."""
        done = threading.Event()

        def act() -> None:
            what(self._proxy)
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(10)


@contextmanager
def site(
    kafka: str, namespace: str, folder: Path, url: str, patch: pytest.MonkeyPatch, *, is_away: bool = False
) -> Iterator[Site]:
    """
    A collector on the engine at `url`, with a link in between; all of it is removed afterwards.

    Args: is_away: the link is cut.
    """
    ours = Kafka(bootstrap=kafka, partitions=4)
    LogAdmin(ours, namespace).ensure_topics()
    define(ours, namespace, "mapping", "sum", SUM)
    direct = StoreSettings(url=f"elasticsearch+{url}", copies=0, refresh_ms=100)
    store_url = direct.located(namespace)
    with Link(url) as link:
        for name, value in {
            "HUB_STORE__URL": f"elasticsearch+{link.url}",
            "HUB_STORE__COPIES": "0",
            "HUB_STORE__REFRESH_MS": "100",
            "HUB_HEALTH__PORT": str(health := ports.free_port()),
        }.items():
            patch.setenv(name, value)
        if is_away:
            link.do(Proxy.cut)
        with collector(kafka, namespace, folder) as running:
            store, hurt = open_store(store_url, readonly=True), SearchEngine(direct, namespace)
            there = Site(ours, namespace, running, store, link, hurt, health)
            try:
                if not is_away:
                    eventually(lambda: there.state()["ready"])
                yield there
            finally:
                link.do(Proxy.heal)
                store.close()
                hurt.close()
        remove_store(store_url)


def test_a_store_that_refuses_or_is_cut_off_is_waited_for(
    kafka: str, namespace: str, tmp_path: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        shared("elasticsearch", shared_folder / "elasticsearch") as url,
        site(kafka, namespace, tmp_path, url, monkeypatch) as there,
    ):
        troubles: list[tuple[Callable[[], None], Callable[[], None], str]] = [
            (lambda: there.hurt.block("block", "store"), there.hurt.unblock, "index.blocks"),
            (lambda: there.hurt.block("full", "store"), there.hurt.unblock, "flood-stage"),
            # with the head the batch is written, and its documents are not
            (lambda: there.hurt.block("block", "store-profiles"), there.hurt.unblock, "index.blocks"),
            (lambda: there.link.do(Proxy.cut), lambda: there.link.do(Proxy.heal), "does not answer"),
        ]

        def said_by_sweeper() -> list[str]:
            return [line for line in there.collector.log.read_text().splitlines() if "sweeper." in line]

        there.send(0, SOME)
        there.until_stored(SOME)
        for number, (begin, end, words) in enumerate(troubles, 1):
            begin()
            there.send(number * SOME, SOME)
            said = there.until_waiting()
            assert not said["ready"]
            assert words in said["waiting_for"]
            assert there.hurt.place in said["waiting_for"] or there.link.url in said["waiting_for"]
            if words == "does not answer":  # that one the sweeper meets, too, if it has the time to look
                eventually(said_by_sweeper)
            end()
            there.until_stored((number + 1) * SOME)
            eventually(lambda: there.state()["ready"])

        # who takes connections and never answers is named long before a question is given up
        count = len(troubles) + 1
        there.link.do(Proxy.stall)
        there.send(count * SOME, SOME)
        said = there.until_waiting()
        assert not said["ready"]
        assert "store: has not answered for" in said["waiting_for"]
        linked = StoreSettings(url=f"elasticsearch+{there.link.url}").located(namespace)
        assert "does not answer" in ready_says(linked)
        assert [(one.level, one.detail) for one in doctor(linked, None, namespace) if "does not answer" in one.detail]
        there.link.do(Proxy.heal)
        there.until_stored((count + 1) * SOME)

        there.link.do(lambda proxy: proxy.slow(0.1))
        there.send((count + 1) * SOME, SOME)
        there.until_stored((count + 2) * SOME)
        there.link.do(Proxy.heal)
        there.has((count + 2) * SOME)
        assert there.collector.process.poll() is None, "nobody had to start it again"
        assert len(said_by_sweeper()) <= 2 * count, "it says once that it waits, and once that it goes on"


def ready_says(url: str) -> str:
    """What /ready of an API says of this store; `no answer within 3 s` is all that it knew itself."""

    async def nothing() -> None:
        pass

    async def ask(store: Store) -> str:
        app = FastAPI()
        app.include_router(health.router({"store": store.ping}, nothing))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hub") as http:
            answer = await http.get("/ready")
        assert answer.status_code == 503
        return str(answer.json()["failed"]["store"])

    with closing(open_store(url, readonly=True)) as store:
        return asyncio.run(ask(store))


def test_a_collector_that_starts_before_its_store_waits_for_it(
    kafka: str, namespace: str, tmp_path: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        shared("elasticsearch", shared_folder / "elasticsearch") as url,
        site(kafka, namespace, tmp_path, url, monkeypatch, is_away=True) as there,
    ):
        there.send(0, SOME)
        said = there.until_waiting()
        assert not said["ready"]
        assert there.link.url in said["waiting_for"]
        assert "does not answer" in said["waiting_for"]
        assert there.collector.stop() == 0, "it can be stopped meanwhile"
        with collector(kafka, namespace, tmp_path, name="next") as next:
            there.until_waiting()
            there.link.do(Proxy.heal)
            eventually(lambda: _says(there) == SOME)
            there.has(SOME)
            assert next.process.poll() is None
        said_by_it = next.log.read_text()
        assert said_by_it.count("process.waits") == said_by_it.count("process.goes_on") == 1


def test_partitions_that_come_while_the_store_is_away_are_taken_when_it_is_back(
    kafka: str, namespace: str, tmp_path: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        shared("elasticsearch", shared_folder / "elasticsearch") as url,
        site(kafka, namespace, tmp_path, url, monkeypatch) as there,
    ):
        monkeypatch.setenv("HUB_HEALTH__PORT", "0")
        with collector(kafka, namespace, tmp_path, name="other") as other:
            eventually(lambda: len(there.state()["partitions"]) == 2)
            there.link.do(Proxy.cut)
            assert other.stop() == 0
        assert "does not answer" in there.until_waiting()["waiting_for"]
        there.link.do(Proxy.heal)
        eventually(lambda: there.state()["ready"] and len(there.state()["partitions"]) == 4)
        there.send(0, SOME)
        there.until_stored(SOME)
        there.has(SOME)
        assert there.collector.process.poll() is None, "nobody had to start it again"


def test_a_collector_that_waits_for_its_store_stops_when_it_is_told_to(
    kafka: str, namespace: str, tmp_path: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        shared("elasticsearch", shared_folder / "elasticsearch") as url,
        site(kafka, namespace, tmp_path, url, monkeypatch) as there,
    ):
        there.link.do(Proxy.cut)
        there.send(0, SOME)
        there.until_waiting()
        assert there.collector.stop() == 0
        assert "collector.stops_unfinished" in there.collector.log.read_text()
        there.link.do(Proxy.heal)
        with collector(kafka, namespace, tmp_path, name="next"):
            there.until_stored(SOME)
            there.has(SOME)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["elasticsearch", "opensearch"])
def test_a_store_that_is_killed_or_stopped_in_mid_write_loses_nothing(
    name: str, kafka: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        kept_up(name, tmp_path / name) as engine,
        site(kafka, namespace, tmp_path, engine.url, monkeypatch) as there,
    ):
        sending = threading.Thread(target=lambda: [there.send(first, 50) for first in range(0, MANY, 50)])
        sending.start()
        eventually(lambda: there.stored() > SOME)
        before = int(engine.pid_file.read_text())
        os.kill(before, signal.SIGKILL)
        said = there.until_waiting()
        assert not said["ready"]
        assert "does not answer" in said["waiting_for"]
        eventually(lambda: int(engine.pid_file.read_text()) != before, 120)
        sending.join()
        eventually(lambda: _says(there) == MANY, 120)
        eventually(lambda: there.state()["ready"])

        pid = int(engine.pid_file.read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            there.send(MANY, SOME)
            said = there.until_waiting(90)
            assert not said["ready"]
        finally:
            os.kill(pid, signal.SIGCONT)
        there.until_stored(MANY + SOME)
        eventually(lambda: there.state()["ready"])
        there.has(MANY + SOME)
        assert there.collector.process.poll() is None, "nobody had to start it again"


def _says(there: Site) -> int:
    """How many are stored; 0: the store is not there yet."""
    try:
        return there.stored()
    except Unavailable:
        return 0
