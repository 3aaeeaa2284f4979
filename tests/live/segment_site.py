"""A hub without an API for tests of segments: Kafka, Valkey, the store, and the timers of the agents, at hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from hub.errors import Unavailable
from hub.log.admin import ensure_topics
from hub.redis import client
from hub.segments.runs import Runs
from hub.segments.timers import Timers, now_ms, opened
from hub.settings import Kafka, Redis, Segments, Settings
from hub.store.factory import open_store
from hub.store.port import Store
from schemas.jobs import SEGMENTATION
from schemas.records import Inbound
from schemas.segments import Run
from tests.factories import event, track
from tests.kafka_tools import define, eventually, write_events

MAPPING = {"event_type": "sign-in", "fields": [{"event": "properties.n", "profile": "traits.n"}]}


class Site:
    """What a test asks and tells. `settings`: of all its processes."""

    def __init__(self, settings: Settings, store: Store, runs: Runs) -> None:
        self.settings, self.store, self.runs = settings, store, runs
        self.kafka, self.namespace, self.folder = settings.kafka, settings.namespace, settings.data
        self._versions = 0

    def define(self, kind: str, id: str, **spec: Any) -> int:
        """Returns its version: the offset."""
        define(self.kafka, self.namespace, kind, id, spec)
        self._versions += 1
        return self._versions - 1

    def send(self, *inbounds: Inbound) -> None:
        write_events(self.kafka, self.namespace, inbounds)

    def members(self, segment: str) -> set[str]:
        found, before = set(), None
        while True:
            page, before = self.store.members(segment, 1_000, before)
            found |= {one["id"] for one in page}
            if before is None:
                return found

    def profiles(self) -> int:
        return self.store.count("profiles", "")

    def filled(self, segment: str, version: int, within_s: float = 60.0) -> Run:
        """The back-fill of this version, once it has ended."""

        def look() -> Run | None:
            one = self.runs.filled().get(segment)
            run = None if one is None or one.version != version else self.runs.run(one.run)
            return run if run is not None and run.ended_ms is not None else None

        run = eventually(look, within_s)
        assert run is not None
        return run


def sign_in(profile_id: str, n: int, *, at_ms: int | None = None, id: str = "") -> Inbound:
    """Sets traits.n."""
    at_ms = now_ms() if at_ms is None else at_ms
    one = event(id or f"{profile_id}-{n}-{at_ms}", "sign-in", time_ms=at_ms, n=n)
    return track(profile_id, one, received_at_ms=at_ms)


def purchase(id: str, profile_id: str, at_ms: int) -> Inbound:
    return track(profile_id, event(id, "purchase", time_ms=at_ms), received_at_ms=at_ms)


@contextmanager
def site(kafka: str, namespace: str, folder: Path, redis_url: str, **segments: Any) -> Iterator[Site]:
    """Args: segments: settings."""
    settings = Settings(
        namespace=namespace,
        data=folder,
        kafka=Kafka(bootstrap=kafka, partitions=2),
        redis=Redis(url=redis_url),
        segments=Segments(**segments),
    )
    ensure_topics(settings.kafka, namespace)
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(settings.store_url)))
        redis = stack.enter_context(closing(client(redis_url)))
        made = Site(settings, store, Runs(redis, namespace))
        made.define("mapping", "n", **MAPPING)
        yield made


@contextmanager
def ticking(settings: Settings) -> Iterator[Timers]:
    """What the agents do, several times a second."""
    over = threading.Event()
    faults: list[BaseException] = []

    def run(timers: Timers) -> None:
        while not over.wait(0.1):
            try:
                timers.due.tick()
                timers.plan.tick()
            except Unavailable:
                continue
            except BaseException as exc:
                faults.append(exc)
                raise

    with opened(settings) as timers:
        thread = threading.Thread(target=run, args=(timers,), daemon=True)
        thread.start()
        try:
            yield timers
        finally:
            over.set()
            thread.join()
    assert not faults, faults[0]


class WorkerProcess:
    """One `hub worker`; its output is in `log`."""

    def __init__(
        self,
        at: Site,
        variables: Mapping[str, str] | None = None,
        *,
        queue: str = SEGMENTATION,
        options: Sequence[str] = (),
    ) -> None:
        self.log = at.folder / "worker.log"
        environment = {
            **os.environ,
            "HUB_KAFKA__BOOTSTRAP": at.kafka.bootstrap,
            "HUB_NAMESPACE": at.namespace,
            "HUB_DATA": str(at.folder),
            "HUB_REDIS__URL": at.settings.redis.url,
            **(variables or {}),
        }
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "hub", "worker", queue, *options]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL, as a power cut does it."""
        self.process.kill()
        self.process.wait(30)


@contextmanager
def worker(
    at: Site,
    variables: Mapping[str, str] | None = None,
    *,
    queue: str = SEGMENTATION,
    options: Sequence[str] = (),
) -> Iterator[WorkerProcess]:
    """A worker that runs as long as the block, and stops cleanly unless it was killed."""
    one = WorkerProcess(at, variables, queue=queue, options=options)
    try:
        yield one
        if one.process.poll() is None:
            assert one.stop() == 0, one.log.read_text()
    finally:
        one.kill()
