"""Which traces are kept: a share of what comes, and what clients ask for, up to a limit."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from hub.edge.token_bucket import TokenBucket
from hub.telemetry.context import Context


class Decision(NamedTuple):
    """`parent`: whose trace it belongs to; None: to one of its own."""

    keeps: bool
    parent: Context | None


class Sampler:
    """
    Decides where a trace enters the hub; all behind that follows the header. For one thread.

    What a client has said that it does not keep is not kept here either.
    """

    def __init__(
        self,
        share: float,
        asked_per_s: float,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """Args: share: 0 to 1. asked_per_s: traces that senders may ask for; 0: what they say is not looked at."""
        self._share = share
        self._clock = clock
        self._dice = dice
        self._bucket = TokenBucket(asked_per_s, clock()) if asked_per_s else None

    def decide(self, asked: Context | None) -> Decision:
        """Args: asked: what came along."""
        if asked is None or self._bucket is None:
            return Decision(self._dice() < self._share, None)
        if not asked.sampled:
            return Decision(False, asked)
        if self._bucket.room(self._clock()) >= 1:
            self._bucket.spend(1)
            return Decision(True, asked)
        return Decision(self._dice() < self._share, asked)
