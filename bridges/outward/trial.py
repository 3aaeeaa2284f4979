"""What a destination would send of an event; nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bridges.outward.registry import validate
from bridges.outward.shape import Shape, told_by
from hub.definitions.kinds import Destination
from hub.edge.outbound import Rehearse
from hub.edge.times import time_ms
from hub.errors import InvalidPayload

SHOWN_BYTES: Final = 4_000
"""Of a body: what a person can read."""


def rehearse_of(definition: Destination) -> Rehearse:
    """See hub.edge.outbound. Raises BridgeError."""
    validate(definition)
    shape = Shape(definition)

    def rehearse(document: Mapping[str, Any]) -> dict[str, Any]:
        times = document["metadata"]["time"]
        told = told_by(document, time_ms(times["create"] or times["insert"], "time"))
        shown: dict[str, Any] = {"event": told.id, "type": told.type}
        try:
            message = shape.message(told, msgspec.json.encode(document))
        except InvalidPayload as exc:
            return {**shown, "refused": {"reason": exc.reason, "detail": exc.detail, "where": exc.where}}
        if message is None:
            return {**shown, "skipped": True}
        body = message.body[:SHOWN_BYTES].decode(errors="replace")
        if len(message.body) > SHOWN_BYTES:
            body += "…"
        return {**shown, "key": message.key, "headers": message.headers(), "bytes": len(message.body), "body": body}

    return rehearse
