"""Does one fault to the kit's own hub and takes it back."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import stamina
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from hub.chaos import clock, disk, rig
from hub.chaos.engine import patiently
from hub.chaos.plan import ALL_LINKS, STORE, TO_STORE, Fault
from hub.chaos.proxy import Proxy
from hub.chaos.site import STORE_FOLDER, Site
from hub.errors import Unavailable
from schemas.topics import EVENTS

BACK_S: Final = 60.0
"""A process that is not back so long after a fault is down."""
ENGINE_BACK_S: Final = 90.0
"""The same of a search engine, which takes its time to start."""
POLL_S: Final = 0.05
RULES_S: Final = 120.0
"""How long it is tried to set Kafka's rules, or to take them back: with them, nothing would be stored any more."""


class Down(Exception):
    """A process is not there, or does not come back."""


class Faults:
    """All kinds, for one site."""

    def __init__(self, site: Site, proxies: Mapping[str, Proxy], namespace: str, *, small_disks: bool) -> None:
        """Args: proxies: by link. small_disks: whether the store and Kafka are on file systems that may be filled."""
        self._site = site
        self._proxies = proxies
        self._topic = EVENTS.name(namespace)
        self._small_disks = small_disks
        self._kinds: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "kill": lambda fault: self._replace(fault, signal.SIGKILL),
            "restart": lambda fault: self._replace(fault, signal.SIGTERM),
            "strand": self._strand,
            "pause": self._hold,
            "freeze": self._hold,
            "clock": self._bend,
            "cut": self._link,
            "stall": self._link,
            "slow": self._link,
            "join": self._join,
            "full": self._fill,
            "block": self._block,
            "refuse": self._refuse,
            "command": command,
        }

    async def do(self, fault: Fault) -> None:
        """
        From its beginning to its end, when all is as it was, except that processes may still be coming back.

        Raises: Down: the process to which it should be done is not there, and does not come.
        """
        await self._kinds[fault.kind](fault)

    async def until_works(self, name: str) -> None:
        """Raises Down when the process does not get there."""
        await _until(lambda: self._site.works(name), f"{name} is not ready", _back_s(name))

    async def _signal(self, name: str, number: signal.Signals) -> int:
        """To the process as soon as there is one: it may be on its way back from the fault before."""
        deadline = time.monotonic() + _back_s(name)
        while True:
            try:
                return self._site.signal(name, number)
            except ProcessLookupError:
                if time.monotonic() > deadline:
                    raise Down(f"{name} is not running") from None
            await asyncio.sleep(POLL_S)

    async def _replace(self, fault: Fault, number: signal.Signals) -> None:
        pid = await self._signal(fault.target, number)
        # it ends when it is gone; from there on counts how long the next one takes
        await _until(lambda: self._site.pid(fault.target) != pid, f"{fault.target} ({pid}) does not end")

    async def _strand(self, fault: Fault) -> None:
        link = self._proxies[f"{fault.target}-kafka"]
        link.stall()
        try:
            await asyncio.sleep(fault.lasts_s)
            await self._replace(fault, signal.SIGKILL)
        finally:
            link.heal()

    async def _hold(self, fault: Fault) -> None:
        pid = await self._signal(fault.target, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            if self._site.pid(fault.target) == pid:
                self._site.signal(fault.target, signal.SIGCONT)

    async def _bend(self, fault: Fault) -> None:
        file = rig.clock_file(self._site.data, fault.target)
        clock.set_ahead(file, fault.size)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            clock.set_ahead(file, 0)

    async def _link(self, fault: Fault) -> None:
        links = [f"{name}-store" for name in TO_STORE] if fault.target == ALL_LINKS else [fault.target]
        async with AsyncExitStack() as stack:
            for link in links:
                await stack.enter_async_context(disturbed(self._proxies[link], fault))
            await asyncio.sleep(fault.lasts_s)

    async def _join(self, fault: Fault) -> None:
        kind, _, how = fault.target.partition("-")
        process = self._site.one_more(kind)
        try:
            await _until(self._site.extra_works, f"one more {kind} does not get ready")
            await asyncio.sleep(fault.lasts_s)
            process.send_signal(signal.SIGKILL if how == "is-killed" else signal.SIGTERM)
            await _until(lambda: process.poll() is not None, f"one more {kind} does not end")
        finally:
            process.kill()
            process.wait()

    async def _block(self, fault: Fault) -> None:
        engine = self._site.engine
        assert engine is not None
        try:
            await asyncio.to_thread(patiently, lambda: engine.block(fault.kind, fault.target), ENGINE_BACK_S)
        except Unavailable as exc:
            raise Down(str(exc)) from exc
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            await asyncio.to_thread(patiently, engine.unblock, RULES_S)

    async def _fill(self, fault: Fault) -> None:
        if fault.target == STORE and self._site.engine is not None:
            await self._block(fault)
            return
        folder = self._site.data / (STORE_FOLDER if fault.target == STORE else "kafka")
        if self._small_disks:
            disk.fill(folder)
            try:
                await asyncio.sleep(fault.lasts_s)
            finally:
                disk.free(folder)
            return
        names = ("collector", "collector-2") if fault.target == STORE else ("kafka",)
        pids = [pid for pid in map(self._site.pid, names) if pid]
        for pid in pids:
            disk.forbid_growth(pid, forbid=True)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            for pid in pids:
                disk.forbid_growth(pid, forbid=False)

    async def _refuse(self, fault: Fault) -> None:
        admin = AdminClient({"bootstrap.servers": self._site.bootstrap, "log_level": 2})

        def rule(operation: AclOperation, permission: AclPermissionType, make: Any = AclBinding) -> Any:
            where = (ResourceType.TOPIC, self._topic, ResourcePatternType.LITERAL)
            return make(*where, "User:ANONYMOUS", "*", operation, permission)

        # with one rule on a topic, what no rule allows is denied
        allowed = (AclOperation.READ, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
        rules = [rule(operation, AclPermissionType.ALLOW) for operation in allowed]
        await _until_done(lambda: admin.create_acls(rules, request_timeout=10))
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            every = rule(AclOperation.ANY, AclPermissionType.ANY, AclBindingFilter)
            await _until_done(lambda: admin.delete_acls([every], request_timeout=10))


async def _until_done(ask: Callable[[], Mapping[Any, Future[Any]]]) -> None:
    """Kafka may be slow, or just not be there: what is asked twice is done once."""
    async for attempt in stamina.retry_context(on=KafkaException, attempts=None, timeout=RULES_S):
        with attempt:
            for future in ask().values():
                await asyncio.to_thread(future.result)


@asynccontextmanager
async def disturbed(proxy: Proxy, fault: Fault) -> AsyncIterator[None]:
    """A link that is cut, stalled or slow as long as the block runs."""
    if fault.kind == "cut":
        proxy.cut()
    elif fault.kind == "stall":
        proxy.stall()
    else:
        proxy.slow(fault.size)
    try:
        yield
    finally:
        proxy.heal()


async def command(fault: Fault) -> None:
    """A command of the user's. Raises Down when it fails: then it was no fault."""
    done = await asyncio.to_thread(
        subprocess.run, ["/bin/sh", "-c", fault.target], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Down(f"{fault.target!r} ends with {done.returncode}: {done.stderr.strip()}")


def _back_s(name: str) -> float:
    return ENGINE_BACK_S if name == STORE else BACK_S


async def _until(ask: Callable[[], bool], otherwise: str, seconds: float = BACK_S) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(ask):
        if time.monotonic() > deadline:
            raise Down(f"{otherwise} within {seconds:.0f} s")
        await asyncio.sleep(POLL_S)
