"""Parcels to POST /track: several connections, each profile's rows in order on one of them."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp
import msgspec
import stamina

from hub.send.errors import SendError
from hub.send.parcels import Parcel
from hub.send.tally import Tally

AHEAD: Final = 16
"""Parcels that wait for each connection."""
ANSWER_S: Final = 60.0
FIRST_PAUSE_S: Final = 0.1
BUSY: Final = frozenset({429, 502, 503, 504})
NOT_THE_ROW: Final = frozenset({401, 403, 404, 405})
HEADERS: Final = {"Content-Type": "application/json"}
_Queue: TypeAlias = "asyncio.Queue[Parcel | None]"


class _Busy(Exception):
    """The hub will take it later. `after_s`: what its Retry-After says."""

    def __init__(self, status: int, after_s: float | None) -> None:
        super().__init__(f"the hub answers {status}")
        self.after_s = after_s


class RestSender:
    """
    Sends to one hub. Retries on 429, 502, 503, 504 and broken connections, with growing pauses or as Retry-After says.

    aiohttp and not httpx: on the same core it does 13,400 requests/s against 760, and this is about many of them.
    """

    def __init__(
        self,
        url: str,
        *,
        concurrency: int,
        give_up_after_s: float | None,
        tally: Tally,
        priority: str = "bulk",
        ca_file: Path | None = None,
        api_key: str = "",
    ) -> None:
        """
        Args:
            url: Of the hub, such as `http://127.0.0.1:8686`.
            give_up_after_s: How long one parcel is tried; None: for ever.
            priority: bulk or live: whether rows wait for live events.
            ca_file: Authority to trust in TLS; None: the system's.
            api_key: With the role `collect`; empty: none is sent.
        """
        self._url = url.rstrip("/") + "/track"
        self._concurrency = concurrency
        self._give_up_after_s = give_up_after_s
        self._tally = tally
        key = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._headers = {**HEADERS, "Hub-Priority": priority, **key}
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession

    async def send(self, parcels: Iterable[Parcel]) -> None:
        """Raises SendError."""
        connector = aiohttp.TCPConnector(limit=self._concurrency, ssl=self._trust())
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers) as self._session:
            queues: list[_Queue] = [asyncio.Queue(AHEAD) for _ in range(self._concurrency)]
            try:
                async with asyncio.TaskGroup() as workers:
                    for queue in queues:
                        workers.create_task(self._work(queue))
                    await self._deal(parcels, queues)
            except ExceptionGroup as group:
                raise group.exceptions[0] from None  # the first has cancelled the others

    def _trust(self) -> ssl.SSLContext | bool:
        if self._ca_file is None:
            return True
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise SendError(f"HUB_API__CA_FILE {self._ca_file} cannot be used: {exc}") from exc

    async def _deal(self, parcels: Iterable[Parcel], queues: list[_Queue]) -> None:
        for number, parcel in enumerate(parcels):
            self._tally.opened(parcel)
            # a profile's rows go one after the other: on parallel connections a later one could overtake
            place = zlib.crc32(parcel.key.encode()) if parcel.key else number
            await queues[place % len(queues)].put(parcel)
        for queue in queues:
            await queue.put(None)

    async def _work(self, queue: _Queue) -> None:
        while (parcel := await queue.get()) is not None:
            problem = await self._deliver(parcel)
            if problem is None:
                self._tally.accepted(parcel)
            elif parcel.parts:
                await self._one_by_one(parcel)
            else:
                self._tally.refuse(parcel.lines[0], problem)
                self._tally.settled(parcel)

    async def _one_by_one(self, parcel: Parcel) -> None:
        for part in parcel.parts:
            problem = await self._deliver(part)
            if problem is None:
                self._tally.sent += 1
            else:
                self._tally.refuse(part.lines[0], problem)
        self._tally.settled(parcel)

    async def _deliver(self, parcel: Parcel) -> str | None:
        """None when the hub has it, else why it refused it."""
        try:
            return await self._post(parcel)  # stamina costs as much as the request, so it is for the second try
        except (_Busy, aiohttp.ClientError, TimeoutError) as exc:
            pause_s = self._pause(exc)
            if pause_s is False:
                raise SendError(f"cannot send to {self._url}: {exc!r}") from exc
        await asyncio.sleep(FIRST_PAUSE_S if pause_s is True else pause_s)
        try:
            async for attempt in stamina.retry_context(
                on=self._pause, attempts=None, timeout=self._give_up_after_s, wait_initial=0.1, wait_max=5.0
            ):
                with attempt:
                    return await self._post(parcel)
        except (_Busy, aiohttp.ClientError, TimeoutError) as exc:
            after = "" if self._give_up_after_s is None else f" after {self._give_up_after_s:g} s"
            raise SendError(f"gave up at line {parcel.lines[0]}{after}: {exc}") from exc
        raise AssertionError("unreachable: attempts have no limit")

    async def _post(self, parcel: Parcel) -> str | None:
        async with self._session.post(self._url, data=parcel.body, headers={"Idempotency-Key": parcel.id}) as answer:
            if answer.status < 300:
                await answer.read()
                return None
            if answer.status in BUSY:
                raise _Busy(answer.status, _seconds(answer.headers.get("Retry-After")))
            words = _words(answer.status, await answer.read())
            if answer.status in NOT_THE_ROW and not self._tally.sent:
                raise SendError(f"{self._url} refuses already the first rows: {words}")
            return words

    def _pause(self, error: Exception) -> bool | float:
        if isinstance(error, _Busy):
            self._tally.retried += 1
            return error.after_s if error.after_s is not None else True
        lasting = (aiohttp.InvalidURL, aiohttp.ClientConnectorCertificateError)
        if isinstance(error, (aiohttp.ClientError, TimeoutError)) and not isinstance(error, lasting):
            self._tally.retried += 1
            return True
        return False


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its form as a date is left to the growing pauses."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


def _words(status: int, body: bytes) -> str:
    try:
        problem: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"{status} {body[:200].decode(errors='replace')}"
    where = f" (at {problem['where']})" if problem.get("where") else ""
    return f"{status} {problem.get('reason', '')}: {problem.get('detail', problem.get('title', ''))}{where}"
