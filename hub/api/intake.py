"""What the hub's own doors have in common: one payload onto the log."""

from __future__ import annotations

from hub.api import metrics
from hub.api.call import Call
from hub.api.failures import Failures
from hub.api.parts import DoorParts
from hub.api.track import FRAMING_BYTES, idempotency_key, request_of
from hub.edge.inbound import Taken, inbound
from hub.edge.payload import Payload
from hub.errors import InvalidPayload
from hub.ids import ordered
from schemas.codec import encode_inbound
from schemas.topics import MAX_RECORD_BYTES


class Intake:
    """Puts payloads onto the log."""

    def __init__(self, parts: DoorParts) -> None:
        """Args: parts: what all doors share."""
        self.catalogue = parts.catalogue
        self.limits = parts.limits
        self.now_ms = parts.now_ms
        self.failures = Failures(parts)
        self._publish = parts.publisher.publish
        self._topic = parts.topic
        self._gate = parts.gate

    async def take(self, payload: Payload, call: Call, *, door: str, body_bytes: int) -> Taken:
        """
        Put a payload onto the log, whose source has been checked; returns when Kafka has it.

        Args:
            door: Label of metrics, origin of the record.
            body_bytes: What the request had, unpacked.

        Raises:
            InvalidPayload: The request is at fault, or its source may not send so much.
            PortError: See `Publish`.
        """
        key = call.header(b"idempotency-key")
        taken = inbound(
            payload,
            catalogue=self.catalogue,
            payload_id=idempotency_key(key.encode("latin-1"), payload.source_id, self.limits) if key else None,
            now_ms=self.now_ms(),
            origin=door,
            request=request_of(call.headers, call.client),
            new_id=ordered,
        )
        value = encode_inbound(taken.record)
        if len(value) > MAX_RECORD_BYTES - FRAMING_BYTES:
            raise InvalidPayload(
                "body_too_large", f"the record of this request has {len(value)} bytes", "", payload.source_id
            )
        self._gate.enter(payload.source_id, body_bytes, len(payload.events))
        await self._publish(self._topic, taken.key, value)
        metrics.PAYLOADS.labels(door).inc()
        metrics.EVENTS.labels(door).inc(len(payload.events))
        return taken
