"""A rolling upgrade: processes of the release before and of this one side by side, while events come in."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.stack import ports
from tests.kafka_tools import eventually
from tests.live.whole_hub import ROOT, environment
from tests.plain_http import NO_TLS
from tests.servers.running import shared
from tests.sources.kafka import KafkaSource
from tests.upgrades import release

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]

KEY = "the admin key"
HEADERS = {"Authorization": f"Bearer {KEY}"}
PEOPLE = 20
EX_CONFIG = 78
OTHERS = ("agents", "worker", "bridges")


class Site:
    """Where processes of both releases work: one Kafka, one data folder."""

    def __init__(self, kafka: str, namespace: str, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.variables = {
            "HUB_KAFKA__BOOTSTRAP": kafka,
            "HUB_KAFKA__PARTITIONS": "6",
            "HUB_NAMESPACE": namespace,
            "HUB_REDIS__URL": redis_url,
            "HUB_DATA": str(folder),
            "HUB_ADMIN_KEY": KEY,
            "HUB_IDENTITY__KEY": "a key of the tests",
            "HUB_API__HOST": "127.0.0.1",
        }
        self._numbers = itertools.count()

    @contextmanager
    def runs(self, tree: Path, name: str) -> Iterator[Process]:
        """A process of the release that lies in `tree`."""
        one = Process(self, tree, name, next(self._numbers))
        try:
            yield one
        except BaseException:
            print(one.log.read_text()[-3_000:])
            raise
        finally:
            one.popen.kill()
            one.popen.wait(30)


class Process:
    """`url`: of the API, or of its health."""

    def __init__(self, site: Site, tree: Path, name: str, number: int) -> None:
        port = str(ports.free_port())
        own = {"HUB_API__PORT": port} if name == "api" else {"HUB_HEALTH__PORT": port}
        self.url = f"http://127.0.0.1:{port}"
        self.log = site.folder / f"{name}-{number}.log"
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "hub", name],
                cwd=tree,
                env=environment(PYTHONPATH=str(tree), **site.variables, **own),
                stdout=log,
                stderr=log,
            )

    def ask(self, path: str, **query: Any) -> httpx.Response | None:
        """GET; None: it does not listen."""
        try:
            return httpx.get(self.url + path, params=query, headers=HEADERS, timeout=30, verify=NO_TLS)
        except httpx.TransportError:
            return None

    def share(self) -> int:
        """Of a collector: how many partitions it has."""
        answer = self.ask("/ready")
        return 0 if answer is None or answer.status_code != 200 else len(answer.json()["partitions"])

    def is_ready(self) -> bool:
        answer = self.ask("/ready")
        return answer is not None and answer.status_code == 200

    def listens(self) -> bool:
        answer = self.ask("/live")
        return answer is not None and answer.status_code == 200

    def stop(self) -> None:
        """As an operator does it; it has to end in order."""
        self.popen.send_signal(signal.SIGTERM)
        assert self.popen.wait(60) == 0, self.log.read_text()[-3_000:]

    def ends_with(self, code: int) -> str:
        """Its last words, when it ends by itself."""
        assert self.popen.wait(60) == code, self.log.read_text()[-3_000:]
        return self.log.read_text()


class Sender:
    """Sends numbered events, each until one of the doors has taken it, as clients do that do not want to lose any."""

    def __init__(self) -> None:
        self.doors: list[str] = []
        self.taken = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send)

    @contextmanager
    def sending(self, door: Process) -> Iterator[None]:
        self.doors = [door.url]
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()

    def more(self, count: int = 60) -> None:
        now = self.taken
        eventually(lambda: self.taken >= now + count)

    def _send(self) -> None:
        with httpx.Client(timeout=30, verify=NO_TLS) as http:
            while not self._over.is_set():
                body = payload(self.taken)
                for door in itertools.cycle(range(1_000)):
                    doors = list(self.doors)
                    try:
                        if http.post(f"{doors[(self.taken + door) % len(doors)]}/track", json=body).is_success:
                            break
                    except httpx.TransportError:
                        continue
                self.taken += 1


def payload(number: int) -> dict[str, Any]:
    event = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "type": "order",
        "properties": {"number": number, "total": 1},
    }
    person = f"p{number % PEOPLE}"
    return {"source": {"id": "shop"}, "profile": {"id": person}, "session": {"id": person}, "events": [event]}


def stored(api: Process) -> Counter[int]:
    """How often each number is among the stored events."""
    found = Counter[int]()
    query: dict[str, Any] = {"q": "type = order", "size": 1_000}
    while True:
        answer = api.ask("/events", **query)
        assert answer is not None
        assert answer.status_code == 200, answer.text
        found.update(one["properties"]["number"] for one in answer.json()["items"])
        if answer.json()["next"] is None:
            return found
        query["cursor"] = answer.json()["next"]


def count(api: Process, path: str, q: str) -> int:
    """How many match; 0: they cannot be counted now."""
    answer = api.ask(f"/{path}/count", q=q)
    return 0 if answer is None or answer.status_code != 200 else int(answer.json()["count"])


def size(api: Process, segment: str) -> int:
    """How many were in it at the last look."""
    answer = api.ask(f"/segments/{segment}")
    return 0 if answer is None or answer.status_code != 200 else int(answer.json()["size"] or 0)


def define(api: Process, place: str, spec: dict[str, Any]) -> None:
    answer = httpx.put(f"{api.url}/definitions/{place}", json=spec, headers=HEADERS, timeout=30, verify=NO_TLS)
    answer.raise_for_status()


class Queue:
    """A queue of somebody else's that a bridge reads: each message is an event of the type `queued`."""

    def __init__(self, kafka: str) -> None:
        self.source = KafkaSource(kafka, f"source.{uuid.uuid4().hex}")
        self.sent = 0

    @property
    def bridge(self) -> dict[str, Any]:
        mapping = {"profile": "'queue'", "event": {"type": "'queued'", "properties": {"n": "n"}}}
        return {"type": "kafka", "source": "queue", "mapping": mapping, "settings": self.source.settings}

    def more(self) -> None:
        """Some messages."""
        self.source.put([b'{"n": %d}' % number for number in range(self.sent, self.sent + 50)])
        self.sent += 50


