"""Every enabled definition of a kind, such as bridges, that this process has the lease of runs, each for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple

import structlog

from bridges import trial
from bridges.base import Rewind
from bridges.bell import pause
from bridges.keeper import Hub, Keeper
from bridges.kept import Kept
from bridges.leases import TROUBLE, AllMine, Leases
from bridges.registry import is_brought
from bridges.reports import Reports
from hub.definitions import kinds
from hub.definitions.catalogue import Entry
from hub.definitions.secrets import scrubbed
from hub.ending import cancelled
from hub.errors import PortError, Refused, Unavailable
from schemas.bridges import Status

__all__ = ["Hub", "Runner"]

log: Final = structlog.get_logger()

LOOK_S: Final = 1.0
"""Between two looks at how the bridges are doing."""
REWIND_S: Final = 30.0


class Family(NamedTuple):
    """
    What a runner runs.

    Attributes:
        kind: Of definition.
        runs: Whether one of that kind runs in such a process at all.
        keep: Starts one version.
        rewind: Lets one that does not run begin elsewhere. Raises Unavailable, Refused, ValueError.
        secrets: Of a definition, which must not be shown.
    """

    kind: str
    runs: Callable[[Entry], bool]
    keep: Callable[[str, Entry, Hub], Kept]
    rewind: Callable[[str, Entry, Hub, Rewind], Awaitable[None]]
    secrets: Callable[[Entry, Hub], list[str]]


class Runner:
    """
    Keeps the running bridges level with the catalogue's enabled definitions and the leases.

    Attributes:
        family: What it runs.
    """

    def __init__(
        self,
        hub: Hub,
        leases: Leases | None = None,
        reports: Reports | None = None,
        family: Family | None = None,
    ) -> None:
        """
        Use it on one event loop.

        Args:
            leases: None: all is its own.
            reports: None: nobody is told.
            family: None: the bridges.
        """
        self._hub = hub
        self.family = family or BRIDGES
        self._leases: Leases = leases or AllMine()
        self._reports = reports
        self._running: dict[str, Kept] = {}
        self._leaving: dict[str, Kept] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        """Bridges on their way out; the next version waits until it has let go of its messages."""
        self._rewinding: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def trouble(self) -> str:
        """What is wrong with the leases, in words; empty if nothing is."""
        return self._leases.trouble

    def statuses(self) -> list[Status]:
        """One for each bridge that runs here, or has not let go of its messages yet, by id."""
        keepers = {**self._leaving, **self._running}
        return [keepers[id].watch.status for id in sorted(keepers)]

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set: then each bridge finishes what it has in flight and closes."""
        loop = asyncio.get_running_loop()
        self._hub.catalogue.on_change(lambda: _wake(loop, self._changed))
        stopping = asyncio.create_task(stop.wait(), name="stop")
        helpers = [
            asyncio.create_task(self._leases.run(self._changed.set), name="leases"),
            asyncio.create_task(self._look(), name="look"),
        ]
        try:
            while not stop.is_set():
                self._changed.clear()
                self._reconcile()
                change = asyncio.create_task(self._changed.wait(), name="change")
                done, _ = await asyncio.wait({change, stopping, *helpers}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
                for helper in helpers:
                    if helper in done:
                        helper.result()  # neither ends by itself: it is a fault, and the process has to say so
        finally:
            stopping.cancel()
            await asyncio.gather(*(keeper.stop() for keeper in self._running.values()), *self._ending.values())
            if self._reports is not None:
                await self._reports.publish(self.statuses())
            await cancelled(helpers)
            await self._leases.close()

    def retry(self, id: str) -> bool:
        """Try a broken bridge again now. Returns: whether it runs here."""
        keeper = self._running.get(id)
        if keeper is not None:
            keeper.retry()
        return keeper is not None

    async def rewind(self, id: str, to: Rewind) -> None:
        """
        Let a bridge read again from there. One that runs here is stopped before and started after.

        Raises:
            Unavailable: It runs elsewhere, or the broker is away.
            Refused: There is no such bridge, or this kind cannot.
        """
        if id in self._rewinding:
            raise Unavailable("bridge", "it is being rewound already: try again in a moment")
        entry = self._entry(id)
        self._rewinding.add(id)
        try:
            await self._claim(id)
            self._end_one(id)
            if id in self._ending:
                await asyncio.shield(self._ending[id])
            await self._rewind(id, entry, to)
        finally:
            self._rewinding.discard(id)
            self._changed.set()
        kind = self.family.kind
        log.info(f"{kind}.rewound", **{kind: id}, to=to.to)

    def _entry(self, id: str) -> Entry:
        kind = self.family.kind
        entry = self._hub.catalogue.entry(kind, id)
        if entry is None:
            raise Refused(kind, f"there is no {kind} with this id")
        return entry

    async def _claim(self, id: str) -> None:
        try:
            mine = await self._leases.claim(id)
        except TROUBLE as exc:
            raise Unavailable("redis", f"Redis does not answer the bridge process: {exc}") from exc
        if not mine:
            raise Unavailable("bridge", "another process has just taken it over: try again in a moment")

    async def _rewind(self, id: str, entry: Entry, to: Rewind) -> None:
        try:
            async with asyncio.timeout(REWIND_S):
                await self.family.rewind(id, entry, self._hub, to)
        except TimeoutError as exc:
            raise Unavailable("source", f"the broker has not rewound it within {REWIND_S:g} s: try again") from exc
        except ValueError as exc:  # the definition cannot work
            raise Refused(self.family.kind, str(exc)) from exc
        except PortError as exc:
            exc.detail = scrubbed(exc.detail, self.family.secrets(entry, self._hub))
            raise

    def _reconcile(self) -> None:
        entries = self._hub.catalogue.entries(self.family.kind)
        wanted = {id: entry for id, entry in entries.items() if entry.spec.enabled and self.family.runs(entry)}
        self._leases.want(frozenset(wanted))
        for id, keeper in list(self._running.items()):
            if not self._may_run(id, wanted) or wanted[id] != keeper.entry:
                self._end_one(id)
        for id in self._leases.held() - self._running.keys() - self._ending.keys():
            if not self._may_run(id, wanted) and id not in self._rewinding:
                self._begin(id, self._leases.release(id))
        for id, entry in wanted.items():
            if self._may_run(id, wanted) and id not in self._running and id not in self._ending:
                self._running[id] = self.family.keep(id, entry, self._hub)

    def _may_run(self, id: str, wanted: dict[str, Entry]) -> bool:
        return id in wanted and self._leases.mine(id) and id not in self._rewinding

    def _end_one(self, id: str) -> None:
        keeper = self._running.pop(id, None)
        if keeper is not None:
            self._begin(id, self._stop(id, keeper))

    async def _stop(self, id: str, keeper: Kept) -> None:
        self._leaving[id] = keeper
        try:
            await keeper.stop()
        finally:
            del self._leaving[id]
        if self._reports is not None:
            await self._reports.publish([keeper.watch.status])

    def _begin(self, id: str, ending: Coroutine[Any, Any, None]) -> None:
        """`id` does not start again before `ending` has ended."""
        self._ending[id] = asyncio.create_task(self._end(id, ending), name=f"end-{id}")

    async def _end(self, id: str, ending: Coroutine[Any, Any, None]) -> None:
        try:
            await ending
        except Exception:  # one bridge's fault must not keep the others from being started and stopped
            log.exception(f"{self.family.kind}.fault", **{self.family.kind: id})
        finally:
            del self._ending[id]
            self._changed.set()

    async def _look(self) -> None:
        while True:
            await pause(LOOK_S)
            for keeper in (*self._running.values(), *self._leaving.values()):
                keeper.look()
            if self._hub.reserve is not None:
                self._hub.reserve.look()
            if self._reports is not None:
                await self._reports.publish(self.statuses())


async def _rewind_bridge(id: str, entry: Entry, hub: Hub, to: Rewind) -> None:
    bridge = await trial.build(id, _bridge(entry), hub.namespace, hub.environ, hub.egress)
    await bridge.rewind(to)


def _bridge(entry: Entry) -> kinds.Bridge:
    assert isinstance(entry.spec, kinds.Bridge)
    return entry.spec


BRIDGES: Final = Family(
    "bridge",
    runs=lambda entry: not is_brought(_bridge(entry).type),
    keep=Keeper,
    rewind=_rewind_bridge,
    secrets=lambda entry, hub: trial.secrets(_bridge(entry), hub.environ),
)


def _wake(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    """Called on the follower's thread, which may outlive the loop by a moment."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(changed.set)
