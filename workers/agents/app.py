"""The Faust app: one agent, which reads triggers. What is done with them is handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, cast

import faust
from faust.exceptions import ConsumerNotStarted
from faust.types import AppT, EventT, StreamT

from hub.log.progress import agents_group
from hub.settings import Kafka
from schemas.topics import TRIGGERS
from workers.agents.broker import broker_url, credentials

SESSION_S: Final = 10.0
"""A process that is silent for so long has gone, and others read its partitions."""
COMMIT_S: Final = 0.5
POLL: Final = 100
"""Triggers that are fetched at once: each is some work."""

Place: TypeAlias = tuple[int, int]
"""Partition of triggers.v1 and offset."""
Ack: TypeAlias = Callable[[], Awaitable[object]]
"""A trigger is done, whatever came of it; in the order of its partition."""


Came: TypeAlias = Callable[[bytes, Any], None]
"""Is told the value and the headers of a record before it is taken."""


class Takes(Protocol):
    """Who does what triggers say: `workers.agents.lanes`."""

    async def take(self, value: bytes, place: Place, ack: Ack) -> None:
        """Have a trigger's bytes done; it waits only when there is no room for more."""
        ...

    async def revoked(self, partitions: Collection[int]) -> None:
        """Nothing of these is acknowledged any more: what was not is read again, by whoever has them then."""
        ...


def make(kafka: Kafka, namespace: str, *, instance: str, folder: Path, takes: Takes, came: Came | None = None) -> AppT:
    """
    Put it together; it starts nothing.

    How the known holes of Faust 0.15 are kept shut: an agent's concurrency is 1, as acknowledgements out of order lose
    events with more; it acknowledges by hand, as Faust does so even for what raised or was cancelled, and all of a
    `take` at once; it does not wait until all that it has read is acknowledged before it gives partitions back or ends,
    as what is stopped in the middle never is, and what has to wait for its turn not for long; no tables, no
    transactions; no leader and no timers of Faust's (`workers.agents.leader`, `ticks`): those stand still while the
    partitions are shared out anew, which may take as long as a dead member's session.

    Args:
        instance: What this member of the group is called for ever; "": each start is a new member.
        folder: For what Faust keeps in files, which is nothing.
        came: Is told of records with headers; None: nobody.
    """
    app: AppT = faust.App(
        agents_group(namespace),
        broker=broker_url(kafka),
        broker_credentials=credentials(kafka),
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 4,
        broker_commit_interval=COMMIT_S,
        broker_max_poll_records=POLL,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance or None,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        store="memory://",
        datadir=folder,
        web_enabled=False,
        autodiscover=False,
    )
    triggers = app.topic(
        TRIGGERS.name(namespace), key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )

    async def read(stream: StreamT[bytes]) -> None:
        by_hand: StreamT[bytes] = cast("faust.Stream[bytes]", stream).noack()
        async for event in by_hand.events():
            if came is not None and event.message.headers:
                came(event.message.value or b"", event.message.headers)
            await _take(by_hand, event, takes)

    async def on_revoked(_: Any, /, *revoked: Any, signal: Any, **__: Any) -> None:  # noqa: ARG001 - as Faust calls it
        await takes.revoked({tp.partition for tp in revoked[0]})
        await app.consumer.commit()  # what was acknowledged since the last one

    app.agent(triggers, name="triggers", concurrency=1)(read)
    app.on_partitions_revoked.connect(on_revoked)
    return app


async def _take(stream: StreamT[bytes], event: EventT[bytes], takes: Takes) -> None:
    message = event.message
    await takes.take(message.value or b"", (message.tp.partition, message.offset), partial(stream.ack, event))


class Reader:
    """The app of `make` while it runs."""

    def __init__(self, app: AppT) -> None:
        """Starts nothing."""
        self.app = app
        self._has_begun = False

    async def run(self) -> None:
        """Returns, or raises, when it runs no more."""
        await self.app.start()
        self._has_begun = True
        await self.app.wait_until_stopped()

    def partitions(self) -> frozenset[int]:
        """Those of triggers.v1 that this process reads; to be asked on any thread."""
        if not self._has_begun:
            # to look would make a consumer, beside the one that Faust makes; `app.started` is true before that
            return frozenset()
        try:
            return frozenset(tp.partition for tp in self.app.consumer.assignment())
        except ConsumerNotStarted:
            return frozenset()
