"""Traces of runs: a port, for whoever is given to `hub.flows.runner.Runner`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from hub.flows.effects import Answer, CallHttp
from hub.flows.kept import KeptRun


class RunTraces(Protocol):
    """What is known of the traces that runs belong to. Nothing here raises."""

    def legs(self, runs: Sequence[KeptRun]) -> AbstractContextManager[None]:
        """These go on while the block runs."""
        ...

    def call(self, run: KeptRun, ask: CallHttp, act: Callable[[CallHttp], Answer]) -> Answer:
        """Have a call of a run made by `act`, and let whoever is called know of its trace."""
        ...
