"""Collectors without Kafka, for tests: partitions as lists, the real pipeline, memory and store, crashes at will."""

from __future__ import annotations

from typing import Any

from hub.collector.state import Memory
from hub.definitions.kinds import FieldMapping, IdentificationPoint, IdentifierField, Mapping
from hub.edge.identifiers import Points
from hub.errors import Fenced
from hub.model import Outgoing
from hub.pipeline.definitions import Definitions
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.process import Outcome, process
from hub.pipeline.records import Decoded, LogRecord, batches, decode
from hub.settings import Collector
from hub.store.memory import MemoryStore
from hub.store.port import Store
from schemas.codec import decode_inbound, encode_inbound
from schemas.records import MERGE, Inbound, Merge, Trigger
from schemas.replays import REPLAY_HEADER, read_replay
from schemas.topics import MAX_RECORD_BYTES
from tests.factories import NOW_MS, totals

DEFINITIONS = Definitions(
    -1,
    compile_mappings(
        [
            (
                "all",
                Mapping(
                    event_type="sign-in",
                    fields=[
                        FieldMapping(event="properties.n", profile="traits.sum", op="add"),
                        FieldMapping(event="properties.n", profile="traits.least", op="min"),
                        FieldMapping(event="properties.n", profile="traits.most", op="max"),
                        FieldMapping(event="properties.n", profile="traits.all", op="append-unique"),
                        FieldMapping(event="properties.n", profile="traits.last", op="set"),
                        FieldMapping(event="properties.n", profile="traits.first", op="set-if-empty"),
                        FieldMapping(event="properties.n", profile="traits.newest", op="set-if-newer"),
                        FieldMapping(event="properties.n", profile="traits.down", op="decrement"),
                        FieldMapping(event="properties.n", profile="traits.every", op="append"),
                        FieldMapping(profile="traits.count", op="increment", when="properties.n != null"),
                    ],
                ),
            )
        ]
    ),
    Points(
        [
            (
                "mail",
                IdentificationPoint(
                    event_type="sign-in", identifiers=[IdentifierField(event="properties.who", kind="id")]
                ),
            )
        ]
    ),
    b"key",
)


class Log:
    """events.v1 of some partitions; a profile's is told by its id, as a partitioner does it."""

    def __init__(self, partitions: int) -> None:
        self.partitions: list[list[LogRecord]] = [[] for _ in range(partitions)]
        self.triggers: list[Trigger] = []

    def of(self, profile_id: str) -> int:
        return sum(profile_id.encode()) % len(self.partitions)

    def put(self, inbound: Inbound) -> None:
        self.append(inbound["profile_id"], encode_inbound(inbound))

    def send(self, outgoing: Outgoing) -> None:
        self.append(outgoing.key.decode(), outgoing.value, outgoing.replay)

    def append(self, profile_id: str, value: bytes, replay: bytes | None = None) -> None:
        assert len(value) <= MAX_RECORD_BYTES, "Kafka would refuse it"
        number = self.of(profile_id)
        of_letter = None if replay is None else read_replay([(REPLAY_HEADER, replay)])
        record = LogRecord(number, len(self.partitions[number]), NOW_MS, profile_id.encode(), value, of_letter)
        self.partitions[number].append(record)


class Owner:
    """The collector of one partition."""

    def __init__(self, log: Log, number: int, store: Store, definitions: Definitions = DEFINITIONS) -> None:
        self.log, self.number, self.store, self.definitions = log, number, store, definitions
        self.epoch = store.epoch("topic")
        self.memory = Memory(Collector())
        self.next = 0
        self.committed = 0
        self.reached = 0

    def step(self, most: int, crash: str = "") -> bool:
        """One batch. Args: crash: `computed`, `written` or `told`: there the process dies and another takes over."""
        outcome = self.begin(most)
        if outcome is None:
            return False
        if crash == "computed":
            self.take_over()
            return True
        lost = self.write(outcome)
        if lost is None:
            return True
        if crash == "written":
            self.take_over()
            return True
        self.tell(outcome)
        if crash == "told":
            self.take_over()
            return True
        self.end(outcome, lost)
        return True

    def begin(self, most: int) -> Outcome | None:
        """What the next batch does; None: there is none. `step` writes it, and others may write meanwhile."""
        records = self.log.partitions[self.number][self.next : self.next + most]
        if not records:
            return None
        decoded = next(batches(decode(records), 1_500))
        self.reached = self.next + len(decoded)
        return self.process(decoded)

    def write(self, outcome: Outcome) -> list[str] | None:
        """None: others have written something that this depends on; a new process has to read it anew."""
        try:
            return self.store.write(outcome.batch)
        except Fenced:
            self.take_over()
            return None

    def end(self, outcome: Outcome, lost: list[str]) -> None:
        """After it was written and told."""
        self.memory.keep(outcome)
        self.memory.lose(lost)
        self.next = self.committed = self.reached

    def process(self, decoded: list[Decoded]) -> Outcome:
        progress = self.store.progress(self.epoch)
        progress[self.number] = max(progress.get(self.number, 0), self.next)
        state = self.memory.load(decoded, self.epoch, progress, self.store, definitions=self.definitions)
        return process(decoded, state, self.definitions)

    def tell(self, outcome: Outcome) -> None:
        self.log.triggers += outcome.triggers
        if outcome.batch.identity is not None:
            for one in outcome.batch.identity.outbox:
                self.log.send(one)

    def take_over(self) -> None:
        """A new process begins where Kafka has committed, after it has sent what may not have been sent."""
        self.memory = Memory(Collector())
        for one in self.store.outbox(self.epoch, [self.number]):
            self.log.send(one)
        self.next = self.committed


class Hub:
    """Some partitions, each with its collector, on one store."""

    def __init__(self, partitions: int = 3, definitions: Definitions = DEFINITIONS, store: Store | None = None) -> None:
        self.store: Store = store or MemoryStore()
        self.log = Log(partitions)
        self.owners = [Owner(self.log, number, self.store, definitions) for number in range(partitions)]

    def put(self, *inbounds: Inbound) -> None:
        for inbound in inbounds:
            self.log.put(inbound)

    def settle(self, most: int = 100) -> None:
        """Until nothing is left to do."""
        while sum(owner.step(most) for owner in self.owners):
            pass

    def profile(self, id: str) -> dict[str, Any]:
        found = self.store.get("profiles", id)
        assert found is not None
        return found

    def profiles(self) -> list[dict[str, Any]]:
        return self.store.search("profiles", "", 1_000, None).items

    def counts(self) -> dict[str, int]:
        return totals(self.store)

    def merges(self) -> list[Inbound]:
        """Steps of merges on the log."""
        records = [decode_inbound(record.value) for partition in self.log.partitions for record in partition]
        return [record for record in records if record["body"][0] == MERGE]


def step_record(id: str, profile_id: str, other_id: str, step: str, reason: bytes = b"{}") -> Inbound:
    body: Merge = {"loser_id": other_id, "loser_version": 0, "snapshot": b"{}", "step": step, "reason": reason}
    return {
        "id": id,
        "source": "@identity",
        "profile_id": profile_id,
        "received_at_ms": NOW_MS,
        "definitions_offset": -1,
        "origin": "rest",
        "body": (MERGE, body),
    }
