"""TLS in front of a server that speaks none: for those whose programs come without it, and for those in Python."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers import tls


@asynccontextmanager
async def relay(port: int, folder: Path) -> AsyncIterator[int]:
    """
    Its port on 127.0.0.1.

    Args: port: where the server is, or will be. folder: gets the certificates, `ca.pem` among them.
    """
    tls.make(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # the server is gone, and so are we
            writer.close()
            return
        await asyncio.gather(pump(reader, forth), pump(back, writer))

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
