"""What flows answer, for the API process in which somebody waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from redis import Redis

from hub.errors import Unavailable
from hub.redis import translated
from schemas.flow_answers import FLOWS, KEPT_S, MOST_BYTES, Answered, Keys, encode, field

log: Final = structlog.get_logger()

AWAY_S: Final = 1.0
"""So long nothing is told when Redis has not answered: whoever runs flows shall not wait for it each time."""


class RedisAnswers:
    """See hub.flows.outward.Answers. For one thread."""

    def __init__(self, redis: Redis, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Does not connect yet. Args: clock: seconds, never goes back."""
        self._redis = redis
        self._keys = Keys(namespace)
        self._clock = clock
        self._away_until_s = 0.0

    def put(self, event_id: str, flow: str, response: Mapping[str, Any], flows: Sequence[str]) -> None:
        """See there."""
        answered = encode(Answered(dict(response)))
        if len(answered) > MOST_BYTES:
            warning = f"the response of the flow {flow} is larger than {MOST_BYTES:,} bytes, and was left out"
            log.warning("flow.response_too_large", flow=flow, bytes=len(answered))
            answered = encode(Answered({}, warning))
        self._tell(event_id, {FLOWS: encode(sorted({flow, *flows})), field(flow): answered})

    def nothing(self, event_id: str) -> None:
        """See there."""
        self._tell(event_id, {FLOWS: encode([])})

    def _tell(self, event_id: str, fields: dict[Any, Any]) -> None:
        if self._clock() < self._away_until_s:
            return
        key = self._keys.of(event_id)
        try:
            with translated(), self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping=fields)
                pipe.expire(key, KEPT_S)
                pipe.publish(self._keys.told, event_id)
                pipe.execute()
        except Unavailable as exc:
            self._away_until_s = self._clock() + AWAY_S
            log.warning("flows.not_answered", error=str(exc), what="whoever waits is told at the deadline")
