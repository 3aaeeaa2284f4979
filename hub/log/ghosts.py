"""Members of a consumer group that are gone, and that Kafka does not miss: found, and taken out of the group."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import structlog
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from hub.errors import HubError, Unavailable
from hub.log.config import admin_config
from hub.settings import Kafka

Place: TypeAlias = tuple[str, int]
"""A partition: topic and number."""

log: Final = structlog.get_logger()
LOOK_S: Final = 5.0
PATIENCE_S: Final = 20.0
"""So long nothing of a partition is committed though records wait, and others get on. A cluster waits for 45 s."""
ANSWER_S: Final = 5.0


class _Still(NamedTuple):
    """A partition of which records wait. `since`: the clock at the first look that found it like that."""

    committed: int
    since: float


class Ghosts:
    """
    One member of a group looks at what the others do.

    Kafka 4.3 starts no session timers for a group that it loads twice, as it may when it starts again after a kill: it
    waits for ever for a member that ended in that moment, and nobody else gets its partitions. Whoever is taken out of
    a group and lives after all joins it again by itself, and what two would do is done once: so a mistake costs a
    rebalance.

    Of groups with the protocol of KIP-848; in the other one a rebalance ends such a member's time.
    """

    def __init__(
        self,
        kafka: Kafka,
        group: str,
        mine: Callable[[], Iterable[Place]],
        every: Callable[[], Collection[Place]],
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Connects when somebody else has a partition.

        Args:
            kafka: The cluster.
            mine: Partitions that this process has now.
            every: Partitions that the group reads. May raise HubError.
            clock: Seconds since some moment.
        """
        self._kafka = kafka
        self._group = group
        self._mine = mine
        self._every = every
        self._patience_s = patience_s
        self._clock = clock
        self._client: AdminClient | None = None
        self._still: dict[Place, _Still] = {}

    def glance(self) -> None:
        """A look that may fail: then it says so, and the next one begins anew."""
        try:
            self.look()
        except HubError as exc:  # Kafka is away, so nobody gets on; or it does not let us
            self._forget()
            log.warning("ghosts.wait", group=self._group, why=str(exc))
        except Exception:
            self._forget()
            log.exception("ghosts.failed", group=self._group)  # looked for again the next time

    def look(self) -> list[str]:
        """Returns ids of those that were taken out of the group. Raises Unavailable, Refused."""
        now = self._clock()
        mine, every = set(self._mine()), self._every()
        if mine.issuperset(every):
            self._forget()
            return []
        ends = self._ends(every)
        still = {
            place: known if (known := self._still.get(place)) and known.committed == at else _Still(at, now)
            for place, at in self._committed(every).items()
            if at < ends[place]
        }
        self._still = still
        before = {place: now - one.since for place, one in still.items() if one.since < now}
        stuck = sorted(place for place, since_s in before.items() if since_s >= self._patience_s)
        # what has held us up, too, since the last look, such as the store, is no sign of somebody's end
        held_s = max((since_s for place, since_s in before.items() if place in mine), default=None)
        if held_s is not None:
            if held_s >= self._patience_s / 2:  # and whoever was held up with us gets time to get on again
                self._still = {place: one if place in mine else one._replace(since=now) for place, one in still.items()}
            return []
        if not stuck:
            return []
        owners = self._owners()
        gone = sorted({owners[place] for place in stuck if place in owners and place not in mine})
        from hub.log.leaving import leave_for  # noqa: PLC0415 - aiokafka, of which a hub may never have need

        for member in gone:
            held = [f"{topic}/{number}" for topic, number in stuck if owners.get((topic, number)) == member]
            log.warning("group.ghost", group=self._group, member=member, partitions=held)
            leave_for(self._kafka, self._group, member)
        self._still = {place: one._replace(since=now) for place, one in still.items()}
        return gone

    def _forget(self) -> None:
        """The client, too: behind a broker that was killed it is told for minutes that it knows an older leader."""
        self._still.clear()
        self._client = None

    def _ends(self, places: Iterable[Place]) -> Mapping[Place, int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(*place): latest for place in places}
        asked = self._admin().list_offsets(wanted, request_timeout=ANSWER_S)
        return {(at.topic, at.partition): self._answer(future).offset for at, future in asked.items()}

    def _committed(self, places: Iterable[Place]) -> Mapping[Place, int]:
        """By partition, the first offset that is not committed; 0 where nothing ever was."""
        wanted = ConsumerGroupTopicPartitions(self._group, [TopicPartition(*place) for place in places])
        asked = self._admin().list_consumer_group_offsets([wanted], request_timeout=ANSWER_S)
        found = self._answer(asked[self._group])
        return {(at.topic, at.partition): max(0, at.offset) for at in found.topic_partitions}

    def _owners(self) -> Mapping[Place, str]:
        """By partition, the member that has it."""
        asked = self._admin().describe_consumer_groups([self._group], request_timeout=ANSWER_S)
        return {
            (place.topic, place.partition): member.member_id
            for member in self._answer(asked[self._group]).members
            for place in member.assignment.topic_partitions
        }

    def _admin(self) -> AdminClient:
        if self._client is None:
            self._client = AdminClient(admin_config(self._kafka))
        return self._client

    def _answer(self, future: Any) -> Any:
        try:
            return future.result()
        except KafkaException as exc:
            raise Unavailable("kafka", f"Kafka does not tell how {self._group} gets on: {exc.args[0].str()}") from exc


class Watch:
    """A thread that looks for ghosts every few seconds."""

    def __init__(self, ghosts: Ghosts, look_s: float = LOOK_S) -> None:
        """Does nothing yet."""
        self._ghosts = ghosts
        self._look_s = look_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ghosts", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Finish the look in hand: some seconds while Kafka is away."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._look_s):
            self._ghosts.glance()
