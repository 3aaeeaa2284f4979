"""The proxy of the chaos kit: lets through, cuts, stalls, slows, heals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import pytest

from hub.chaos.proxy import HOST, Proxy
from hub.stack.ports import free_port


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1024):
        writer.write(data)
    writer.close()


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
    server = await asyncio.start_server(echo, HOST, 0)
    proxy = Proxy(free_port(), HOST, server.sockets[0].getsockname()[1])
    await proxy.start()
    yield proxy
    await proxy.close()
    server.close()


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
