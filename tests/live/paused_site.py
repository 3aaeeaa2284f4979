"""Runs of flows that pause: a runner on a real store and a real Valkey, by a clock of the test's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis
from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.timeouts import TimerDeathPenalty

import workers.flows
from hub.definitions.catalogue import Catalogue
from hub.flows.effects import Answer, LookUp
from hub.flows.ended import by_then
from hub.flows.kept import KeptRun, Order
from hub.flows.run import run_id
from hub.flows.runner import Records, Runner
from hub.flows.trace import Fired
from hub.flows.versions import FLOW, FlowVersions
from hub.jobs.flow_queue import FlowQueue
from hub.jobs.paused import Paused
from hub.jobs.queue import JobQueue
from hub.jobs.turns import Turns
from hub.model import Alias
from hub.pipeline.documents import iso
from hub.store.factory import open_store
from hub.store.port import DefinitionVersion
from schemas.codec import decode_inbound
from schemas.jobs import SCHEDULER
from schemas.records import TRACK
from tests import stores
from tests.contracts.batches import batch
from tests.contracts.batches import event as stored_event
from tests.contracts.batches import profile as stored_profile
from tests.contracts.test_store_identity import identity
from tests.unit.flow_cases import EVENT, NOW_MS, PROFILE, spec
from workers.jobs.worker import Worker, worker_of

DAY_MS = 86_400_000
LATER = {
    "start": ("start", {}, "wait"),
    "wait": ("pause", {"wait": "3d", "grace": "1h"}, {"out": "tell", "late": "late"}),
    "tell": ("raise-event", {"event_type": "told", "properties": {"version": "first"}}),
    "late": ("raise-event", {"event_type": "too-late"}),
}
"""What waits for three days."""
ASKED = {
    "start": ("start", {}, "wait"),
    "wait": ("pause", {"wait": "3d", "event_type": "visit"}, {"out": "came", "timeout": "stayed-away"}),
    "came": ("raise-event", {"event_type": "came", "properties": {"by": "payload@event.id"}}),
    "stayed-away": ("raise-event", {"event_type": "stayed-away"}),
}
"""What waits for a visit, three days at most."""


class _InTurn(Worker):
    """RQ's worker among the signals and alarms of a test."""

    death_penalty_class = TimerDeathPenalty
    done = 0

    def _install_signal_handlers(self) -> None:
        """The test has its own."""

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        self.done += 1
        return super().perform_job(job, queue, execution)


