"""Sealed on the way to events.v1: the key of each record is durable before the record is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hub.log.publishing import Publishing
from hub.pipeline.data_keys import key_record
from hub.pipeline.sealed import Sealer
from schemas.replays import read_received
from schemas.topics import EVENTS, KEYS


class Sealing(NamedTuple):
    """What it takes to seal. `topic`: full name of keys.v1."""

    sealer: Sealer
    topic: str


class SealingPublisher:
    """
    A `Publisher` that seals what goes to events.v1. Records of one profile stay in their order: their keys are
    acknowledged in the order in which they were sent.
    """

    def __init__(self, publisher: Publishing, sealer: Sealer, namespace: str) -> None:
        """Args: publisher: sends."""
        self._publisher = publisher
        self._sealer = sealer
        self._events = EVENTS.name(namespace)
        self._keys = KEYS.name(namespace)

    async def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        landed: Callable[[int, int], None] | None = None,
    ) -> int:
        """As `Publisher.publish`. Raises Unavailable, Refused."""
        if value is not None and topic == self._events:
            value, data_key = self._sealer.seal(value, read_received([*headers]))
            if data_key is not None:
                try:
                    await self._publisher.publish(self._keys, *key_record(data_key))
                except BaseException:
                    if landed is not None:
                        landed(-1, -1)
                    raise
        return await self._publisher.publish(topic, key, value, headers, landed)

    def ping(self) -> None:
        """As `Publisher.ping`. Raises Unavailable."""
        self._publisher.ping()
