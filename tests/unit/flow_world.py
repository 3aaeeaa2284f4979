"""A runner on a store, whose world is in memory and whose process dies as often as you like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from hub.definitions.catalogue import Catalogue
from hub.errors import Refused, Unavailable
from hub.flows.effects import Answer, CallHttp, LookUp, SendMessage
from hub.flows.kept import KeptRun, Order, RunDocuments
from hub.flows.runner import Records, Runner
from hub.flows.trace import Fired
from hub.flows.versions import FLOW, FlowVersions
from hub.jobs.flow_lookups import answered
from hub.store.factory import open_store
from hub.store.port import Store
from schemas.codec import decode_inbound
from tests.contracts.batches import batch
from tests.contracts.batches import event as stored_event
from tests.contracts.batches import profile as stored_profile
from tests.unit.flow_cases import EVENT, NOW_MS, PROFILE, spec

UPDATED = {"metadata": {"time": {"insert": "2025-11-20T16:00:00.000Z", "update": "2025-11-25T15:00:00.000Z"}}}


class Killed(Exception):
    """The process is gone."""


class World:
    """What there is outside the runner. It is killed after some steps, again and again."""

    def __init__(self, lives: Iterable[int] = (), store: Store | None = None) -> None:
        """Args: lives: how many steps each life has, the last one first."""
        self.store = store or open_store("memory://")
        self.now_ms = NOW_MS
        self.sent: dict[str, dict[str, Any]] = {}  # by id: what comes again is known
        self.puts: list[str] = []
        self.calls: list[str] = []
        self.messages: dict[str, SendMessage] = {}
        self.handed: list[str] = []
        self.seconds: set[int] = set()
        self.answers: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.refuses = ""
        self.away = ""
        self.answer = Answer(200, {}, {"n": 1})
        self._catalogue = Catalogue()
        self._lives = list(lives)
        self._steps = self._lives.pop() if self._lives else None

    def define(self, nodes: Mapping[str, Any], id: str = "f", version: int = 7, **more: Any) -> None:
        """A flow, in force."""
        document = {"spec": spec(dict(nodes), **more).model_dump(mode="json"), "updated_at_ms": NOW_MS}
        self._catalogue.apply(f"{FLOW}/{id}".encode(), msgspec.json.encode(document), version)

    def delete(self, id: str = "f", version: int = 8) -> None:
        """It is not there any more."""
        self._catalogue.apply(f"{FLOW}/{id}".encode(), None, version)

    def profile(self, id: str, version: int = 1, **more: Any) -> None:
        """Somebody, and an event of theirs: `e-<id>`."""
        person = msgspec.structs.replace(
            stored_profile(id, version), doc={**PROFILE, "id": id, "ids": [id], **UPDATED, **more}
        )
        document = {**EVENT, "id": f"e-{id}", "profile": {"id": id}}
        event = msgspec.structs.replace(
            stored_event(f"e-{id}", profile_id=id, session_id=""), doc=msgspec.json.encode(document)
        )
        self.store.write(batch(person, event))

    def runner(self, *, calls: bool = True) -> Runner:
        """A process that has just started. Args: calls: whether it may ask other systems."""
        versions = FlowVersions(self._catalogue, self._older)
        return Runner(
            versions,
            self,
            put=self._put,
            look=self._look,
            elsewhere=self,
            scheduled=self,
            answers=self,
            outward=self if calls else None,
            now_ms=lambda: self.now_ms,
            clock_ns=lambda: self.now_ms * 1_000_000,
        )

    def order(self, id: str, flow: str = "f", version: int = 7, **data: Any) -> Order:
        """As the agents give it, because of the event of somebody."""
        partition = stored_event("x").partition
        return Order(flow, version, Fired(f"e-{id}", "event", NOW_MS, data), id, "", (partition, f"e-{id}"))

    def live(self, order: Order) -> list[str]:
        """From the trigger to its end, through all pauses and deaths; how the last life of each part ended."""
        went: list[str] = []
        id = ""
        while True:
            try:
                runner = self.runner()
                found = runner.go_on([id]) if id else runner.begin([order], may_block=True)
            except Killed:
                continue
            (kept,) = found
            went.append(kept.state)
            if kept.state != "paused":
                return went
            assert kept.due_ms is not None
            id, self.now_ms = kept.id, kept.due_ms

    def kept(self) -> list[KeptRun]:
        """All runs, the oldest first."""
        return self.store.list_flow_runs(1_000, None)[0][::-1]

    # what the runner is given

    def flow_runs(self, ids: Sequence[str]) -> dict[str, KeptRun]:
        self._step()
        return self.store.flow_runs(ids)

    def run_documents(
        self, events: Sequence[tuple[str, str]], profiles: Sequence[str], sessions: Sequence[str]
    ) -> RunDocuments:
        return self.store.run_documents(events, profiles, sessions)

    def save_flow_runs(self, runs: Sequence[KeptRun], *, durable: bool = False) -> list[str]:
        self._step()
        refused = self.store.save_flow_runs(runs, durable=durable)
        self._step()
        return refused

    def call(self, ask: CallHttp) -> Answer:
        self._step()
        self.calls.append(ask.idempotency_key or ask.id)
        self._step()
        return self.answer

    def send(self, messages: Sequence[SendMessage]) -> None:
        for message in messages:
            if message.destination == self.away:
                raise Unavailable("destination", f"{self.away} is away")
            self._step()
            self.messages[message.id] = message

    def send_again(self, messages: Sequence[SendMessage]) -> dict[str, str]:
        """No run asks for it."""
        raise AssertionError(messages)

    def close(self) -> None:
        """Nothing to let go of."""

    def go_on(self, runs: Iterable[str]) -> None:
        self.handed += runs

    def at(self, seconds: Iterable[int]) -> None:
        self._step()
        self.seconds.update(seconds)

    def put(self, event_id: str, flow: str, response: Mapping[str, Any], flows: Sequence[str]) -> None:
        assert flow in flows
        self.answers[event_id, flow] = response

    def nothing(self, event_id: str) -> None:
        """Nobody waits."""

    def _put(self, records: Records) -> None:
        for key, value in records:
            self._step()
            if self.refuses and self.refuses in key:
                raise Refused("kafka", "it is too large")
            record = decode_inbound(value)
            self.puts.append(record["id"])
            self.sent.setdefault(record["id"], dict(record))
        self._step()

    def _look(self, ask: LookUp) -> Answer:
        return answered(self.store, ask)

    def _older(self, id: str, version: int) -> str | None:
        found = self.store.version(FLOW, id, version)
        return None if found is None else found.spec

    def _step(self) -> None:
        if self._steps is not None:
            self._steps -= 1
            if self._steps < 0:
                self._steps = self._lives.pop() if self._lives else None
                raise Killed