def detail(api: Process, path: str) -> tuple[int, str]:
    answer = api.ask(path)
    assert answer is not None
    return answer.status_code, answer.text


def test_both_releases_side_by_side_lose_and_double_nothing(
    kafka: str, namespace: str, tmp_path: Path, shared_folder: Path
) -> None:
    """In the documented order; what comes in another order is refused in words, and costs nothing either."""
    old = release.unpack(release.previous(), tmp_path / "old")
    folder = tmp_path / "data"
    folder.mkdir()
    sender, queue = Sender(), Queue(kafka)
    with ExitStack() as stack:
        site = Site(kafka, namespace, folder, stack.enter_context(shared("valkey", shared_folder / "valkey")))

        def start(tree: Path, name: str) -> Process:
            return stack.enter_context(site.runs(tree, name))

        old_collectors = [start(old, "collector") for _ in range(2)]
        old_api = start(old, "api")
        eventually(old_api.listens)
        mapping = {"event_type": "order", "fields": [{"profile": "traits.n", "event": "properties.total", "op": "add"}]}
        define(old_api, "source/shop", {})
        define(old_api, "source/queue", {"type": ["bridge"]})
        define(old_api, "mapping/orders", mapping)
        eventually(lambda: sum(one.share() for one in old_collectors) == 6)
        with sender.sending(old_api):
            sender.more()
            # all else works with the old release, then it is stopped; what it would do waits
            old_others = [start(old, name) for name in OTHERS]
            for one in old_others:
                eventually(one.is_ready)
            define(old_api, "bridge/queue", queue.bridge)
            define(old_api, "heartbeat/beat", {"event_type": "beat", "every": "1s", "condition": "id = p0"})
            define(old_api, "segment/old", {"condition": "traits.n >= 1"})
            queue.more()
            eventually(lambda: count(old_api, "events", "type = queued") == queue.sent)
            eventually(lambda: count(old_api, "events", "type = beat") > 2)
            eventually(lambda: size(old_api, "old") == PEOPLE)
            for one in old_others:
                one.stop()
            queue.more()
            sender.more()
            # the wrong order: an API before a collector of the same release. It takes events, makes a small change of
            # the store itself, and says of another one who does it
            early = start(ROOT, "api")
            eventually(early.listens)
            status, words = detail(early, "/profiles")
            assert status == 200 or (status == 503 and "start the collector, it upgrades" in words), words
            sender.doors = [early.url]
            sender.more()
            sender.doors = [old_api.url]
            early.stop()

            # the collectors: side by side on one store, which the first of this release has brought to its schema
            new_collectors = [start(ROOT, "collector")]
            eventually(lambda: all(one.share() for one in [*old_collectors, *new_collectors]))
            sender.more()
            for one in old_collectors:
                one.stop()
                sender.more()
            new_collectors.append(start(ROOT, "collector"))
            late = start(old, "collector")
            assert "made by a newer hub" in late.ends_with(EX_CONFIG)

            # agents, worker and bridges of this release go on where those of the old one were
            new_others = [start(ROOT, name) for name in OTHERS]
            for one in new_others:
                eventually(one.is_ready)
            queue.more()

            # the APIs: both take events, then the one of this release alone
            new_api = start(ROOT, "api")
            eventually(new_api.listens)
            sender.doors = [old_api.url, new_api.url]
            sender.more()
            sender.doors = [new_api.url]
            old_api.stop()
            sender.more()
            eventually(lambda: count(new_api, "events", "type = queued") == queue.sent)
            beats = count(new_api, "events", "type = beat")
            eventually(lambda: count(new_api, "events", "type = beat") > beats + 1)
            define(new_api, "segment/new", {"condition": "traits.n >= 1"})
            eventually(lambda: size(new_api, "new") == PEOPLE)
            for one in new_others:
                one.stop()
        eventually(lambda: len(stored(new_api)) == sender.taken, 60)
        assert stored(new_api) == Counter(range(sender.taken))
        answer = new_api.ask("/profiles", size=100)
        assert answer is not None
        sums = {one["id"]: one["traits"]["n"] for one in answer.json()["items"] if one["id"] != "queue"}
        assert sums == Counter(f"p{number % PEOPLE}" for number in range(sender.taken))
        answer = new_api.ask("/balance", verify=True)
        assert answer is not None
        assert answer.json()["balanced"], answer.text
        totals = answer.json()["totals"]
        assert count(new_api, "events", "type = queued") == queue.sent
        entered = 2 * PEOPLE  # `segment-entered`, of each of the two
        others = queue.sent + count(new_api, "events", "type = beat") + entered
        assert (totals["stored"], totals["duplicate"], totals["dead"]) == (sender.taken + others, 0, 0)
        assert count(new_api, "events", "") == sender.taken + others
        for one in (*new_collectors, new_api):
            one.stop()
