"""Something that is kept running: started, started again with back-off when it breaks, stopped."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from bridges.registry import BridgeError
from bridges.reserve import Reserve
from bridges.state import Meters, Watch
from hub import settings
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.secrets import scrubbed
from hub.errors import HubError, Refused
from hub.log.bulk import BulkWindow
from hub.log.sealing import Sealing
from hub.pipeline.stop_rule import StopRule
from hub.store.port import Blobs
from schemas.bridges import Status

if TYPE_CHECKING:  # what is off is not imported
    from hub.telemetry.tracing import Tracing

log: Final = structlog.get_logger()

FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 10.0


class NotByItself(Refused):
    """It is not tried again until somebody has changed the definition, or says so."""


class Hub(NamedTuple):
    """What everything that a process keeps shares. `process`: its id, which no other process ever has."""

    kafka: settings.Kafka
    namespace: str
    limits: settings.Limits
    in_flight: int
    catalogue: Catalogue
    blobs: Blobs
    environ: Mapping[str, str]
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    stop_share: float = settings.Bridges().stop_share
    stop_window: int = settings.Bridges().stop_window
    bulk: BulkWindow | None = None
    process: str = ""
    sealing: Sealing | None = None
    reserve: Reserve | None = None
    tracing: Tracing | None = None
    telemetry: settings.Telemetry = settings.Telemetry()
    egress: settings.Egress = settings.Egress()


class Kept(ABC):
    """
    Keeps one version of one definition running.

    Attributes:
        entry: Of the catalogue.
        watch: How it is doing.
        stop_rule: Counts what is refused; begins anew with `retry`.
    """

    first_retry_s = FIRST_RETRY_S
    longest_retry_s = LONGEST_RETRY_S

    def __init__(self, id: str, entry: Entry, hub: Hub, status: Status, meters: Meters) -> None:
        """Starts at once, on the running loop. Args: status: with what is known of it before."""
        self.entry = entry
        self._id = id
        self._hub = hub
        self._noun = meters.noun
        self._stopping = asyncio.Event()
        self._again = asyncio.Event()
        """It is to be tried again at once, or stopped."""
        self.stop_rule = self._new_rule()
        self._failures = 0
        self.watch = Watch(status, hub.now_ms, meters)
        self._task = asyncio.create_task(self._keep(), name=f"{meters.noun}-{id}")

    @abstractmethod
    async def _session(self) -> None:
        """From connect to close; returns when it is stopped. Raises what broke it."""

    @abstractmethod
    def _halt(self) -> None:
        """Let the session end soon, with what is in flight."""

    @abstractmethod
    def _secrets(self) -> list[str]:
        """What must not be shown to anybody."""

    def _words(self, exc: Exception) -> str:
        """Of what broke a session."""
        return str(exc)

    @abstractmethod
    def look(self) -> None:
        """Bring the status level with what is known; call it about once a second."""

    async def stop(self) -> None:
        """Let what is in flight arrive, then close."""
        self._stopping.set()
        self._again.set()
        self._halt()
        await self._task
        self.watch.enter("stopped")
        self.watch.forget()

    def retry(self) -> None:
        """If it is broken, try again now: back-off and stop rule begin anew."""
        if self.watch.status.state == "failed":
            self.stop_rule = self._new_rule()
            self._failures = 0
            self._again.set()

    def _new_rule(self) -> StopRule:
        return StopRule(self._hub.stop_share, self._hub.stop_window)

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            forwarded = self.watch.status.forwarded
            least_s = 0.0
            try:
                await self._session()
            except NotByItself as exc:
                await self._fail(str(exc), None)
                continue
            except (HubError, BridgeError) as exc:
                error, least_s = self._words(exc), float(getattr(exc, "after_s", 0.0))
            except Exception as exc:  # a fault in one adapter must not stop the others
                log.exception(f"{self._noun}.fault", **{self._noun: self._id})
                error = f"fault in the {self._noun}: {exc!r}"
            else:
                continue
            self._failures = 1 if self.watch.status.forwarded > forwarded else self._failures + 1
            delay_s = min(self.longest_retry_s, self.first_retry_s * 2 ** min(self._failures - 1, 20))
            await self._fail(error, max(least_s, delay_s * random.uniform(0.8, 1.2)))

    async def _fail(self, error: str, retry_in_s: float | None) -> None:
        """Say what is wrong, and wait; returns when it is time for another try, or to stop."""
        self._again.clear()
        self.watch.failed(scrubbed(error, self._secrets()), retry_in_s)
        if not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(retry_in_s):
                    await self._again.wait()


def first_status(id: str, kind: str, entry: Entry, hub: Hub, rewinds_to: list[str]) -> Status:
    """Of something that has just been started here."""
    return Status(
        bridge=id,
        kind=kind,
        version=entry.version,
        started_ms=hub.now_ms(),
        rewinds_to=rewinds_to,
        process=hub.process,
        host=socket.gethostname(),
    )
