"""MQTT as a source: topics of a broker, through a session that the broker keeps while the bridge is away."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Final

from bridges.base import WAIT_S, Batch, Bridge, BridgeSpec, Context, Delivery
from bridges.mqtt_link import Link, MqttSettings
from hub.errors import Unavailable

GATHER_S: Final = 0.002
"""How long it then waits for company."""
SAMPLE_S: Final = 3.0
"""How long a sample waits for messages: a topic has no others than those that come meanwhile."""


class _Chunk:
    """Packets that were taken together. `acked`: they may be acknowledged, once those before them are."""

    __slots__ = ("acked", "packets")

    def __init__(self, packets: list[tuple[int, int]]) -> None:
        self.packets = packets
        self.acked = False


class MqttBridge(Bridge):
    """
    A client with a lasting session: what it has not acknowledged, and what comes while it is away, the broker keeps.

    Acknowledgements go out in the order in which the messages came, as the protocol asks.
    """

    def __init__(self, settings: MqttSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._name = settings.client_id or f"{context.namespace}.bridge.{context.bridge}"
        self._link: Link | None = None
        self._open: deque[_Chunk] = deque()

    async def connect(self) -> None:
        """Raises Unavailable when the broker cannot be reached, Refused when it denies access."""
        self._link = Link(self._settings, self._context, self._name, lasting=True)
        await self._link.open()

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        link = self._connected()
        if not link.waiting:
            await link.arrival(WAIT_S)
        if len(link.waiting) < limit and link.waiting:
            await asyncio.sleep(GATHER_S)
        link.check()
        taken = link.pop(limit)
        chunk = _Chunk([(delivery.qos, delivery.packet) for delivery in taken if delivery.qos])
        self._open.append(chunk)
        if not self._settings.retained:
            taken = [delivery for delivery in taken if not delivery.retained]
        batch = Batch(taken, chunk)
        if not taken:  # nobody acknowledges an empty batch
            await self.ack(batch)
        return batch

    async def ack(self, batch: Batch) -> None:
        """Sent at once, with those behind it that had to wait for it."""
        batch.token.acked = True
        packets: list[tuple[int, int]] = []
        while self._open and self._open[0].acked:
            packets += self._open.popleft().packets
        if packets:
            self._connected().acknowledge(packets)

    async def close(self) -> None:
        """See Bridge.close. The session stays, and its messages with it."""
        link, self._link = self._link, None
        self._open.clear()
        if link is not None:
            await link.close()

    def lag(self) -> int | None:
        """Not known: MQTT has no way to ask."""
        return None

    async def sample(self, limit: int) -> Sequence[Delivery]:
        """What the topics retain, and what comes within three seconds: a subscriber of its own, beside the bridge."""
        link = Link(self._settings, self._context, f"{self._name}.sample.{uuid.uuid4().hex[:8]}", lasting=False)
        try:
            await link.open()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAMPLE_S):
                    while len(link.waiting) < limit:
                        await link.arrival(SAMPLE_S)
                        link.check()
            return link.pop(limit)
        finally:
            await link.close()

    def _connected(self) -> Link:
        if self._link is None:
            raise Unavailable("source", "the bridge is closed")
        self._link.check()
        return self._link


SPEC: Final = BridgeSpec("mqtt", "Subscribe to topics of an MQTT broker.", MqttSettings, MqttBridge)