class Site:
    """
    One process with a store and a Valkey, which begins anew with `restart`.

    Attributes:
        sent: Types of the events that runs have raised, by id of the record: what comes again is known.
        puts: How often something was sent.
    """

    def __init__(self, folder: Path, redis: Redis, namespace: str) -> None:
        self.redis, self.namespace = redis, namespace
        self.now_ms = NOW_MS
        self.sent: dict[str, tuple[str, dict[str, Any]]] = {}
        self.puts = 0
        self._url = stores.store_url(folder, namespace)
        self._definitions: list[tuple[bytes, bytes]] = []
        self._opened()

    def _opened(self) -> None:
        self.store = open_store(self._url)
        self.catalogue = Catalogue()
        for offset, (key, value) in enumerate(self._definitions):
            self.catalogue.apply(key, value, offset)
        self.queue = FlowQueue(self.redis, self.namespace, lambda: self.now_ms)
        self.jobs = JobQueue(self.redis, self.namespace, SCHEDULER)
        self.runner = self.made()
        self.paused = Paused(
            self.store,
            self.runner,
            self.jobs,
            self.queue,
            Turns(self.redis, self.namespace),
            namespace=self.namespace,
            now_ms=lambda: self.now_ms,
        )

    def restart(self) -> None:
        """All of it, as after a power cut."""
        self.store.close()
        self._opened()

    def close(self) -> None:
        self.store.close()

    def made(self) -> Runner:
        """A runner."""
        return Runner(
            FlowVersions(self.catalogue, self._older),
            self.store,
            put=self._put,
            look=_look,
            elsewhere=self.queue,
            scheduled=self.queue,
            answers=_Nobody(),
            meanwhile=lambda runs: by_then(self.store, runs, self.now_ms),
            now_ms=lambda: self.now_ms,
        )

    def define(self, nodes: Mapping[str, Any], id: str = "f", **more: Any) -> int:
        """A flow, in force. Returns its version."""
        flow = spec(dict(nodes), **more).model_dump(mode="json")
        value = msgspec.json.encode({"spec": flow, "updated_at_ms": self.now_ms})
        version = len(self._definitions)
        self._definitions.append((f"{FLOW}/{id}".encode(), value))
        self.catalogue.apply(*self._definitions[-1], version)
        text = msgspec.json.encode(flow).decode()
        self.store.keep_versions([DefinitionVersion(FLOW, id, version, self.now_ms, text)])
        return version

    def person(self, *ids: str) -> None:
        """Somebody each."""
        people = []
        for id in ids:
            time = {"insert": iso(self.now_ms), "update": iso(self.now_ms)}
            doc = {**PROFILE, "id": id, "ids": [id], "metadata": {"time": time}}
            people.append(msgspec.structs.replace(stored_profile(id, 1), doc=doc))
        self._write(*people)

    def event(self, id: str, profile: str, type: str = "visit", at_ms: int | None = None) -> dict[str, Any]:
        """An event that the hub has received (now) and stored. Returns its document."""
        at_ms = self.now_ms if at_ms is None else at_ms
        document = {
            **EVENT,
            "id": id,
            "type": type,
            "profile": {"id": profile},
            "metadata": {"origin": "rest", "time": {"insert": iso(at_ms)}},
        }
        event = stored_event(id, profile_id=profile, session_id="", type=type, time_ms=at_ms)
        self._write(msgspec.structs.replace(event, received_at_ms=at_ms, doc=msgspec.json.encode(document)))
        return document

    def merge(self, id: str, *, into: str) -> None:
        """One profile is part of another from now on."""
        merged = identity(aliases={id: Alias(into, 9, "m1")})
        self.store.write(msgspec.structs.replace(batch(), identity=merged))

    def _write(self, *rows: Any) -> None:
        self.store.write(batch(*rows))

    def order(self, profile: str, flow: str = "f", version: int = 0, cause: str = "") -> Order:
        fired = Fired(cause or f"because-{profile}", "manual", self.now_ms, {})
        return Order(flow, version, fired, profile)

    def begin(self, *profiles: str, version: int = 0) -> list[KeptRun]:
        """Their runs, as far as they go."""
        return self.runner.begin([self.order(one, version=version) for one in profiles])

    def run(self, profile: str, version: int = 0) -> KeptRun:
        """The run of somebody."""
        id = run_id("f", version, self.order(profile).fired)
        return self.store.flow_runs([id])[id]

    def work(self) -> int:
        """Do all jobs on the queue, by RQ's worker. Returns how many there were."""
        workers.flows.lay_out(self.paused, lambda: False)
        real = worker_of(self.redis, self.namespace, SCHEDULER)
        mine = _InTurn(real.queues, connection=self.redis, serializer=real.serializer, log_job_description=False)
        mine.upkeep = self.paused.keep_up
        mine.work(burst=True, logging_level="ERROR")
        return mine.done

    def raised(self) -> Counter[str]:
        """The types of events that runs have raised."""
        return Counter(type for type, _ in self.sent.values())

    def scheduled(self) -> list[int]:
        """Seconds that have a job in Redis whose time is to come."""
        return sorted(int(id.rpartition("-")[2]) for id in self.jobs.scheduled())

    def _put(self, records: Records) -> None:
        for _, value in records:
            record = decode_inbound(value)
            kind, body = record["body"]
            assert kind == TRACK
            (event,) = body["events"]  # type: ignore[typeddict-item]
            self.puts += 1
            self.sent[event["id"]] = event["type"], msgspec.json.decode(event["properties"])

    def _older(self, id: str, version: int) -> str | None:
        found = self.store.version(FLOW, id, version)
        return None if found is None else found.spec


class _Nobody:
    """Waits for an answer."""

    def put(self, event_id: str, flow: str, response: Mapping[str, Any], flows: Sequence[str]) -> None: ...

    def nothing(self, event_id: str) -> None: ...


def _look(ask: LookUp) -> Answer:
    raise AssertionError(f"no flow here looks anything up: {ask}")
