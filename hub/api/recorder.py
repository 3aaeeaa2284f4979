"""Keeps every version of every definition in the store, as the catalogue takes them in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import structlog

from hub.definitions.catalogue import Applied
from hub.errors import PortError
from hub.store.port import DefinitionVersion, Versions

log: Final = structlog.get_logger()

RETRY_S: Final = 1.0
AT_ONCE: Final = 500


class Kept(Versions, Protocol):
    """What it needs of a store."""

    def close(self) -> None:
        """Give it back."""
        ...


class Recorder:
    """
    Writes on a thread of its own, so that a store that is away holds up no definition.

    What could not be written before the process ends is read from definitions.v1 at the next start: each API process
    gives the store all that is on the topic, and the store keeps what it has not got.
    """

    def __init__(self, open: Callable[[], Kept]) -> None:
        """Args: open: the store, for writing; called when there is something to write. Raises PortError."""
        self._open = open
        self._waiting: list[Applied] = []
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="versions", daemon=True)
        self._thread.start()

    def take(self, applied: Applied) -> None:
        """Keep this one. Any thread; does not wait."""
        with self._news:
            self._waiting.append(applied)
            self._news.notify_all()

    def settle(self, timeout_s: float) -> bool:
        """Wait until all that was given is kept. Returns: whether it is."""
        with self._news:
            return self._news.wait_for(lambda: not self._waiting, timeout_s)

    def close(self) -> None:
        """What is waiting is left for the next start."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._thread.join()

    def _run(self) -> None:
        store: Kept | None = None
        failed = False
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._closed, None)
                if self._closed:
                    break
                some = self._waiting[:AT_ONCE]
            try:
                store = store or self._open()
                store.keep_versions([_row(applied) for applied in some])
                failed = False
            except PortError as exc:
                if not failed:
                    log.warning("definitions.versions_not_kept", error=str(exc), again_in_s=RETRY_S)
                failed = True
                with self._news:
                    self._news.wait_for(lambda: self._closed, RETRY_S)
                continue
            with self._news:
                del self._waiting[: len(some)]
                self._news.notify_all()
        if store is not None:
            store.close()


def _row(applied: Applied) -> DefinitionVersion:
    spec = None if applied.spec is None else msgspec.json.encode(applied.spec).decode()
    return DefinitionVersion(applied.kind, applied.id, applied.version, applied.at_ms, spec)
