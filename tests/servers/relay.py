"""TLS in front of a server that speaks none: for those whose programs come without it, and for those in Python."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hub.chaos.proxy import stop_listening
from tests.servers import tls


@asynccontextmanager
async def relay(port: int, folder: Path, *, asks: bool = False) -> AsyncIterator[int]:
    """
    Its port on 127.0.0.1.

    Args: port: where the server is, or will be. folder: gets the certificates, `ca.pem` among them. asks: whether
    clients need a certificate of that authority.
    """
    tls.make(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    if asks:
        context.load_verify_locations(folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        ends.append(writer)
        try:
            await writer.start_tls(context)
            back, forth = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # who came speaks no TLS or does not trust us; or the server is gone, and so are we
            writer.close()
            return
        ends.append(forth)
        await asyncio.gather(pump(reader, forth), pump(back, writer))

    tasks: set[asyncio.Task[None]] = set()
    ends: list[asyncio.StreamWriter] = []
    # TLS begins in `accept`: what is still shaking hands as the test ends could not be closed otherwise
    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        await stop_listening(listening)
        while tasks:
            for end in ends:
                end.transport.abort()
            await asyncio.wait(tasks, timeout=0.1)
        await asyncio.sleep(0)  # what was aborted is closed
