"""Every enabled bridge definition runs, each for itself."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import structlog

from bridges.base import Bridge, Context
from bridges.convert import Converter
from bridges.forward import Forwarder, TooMuchRefused
from bridges.outlet import OPTIONS, Outlet
from bridges.registry import BridgeError, spec_of, validate
from bridges.state import Status, Watch
from hub import settings
from hub.definitions import kinds
from hub.definitions.catalogue import Catalogue, Entry
from hub.edge.mapping import compile_mapping
from hub.errors import HubError
from hub.log.bulk import BulkWindow
from hub.log.config import producer_config
from hub.pipeline.stop_rule import StopRule
from hub.store.port import Blobs
from schemas.topics import EVENTS

log: Final = structlog.get_logger()

FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 10.0


class Hub(NamedTuple):
    """What every bridge of the process shares."""

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


class Runner:
    """Keeps the running bridges level with the catalogue's enabled definitions."""

    def __init__(self, hub: Hub) -> None:
        """Use it on one event loop."""
        self._hub = hub
        self._running: dict[str, _Keeper] = {}

    def statuses(self) -> list[Status]:
        """One for each bridge that should run, by id."""
        return [self._running[id].watch.status for id in sorted(self._running)]

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set: then each bridge finishes what it has in flight and closes."""
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._hub.catalogue.on_change(lambda: _wake(loop, changed))
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            while not stop.is_set():
                changed.clear()
                await self._reconcile()
                change = asyncio.create_task(changed.wait(), name="definitions")
                await asyncio.wait({change, stopping}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
        finally:
            stopping.cancel()
            await asyncio.gather(*(keeper.stop() for keeper in self._running.values()))

    async def _reconcile(self) -> None:
        entries = self._hub.catalogue.entries("bridge")
        wanted = {id: entry for id, entry in entries.items() if entry.spec.enabled}
        outdated = [id for id, keeper in self._running.items() if id not in wanted or wanted[id] != keeper.entry]
        # the old version lets go of its messages before the new one asks for them
        await asyncio.gather(*(self._running[id].stop() for id in outdated))
        for id in outdated:
            del self._running[id]
        for id, entry in wanted.items():
            if id not in self._running:
                self._running[id] = _Keeper(id, entry, self._hub)


class _Keeper:
    """One version of one bridge: started, started again with back-off when it breaks, stopped."""

    def __init__(self, id: str, entry: Entry, hub: Hub) -> None:
        assert isinstance(entry.spec, kinds.Bridge)
        self.entry = entry
        self._id = id
        self._definition = entry.spec
        self._hub = hub
        self._stopping = asyncio.Event()
        self._stop_rule = StopRule(hub.stop_share, hub.stop_window)
        self._forwarder: Forwarder | None = None
        self.watch = Watch(Status(bridge=id, kind=entry.spec.type, version=entry.version), hub.now_ms)
        self._task = asyncio.create_task(self._keep(), name=f"bridge-{id}")

    async def stop(self) -> None:
        """Let what is in flight arrive, then close."""
        self._stopping.set()
        if self._forwarder is not None:
            self._forwarder.stop()
        await self._task
        self.watch.enter("stopped")
        self.watch.forget()

    async def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            forwarded = self.watch.status.forwarded
            try:
                await self._session()
            except TooMuchRefused as exc:
                # not tried again: only another version of the definition, which gets a keeper of its own, can help
                self.watch.failed(str(exc), None)
                await self._stopping.wait()
                return
            except (HubError, BridgeError) as exc:
                error = str(exc)
            except Exception as exc:  # a fault in one adapter must not stop the other bridges
                log.exception("bridge.fault", bridge=self._id)
                error = f"fault in the bridge: {exc!r}"
            else:
                continue
            failures = 1 if self.watch.status.forwarded > forwarded else failures + 1
            await self._back_off(error, failures)

    async def _back_off(self, error: str, failures: int) -> None:
        delay_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(failures - 1, 10)) * random.uniform(0.8, 1.2)
        self.watch.failed(error, delay_s)
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _session(self) -> None:
        """From connect to close; returns when it is stopped. Raises what broke it."""
        hub, definition = self._hub, self._definition
        self.watch.enter("starting")
        validate(definition)
        spec = spec_of(definition.type)
        bridge: Bridge = spec.build(
            spec.settings.model_validate(definition.settings), Context(self._id, hub.namespace, hub.environ)
        )
        converter = Converter(
            bridge=self._id,
            kind=definition.type,
            source=definition.source,
            mapping=None if definition.mapping is None else compile_mapping(definition.mapping),
            catalogue=hub.catalogue,
            limits=hub.limits,
        )
        outlet = Outlet(producer_config(hub.kafka, **OPTIONS), EVENTS.name(hub.namespace))
        try:
            await bridge.connect()
            self._forwarder = Forwarder(
                bridge,
                converter,
                outlet,
                hub.blobs,
                self.watch,
                in_flight=hub.in_flight,
                stall_s=hub.kafka.delivery_timeout_s,
                stop_rule=self._stop_rule,
                now_ms=hub.now_ms,
                bulk=None if definition.priority == "live" else hub.bulk,
            )
            if not self._stopping.is_set():
                self.watch.enter("running")
                await self._forwarder.run()
        finally:
            self._forwarder = None
            await bridge.close()
            await outlet.close()


def _wake(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    """Called on the follower's thread, which may outlive the loop by a moment."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(changed.set)
