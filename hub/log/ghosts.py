"""Members of a consumer group that are gone, and that Kafka does not miss: found, and taken out of the group."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from hub.errors import HubError, Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import admin_config
from hub.log.progress import Progress
from hub.settings import Kafka
from schemas.topics import EVENTS, Topic

log: Final = structlog.get_logger()
LOOK_S: Final = 5.0
PATIENCE_S: Final = 20.0
"""So long nothing of a partition is committed though records wait, and others get on. A cluster waits for 45 s."""
ANSWER_S: Final = 5.0


class _Still(NamedTuple):
    """A partition of which records wait. `since`: time.monotonic of the first look that found it like that."""

    committed: int
    since: float


class Ghosts:
    """
    A thread beside a member of a group that looks at what the others do.

    Kafka 4.3 starts no session timers for a group that it loads twice, as it may when it starts again after a kill: it
    waits for ever for a member that ended in that moment, and nobody else gets its partitions. Whoever is taken out of
    a group and lives after all joins it again by itself, and the store refuses what two would write: so a mistake costs
    a rebalance.
    """

    def __init__(
        self,
        kafka: Kafka,
        namespace: str,
        group: str,
        mine: Callable[[], Collection[int]],
        *,
        topic: Topic = EVENTS,
        look_s: float = LOOK_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Does nothing yet. Args: mine: partitions that this process has now."""
        self._kafka = kafka
        self._group = group
        self._mine = mine
        self._of = topic
        self._topic = topic.name(namespace)
        self._look_s = look_s
        self._patience_s = patience_s
        self._committed = Progress(kafka, namespace, topic, group)
        self._log = LogAdmin(kafka, namespace)
        self._groups = AdminClient(admin_config(kafka))
        self._still: dict[int, _Still] = {}
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
        self._committed.close()

    def _run(self) -> None:
        while not self._stop.wait(self._look_s):
            try:
                self.look()
            except HubError as exc:  # Kafka is away, so nobody gets on; or it does not let us
                self._still.clear()
                log.warning("ghosts.wait", group=self._group, why=str(exc))
            except Exception:
                log.exception("ghosts.failed")  # looked for again the next time

    def look(self) -> list[str]:
        """Returns ids of those that were taken out of the group. Raises Unavailable."""
        now = time.monotonic()
        ends, mine = self._log.end_offsets(self._of), self._mine()
        still = {
            number: known if (known := self._still.get(number)) and known.committed == at else _Still(at, now)
            for number, at in self._committed().items()
            if at < ends.get(number, 0)
        }
        self._still = still
        before = {number: now - one.since for number, one in still.items() if one.since < now}
        stuck = sorted(number for number, since_s in before.items() if since_s >= self._patience_s)
        # what has held us up, too, since the last look, such as the store, is no sign of somebody's end
        if not stuck or any(number in before for number in mine):
            return []
        owners = self._owners()
        gone = sorted({owners[number] for number in stuck if number in owners})
        from hub.log.leaving import leave_for  # noqa: PLC0415 - aiokafka, of which a hub may never have need

        for member in gone:
            held = [number for number in stuck if owners.get(number) == member]
            log.warning("group.ghost", group=self._group, member=member, partitions=held)
            leave_for(self._kafka, self._group, member)
        self._still = {number: one._replace(since=now) for number, one in still.items()}
        return gone

    def _owners(self) -> Mapping[int, str]:
        """By partition, the member that has it."""
        asked = self._groups.describe_consumer_groups([self._group], request_timeout=ANSWER_S)
        try:
            found = asked[self._group].result()
        except KafkaException as exc:
            raise Unavailable("kafka", f"Kafka does not tell who is in {self._group}: {exc.args[0].str()}") from exc
        return {
            place.partition: member.member_id
            for member in found.members
            for place in member.assignment.topic_partitions
            if place.topic == self._topic
        }
