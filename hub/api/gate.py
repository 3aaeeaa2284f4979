"""May an event source send so much, now? What its definition says about size and pace."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import cast

from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Source
from hub.edge.token_bucket import TokenBucket
from hub.errors import OverLimit


class Gate:
    """Counts the events of sources that have a rate limit, in this process. Use it on one event loop."""

    def __init__(self, catalogue: Catalogue, clock: Callable[[], float] = time.monotonic) -> None:
        """Args: clock: seconds, which do not go back."""
        self._catalogue = catalogue
        self._clock = clock
        self._buckets: dict[str, tuple[float, TokenBucket]] = {}

    def enter(self, source_id: str, body_bytes: int, events: int) -> None:
        """
        Let a request pass that could go onto the log otherwise.

        A payload with more events than there is room for goes as well, as it cannot be cut; the next one waits for it.

        Args:
            body_bytes: Size of the body, unpacked.
            events: How many it has, at least 1.

        Raises:
            OverLimit: body_too_large or rate_limited.
        """
        entry = self._catalogue.entry("source", source_id)
        if entry is None:
            return
        spec = cast("Source", entry.spec)
        if spec.body_bytes and body_bytes > spec.body_bytes:
            raise OverLimit(
                "body_too_large",
                f"the body has {body_bytes} bytes; the event source may send {spec.body_bytes}",
                source_id,
                limit="body_bytes",
                value=spec.body_bytes,
            )
        if spec.rate_limit:
            self._pace(source_id, spec.rate_limit, events)

    def _pace(self, source_id: str, rate: float, events: int) -> None:
        now_s = self._clock()
        known = self._buckets.get(source_id)
        if known is None or known[0] != rate:
            known = self._buckets[source_id] = (rate, TokenBucket(rate, now_s))
        bucket = known[1]
        if not bucket.room(now_s):
            wait_s = bucket.wait_s
            raise OverLimit(
                "rate_limited",
                f"the event source may send {rate:g} events a second; there is room in {wait_s:.1f} s",
                source_id,
                limit="rate_limit",
                value=rate,
                retry_after_s=max(1, math.ceil(wait_s)),
            )
        bucket.spend(events)
