"""A producer with a thread that serves its delivery reports while its user does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from confluent_kafka import Producer

from hub.log.fatal import Fatal, give_up, serve

TICK_S: Final = 0.1
"""How long the thread waits for a report; also the longest that closing waits for it."""


class Polled:
    """
    A context manager: at its end, what is not acknowledged is reported as failed.

    After a fatal error all that it held is reported as failed, too. Whoever begins anew then anyway sends no more by
    it; for all others it goes on with a new `producer`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        name: str,
        *,
        heard: Callable[[], object] = lambda: None,
        renews: bool = False,
    ) -> None:
        """
        Connects when something is sent.

        Args:
            name: Of the thread.
            heard: Called on it after reports have come.
            renews: Whether it goes on after a fatal error. What comes next may then be there without what failed.
        """
        self._config = dict(config)
        self.producer = Producer(self._config)
        self._heard = heard
        self._renews = renews
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        give_up(self.producer)

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                if not serve(self.producer, TICK_S):
                    continue
            except Fatal:
                if self._renews:
                    self.producer = Producer(self._config)
                else:
                    self._over.set()
            self._heard()
