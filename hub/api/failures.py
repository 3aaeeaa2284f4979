"""What is answered when a request at a door fails, and how that is counted: the same at every door."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from hub.api import metrics
from hub.api.asgi import Answer
from hub.api.body import Disconnected
from hub.api.parts import DoorParts
from hub.api.problems import NotFound, failure, hub_problem, refusal
from hub.errors import InvalidPayload, PortError, Unavailable

log: Final = structlog.get_logger()

_UNAVAILABLE: Final = {"kafka": metrics.UNAVAILABLE, "collector": metrics.BULK_UNAVAILABLE}
"""By port, what counts the answers 503."""


class Failures:
    """From errors to answers."""

    def __init__(self, parts: DoorParts, refused: Callable[[InvalidPayload], Answer] | None = None) -> None:
        """Args: refused: how a payload is refused here; None: as everywhere."""
        self._catalogue = parts.catalogue
        self._refusals = parts.refusals
        self._now_ms = parts.now_ms
        self._refused = refused or partial(refusal, limits=parts.limits)

    async def answered(self, door: str, doing: Awaitable[Answer]) -> Answer | None:
        """The answer that is awaited, or that to what went wrong; None: see `answer`."""
        try:
            return await doing
        except Exception as exc:  # noqa: BLE001 - `answer` logs what nobody expected
            return self.answer(door, exc)

    def answer(self, door: str, error: Exception) -> Answer | None:
        """
        What to tell the sender; None: it has gone, and nobody is left to answer. Call it where `error` is caught.

        Args:
            door: Label of metrics.
        """
        match error:
            case Disconnected():
                return None
            case InvalidPayload():
                self.count(error)
                log.debug("door.refused", door=door, reason=error.reason, where=error.where)
                return self._refused(error)
            case NotFound():
                return hub_problem(error)
            case Unavailable():
                if error.port in _UNAVAILABLE:
                    _UNAVAILABLE[error.port].inc()
                return hub_problem(error)
            case PortError():
                log.error("door.refused_by_a_port", door=door, port=error.port, error=error.detail)
                return hub_problem(error)
        error_id = secrets.token_hex(8)
        log.error("request.failed", error_id=error_id, door=door, exc_info=error)
        return failure(error_id)

    def count(self, error: InvalidPayload) -> None:
        """Count a payload that was not taken."""
        metrics.REFUSED.labels(error.reason).inc()
        known = error.source if self._catalogue.entry("source", error.source) else ""
        self._refusals.add(known, error.reason, self._now_ms())
