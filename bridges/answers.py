"""Answers what the API asks of the bridge processes: a trial of a definition, a rewind, another try."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from bridges.base import Rewind
from bridges.leases import TROUBLE
from bridges.runner import Hub, Runner
from bridges.trial import trial
from hub.definitions import kinds
from hub.errors import HubError, PortError, Refused, Unavailable
from schemas.bridges import REPLY_S, Call, CallError, Keys, Reply, decode_call, encode

log: Final = structlog.get_logger()

BLOCK_S: Final = 5
"""How long one question to Redis waits for a call."""
AWAY_S: Final = 1.0
MOST_AT_ONCE: Final = 4


class Answers:
    """Takes calls off the lists in Redis, some at a time, and puts each reply where its caller waits."""

    def __init__(self, redis: Redis, keys: Keys, runner: Runner, hub: Hub) -> None:
        """Args: redis: whose answers may take longer than BLOCK_S."""
        self._redis = redis
        self._keys = keys
        self._runner = runner
        self._hub = hub
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._open: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled; what is being answered then is given up."""
        lists = [self._keys.calls_of(self._hub.process), self._keys.calls]
        try:
            while True:
                await self._room.acquire()
                try:
                    found = await self._redis.blpop(lists, timeout=BLOCK_S)
                except TROUBLE:
                    found = None
                    await asyncio.sleep(AWAY_S)
                if found is None:
                    self._room.release()
                    continue
                task = asyncio.create_task(self._serve(found[1]), name="answer")
                self._open.add(task)
                task.add_done_callback(self._served)
        finally:
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._room.release()

    async def _serve(self, text: bytes | str) -> None:
        try:
            call = decode_call(text)
        except msgspec.DecodeError as exc:
            log.warning("bridges.call_unreadable", error=str(exc))
            return
        if self._hub.now_ms() >= call.deadline_ms:
            return  # nobody waits for it any more
        log.info("bridges.call", what=call.what, bridge=call.bridge)
        reply = await self._reply(call)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.rpush(self._keys.reply(call.id), encode(reply))
                pipe.expire(self._keys.reply(call.id), REPLY_S)
                await pipe.execute()
        except TROUBLE as exc:
            log.warning("bridges.reply_lost", what=call.what, bridge=call.bridge, error=str(exc))

    async def _reply(self, call: Call) -> Reply:
        try:
            return Reply(result=await self._result(call))
        except Unavailable as exc:
            return Reply(error=CallError("unavailable", exc.port, exc.detail))
        except PortError as exc:
            return Reply(error=CallError("refused", exc.port, exc.detail))
        except HubError as exc:
            return Reply(error=CallError("refused", "bridge", str(exc)))
        except Exception as exc:  # whoever asked must not wait for nothing
            log.exception("bridges.call_fault", what=call.what, bridge=call.bridge)
            return Reply(error=CallError("unavailable", "bridges", f"fault in the bridge process: {exc!r}"))

    async def _result(self, call: Call) -> dict[str, object]:
        match call.what:
            case "retry":
                return {"runs_here": self._runner.retry(call.bridge)}
            case "rewind":
                if call.place is None:
                    raise Refused("bridge", "a rewind without a place")
                await self._runner.rewind(call.bridge, Rewind(call.place.to, call.place.at_ms, call.place.offset))
                return {}
            case "test":
                hub = self._hub
                return await trial(
                    call.bridge,
                    self._definition(call),
                    call.messages,
                    namespace=hub.namespace,
                    environ=hub.environ,
                    catalogue=hub.catalogue,
                    limits=hub.limits,
                    egress=hub.egress,
                    now_ms=hub.now_ms(),
                )

    def _definition(self, call: Call) -> kinds.Bridge:
        try:
            return kinds.Bridge.model_validate(call.definition)
        except ValidationError as exc:
            raise Refused("bridge", "this process is of another version than the API: upgrade both") from exc
