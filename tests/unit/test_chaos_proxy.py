"""The proxy of the chaos kit: lets through, cuts, stalls, slows, heals."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import pytest

from hub.chaos.proxy import HOST, Proxy, stop_listening
from hub.stack.ports import free_port


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """The port of a server that sends everything back. Who is connected at its end has to go by then."""
    tasks: set[asyncio.Task[None]] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError):
            while data := await reader.read(1024):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    yield server.sockets[0].getsockname()[1]
    await stop_listening(server)
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)  # what they have closed is closed


Connect: TypeAlias = Callable[[Proxy], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connects to a proxy; closed after the test."""
    writers = []

    async def to(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writers.append(writer)
        return reader, writer

    yield to
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with echoing() as port:
        proxy = Proxy(free_port(), HOST, port)
        await proxy.start()
        yield proxy
        await proxy.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello")
    return await reader.read(5)


async def test_lets_through(proxy: Proxy, connect: Connect) -> None:
    reader, writer = await connect(proxy)
    assert await ask(reader, writer) == b"hello"
    writer.close()
    assert await reader.read() == b""


async def test_a_cut_breaks_what_is_open_and_what_comes(proxy: Proxy, connect: Connect) -> None:
    reader, writer = await connect(proxy)
    assert await ask(reader, writer) == b"hello"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    again, out = await connect(proxy)
    with pytest.raises(ConnectionResetError):
        await ask(again, out)
    proxy.heal()
    assert await ask(*await connect(proxy)) == b"hello"


async def test_a_stall_keeps_what_was_sent_until_it_is_over(proxy: Proxy, connect: Connect) -> None:
    reader, writer = await connect(proxy)
    assert await ask(reader, writer) == b"hello"
    proxy.stall()
    writer.write(b"later")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(5), 0.2)
    proxy.heal()
    assert await reader.readexactly(5) == b"later"


async def test_slow_is_both_ways(proxy: Proxy, connect: Connect) -> None:
    reader, writer = await connect(proxy)
    proxy.slow(0.1)
    began = time.monotonic()
    assert await ask(reader, writer) == b"hello"
    assert time.monotonic() - began >= 0.2


async def test_nobody_behind_it(connect: Connect) -> None:
    lonely = Proxy(free_port(), HOST, free_port())
    await lonely.start()
    reader, writer = await connect(lonely)
    with pytest.raises(ConnectionResetError):
        await ask(reader, writer)
    await lonely.close()


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("steps", range(7))
def test_whoever_comes_as_it_is_closed_is_let_go(steps: int, leaves: bool) -> None:
    """However far the connection has got on the event loop, no socket of it stays open: a later test would fail."""

    async def run() -> None:
        async with echoing() as port:
            proxy = Proxy(free_port(), HOST, port)
            await proxy.start()
            with socket.create_connection((HOST, proxy.port)) as client:
                for _ in range(steps):
                    await asyncio.sleep(0)
                if leaves:
                    client.close()
                await asyncio.wait_for(proxy.close(), 10)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what other tests have left is not meant
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(run())
        gc.collect()
    assert not [str(one.message) for one in caught]
