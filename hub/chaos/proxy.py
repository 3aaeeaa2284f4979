"""A TCP proxy that can cut, hold up and slow down what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

CHUNK: Final = 65_536
HOST: Final = "127.0.0.1"
_STEPS: Final = 5
"""Of the event loop: more than lie between a connection that comes and its handler."""


class Proxy:
    """One link: listens on a port of this machine, connects to a server. Use it on one event loop."""

    def __init__(self, port: int, host: str, to: int) -> None:
        """Args: port: to listen on; host, to: of the server."""
        self.port = port
        self._target = (host, to)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut = False
        self._ends = False
        self._delay_s = 0.0
        self._flows = asyncio.Event()
        self._flows.set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def close(self) -> None:
        """Close everything."""
        if self._server is not None:
            await stop_listening(self._server)
        self._ends = True
        self.heal()
        self.drop()
        # each ends by itself now; cancelled, asyncio would print a traceback for every connection
        await asyncio.gather(*self._tasks)

    def cut(self) -> None:
        """Every connection breaks at once (RST), new ones too, until `heal`."""
        self._cut = True
        self.drop()

    def stall(self) -> None:
        """Connections stay, and nothing moves on them, until `heal`."""
        self._flows.clear()

    def slow(self, delay_s: float) -> None:
        """Every piece is held for so long, both ways, until `heal`."""
        self._delay_s = delay_s

    def heal(self) -> None:
        """As if nothing had been."""
        self._cut = False
        self._delay_s = 0.0
        self._flows.set()

    def drop(self) -> None:
        """Break what is open; what comes anew is let through."""
        for writer in tuple(self._open):
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._cut or self._ends:
            _reset(writer)
            return
        try:
            back, forth = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)  # as the server would: nobody is there
            return
        ends = {writer, forth}
        if self._ends:
            for end in ends:
                _reset(end)
            return
        self._open |= ends
        try:
            # whichever way ends first ends the connection: neither HTTP clients nor Kafka's leave one half open
            ways = {asyncio.create_task(self._pump(reader, forth)), asyncio.create_task(self._pump(back, writer))}
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._open -= ends
            for end in ends:
                end.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # the connection is gone, and with it our work
            while data := await source.read(CHUNK):
                await self._flows.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                sink.write(data)
                await sink.drain()


async def stop_listening(server: asyncio.Server) -> None:
    """
    Close it, once what it has taken is with its handler.

    What asyncio accepts in the very moment in which a server is closed is seen by nobody, and its socket stays open.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(_STEPS):
        await asyncio.sleep(0)
    server.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST, as from a peer that has lost its memory; an orderly end is no fault."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it is closed already, and asyncio has not told us yet
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
