"""A connection to RabbitMQ on the event loop, through pika: answers can be awaited, what breaks it is said in words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import pika
from pika import frame
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from bridges.amqp import Arrived, Frames
from bridges.bell import pause
from bridges.network import connect_error
from hub.errors import PortError, Refused, Unavailable

T = TypeVar("T")

CALL_S: Final = 10.0
"""How long the broker may take to answer."""
HEARTBEAT_S: Final = 6
"""Each side says something every half of it."""
SILENT_S: Final = 10.0
"""After three heartbeats that did not come, a connection is dead, whatever TCP says."""
TICK_S: Final = 1.0
NOT_FOUND: Final = 404
DENIED: Final = 403
LOCKED: Final = 405
PRECONDITION: Final = 406
NO_QUEUE: Final = "no queue"
OFFSET: Final = "x-stream-offset"
PORTS: Final = {"amqp": 5672, "amqps": 5671}

# what pika says there comes with the error that is raised, in words that say what to do
logging.getLogger("pika").setLevel(logging.CRITICAL)


class Server:
    """Where RabbitMQ is, of one URL."""

    def __init__(self, url: str, username: str, password: str, context: ssl.SSLContext | None, name: str) -> None:
        """Args: url: amqp:// or amqps://, with the virtual host as its path. name: shown in RabbitMQ's management."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or PORTS[parts.scheme]
        self.address = f"{host}:{port}"
        self.vhost = unquote(parts.path[1:]) or "/"
        self.username = username
        self.tls = context is not None
        self.parameters = pika.ConnectionParameters(
            host,
            port,
            self.vhost,
            pika.PlainCredentials(username, password),
            heartbeat=HEARTBEAT_S,
            connection_attempts=1,
            socket_timeout=CALL_S / 2,
            stack_timeout=CALL_S,
            ssl_options=None if context is None else pika.SSLOptions(context, host),
            client_properties={"connection_name": name},
            tcp_options={"TCP_USER_TIMEOUT": int(SILENT_S * 1000)},
        )

    @property
    def mend_rights(self) -> str:
        """The command that lets the user read."""
        return (
            f"rabbitmqctl set_permissions -p {self.vhost} {self.username} '^CONFIGURE' '^WRITE' '^READ' (patterns; see "
            "docs/bridges/rabbitmq.md)"
        )


class _Connection(AsyncioConnection):  # type: ignore[misc] # pika has no types
    """pika's, which leaves deliveries to Frames once it is open."""

    frames: Frames | None = None
    _frame_buffer: bytes

    def divert(self) -> Frames:
        """From now on."""
        self.frames = Frames(self._pass_on)
        rest, self._frame_buffer = self._frame_buffer, b""
        self.frames.feed(rest)
        return self.frames

    def _on_data_available(self, data: bytes) -> None:
        if self.frames is None:
            super()._on_data_available(data)
        else:
            self.bytes_received += len(data)  # pika's heartbeats look at it
            self.frames.feed(data)

    def _pass_on(self, raw: bytes) -> None:
        self._process_frame(frame.decode_frame(raw)[1])


class _Loop:
    """The event loop as pika sees it, which can leave the socket unread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader: tuple[int, Callable[[], None]] | None = None
        self._held = False
        self.paused = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self._reader = fd, callback
        if not self.paused:
            self._loop.add_reader(fd, callback)

    def remove_reader(self, fd: int) -> bool:
        self._reader = None
        return self._loop.remove_reader(fd)

    def call_soon_threadsafe(self, callback: Callable[[], None], *args: Any) -> object:
        if self.paused and self._reader is not None and callback == self._reader[1]:
            self._held = True  # there is more in TLS's own buffer
            return None
        return self._loop.call_soon_threadsafe(callback, *args)

    def pause(self) -> None:
        if not self.paused and self._reader is not None:
            self.paused = True
            self._loop.remove_reader(self._reader[0])

    def resume(self) -> None:
        if self.paused and self._reader is not None:
            self._loop.add_reader(*self._reader)
            if self._held:
                self._loop.call_soon(self._reader[1])
        self.paused = self._held = False


class Line:
    """A channel. Whoever waits for an answer on it gets the error that ends it."""

    def __init__(self, link: Link) -> None:
        """For Link.line."""
        self.link = link
        self.channel: Any = None
        self.broken: PortError | None = None
        self.code = 0
        """Why the broker has closed it, as AMQP numbers it; 0: it has not."""
        self.said = ""
        """The same in its words."""
        self._waiting: set[asyncio.Future[Any]] = set()
        self._on_broken: list[Callable[[], None]] = []

    @property
    def missing(self) -> bool:
        """It was closed as there is no such queue; not as the queue's node is down."""
        return self.code == NOT_FOUND and NO_QUEUE in self.said

    @property
    def takes_no_offset(self) -> bool:
        """It was closed as what was to be consumed is no stream."""
        return self.code == PRECONDITION and OFFSET in self.said

    def on_delivery(self, sink: Callable[[Arrived], None]) -> None:
        """Whom to give what the channel's consumers get."""
        self.link.frames.sinks[self.channel.channel_number] = sink

    def on_broken(self, call: Callable[[], None]) -> None:
        """To be called once, when `broken` is set."""
        self._on_broken.append(call)

    async def ask(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """
        Call a method of `channel` that answers through `callback`; returns the answer.

        Raises: Unavailable, Refused.
        """
        if self.broken is not None:
            raise self.broken
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            method(*args, callback=lambda *found: _settle(answer, found), **kwargs)
        except AMQPError as exc:
            raise self._why(exc) from exc
        return await self.wait(answer)

    def _why(self, exc: BaseException) -> BaseException:
        return self.broken or self.link.explained(exc)

    async def wait(self, answer: asyncio.Future[T]) -> T:
        """For something that the broker says on this channel. Raises Unavailable, Refused."""
        self._waiting.add(answer)
        try:
            async with asyncio.timeout(CALL_S):
                return await answer
        except TimeoutError as exc:
            raise self.link.unanswered() from exc
        finally:
            self._waiting.discard(answer)

    def fail(self, error: PortError) -> None:
        """It is of no use any more."""
        if self.broken is not None:
            return
        self.broken = error
        self.link.frames.forget(self.channel.channel_number)
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(error)
        for call in self._on_broken:
            call()

    async def close(self) -> None:
        """Give back what is not acknowledged. Raises nothing."""
        if self.broken is None and self.channel.is_open:
            self.link.frames.forget(self.channel.channel_number)
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self.channel.add_on_close_callback(lambda *found: _settle(done, found))
            with contextlib.suppress(AMQPError, TimeoutError):
                self.channel.close()
                async with asyncio.timeout(CALL_S):
                    await done


class Link:
    """One connection. `broken` is set when it is lost; `frames` has the sinks of its channels."""

    def __init__(self, servers: Sequence[Server]) -> None:
        """Args: servers: tried one after the other."""
        self._servers = servers
        self._server = servers[-1]
        self._loop: _Loop | None = None
        self._connection: Any = None
        self._lines: list[Line] = []
        self._watch: asyncio.Task[None] | None = None
        self._blocked = ""
        self.frames: Frames
        self.broken: PortError | None = None

    def unanswered(self) -> Unavailable:
        """What it means that the server does not answer."""
        if not self._blocked:
            return Unavailable("source", f"{self.address} does not answer")
        return Unavailable(
            "source",
            f"{self.address} takes no messages ({self._blocked}), so the offset of a stream cannot be kept there. "
            "`rabbitmq-diagnostics alarms` says what it is short of",
        )

    def fail(self, error: PortError) -> None:
        """Nothing that comes over it is wanted any more."""
        self.broken = self.broken or error
        for line in tuple(self._lines):
            line.fail(self.broken)

    @property
    def address(self) -> str:
        """Of the server that it is connected to."""
        return self._server.address

    async def open(self) -> None:
        """Raises Unavailable, Refused: what the last server's answer means."""
        error: PortError | None = None
        for server in self._servers:
            self._server = server
            try:
                await self._connect()
            except PortError as exc:
                error = exc
            else:
                return
        assert error is not None
        raise error

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._loop = _Loop(loop)
        workflow = _Connection.create_connection(
            [self._server.parameters], lambda result: _settle(done, (result,)), custom_ioloop=self._loop
        )
        try:
            result = await done
        except asyncio.CancelledError:
            with contextlib.suppress(AssertionError):  # it was about to end by itself
                workflow.abort()
            raise
        if isinstance(result, BaseException):
            raise self.explained(result)
        self._connection = result
        self.frames = result.divert()
        result.add_on_close_callback(self._on_close)
        result.add_on_connection_blocked_callback(lambda _, found: self._block(found.method.reason))
        result.add_on_connection_unblocked_callback(lambda *_: self._block(""))
        self._watch = asyncio.create_task(self._watch_silence(), name=f"silence-{self.address}")

    async def line(self) -> Line:
        """A channel of its own. Raises Unavailable, Refused."""
        if self.broken is not None:
            raise self.broken
        line = Line(self)
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            line.channel = self._connection.channel(on_open_callback=lambda *found: _settle(opened, found))
            line.channel.add_on_close_callback(lambda _, reason: self._line_closed(line, reason))
            self._lines.append(line)
        except AMQPError as exc:
            raise self._why(exc) from exc
        await line.wait(opened)
        return line

    def _why(self, exc: BaseException) -> BaseException:
        return self.broken or self.explained(exc)

    def pause(self) -> None:
        """Read nothing until `resume`; if that takes longer than the heartbeats allow, the connection is lost."""
        if self._loop is not None:
            self._loop.pause()

    def resume(self) -> None:
        """Go on."""
        if self._loop is not None:
            self._loop.resume()

    async def close(self) -> None:
        """Settles what was sent before, if the broker answers. Raises nothing."""
        self.resume()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        connection, self._connection = self._connection, None
        if connection is None:
            return
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            connection.add_on_close_callback(lambda *found: _settle(done, found))
            connection.close()
            async with asyncio.timeout(CALL_S / 2):
                await done
        except TimeoutError:
            connection._terminate_stream(AMQPError("no answer"))  # else its socket stays
        except AMQPError:
            return  # it is closed already

    def explained(self, exc: BaseException) -> PortError:
        """What an error of pika's means, and what to do."""
        server = self._server
        exc = _cause(exc)
        if isinstance(exc, ProbableAuthenticationError):
            return Refused(
                "source",
                f"{server.address} does not take the password of the user {server.username}. Correct settings.username "
                f"and settings.password; `rabbitmqctl authenticate_user {server.username}` tries them there (the user "
                "guest may only come from the server's own machine)",
            )
        if isinstance(exc, ProbableAccessDeniedError):
            return Refused(
                "source",
                f"{server.address} does not let the user {server.username} into the virtual host {server.vhost} "
                f"({_text(exc)}). Correct the path of settings.url, or: {server.mend_rights}",
            )
        if isinstance(exc, IncompatibleProtocolError) and not server.tls:
            return Refused(
                "source",
                f"{server.address} does not speak AMQP 0-9-1 without TLS. If it wants TLS (usually port 5671), write "
                "amqps:// in settings.url",
            )
        if isinstance(exc, ChannelClosedByBroker | ConnectionClosedByBroker):
            return self._said(exc.reply_code, exc.reply_text)
        if isinstance(exc, AMQPError):
            return Unavailable("source", f"the connection to {server.address} is lost: {_text(exc)}")
        if "Timeout" in type(exc).__name__:  # pika has several, one a stage
            exc = TimeoutError()
        return connect_error(exc, server.address, "settings.url")

    def _said(self, code: int, text: str) -> PortError:
        server = self._server
        text = text.partition(" - ")[2] or text
        if code == NOT_FOUND and NO_QUEUE not in text:
            return Unavailable("source", f"{server.address}: {text}. The bridge looks for it again")
        if code == NOT_FOUND:
            return Unavailable(
                "source",
                f"{server.address}: {text}. Correct settings.queues, or make it; the bridge looks for it again",
            )
        if code == DENIED and "exclusive use" in text:
            return Unavailable("source", f"somebody else reads it alone: {text}")
        if code == DENIED:
            return Refused("source", f"{server.address}: {text}. On the server: {server.mend_rights}")
        if code == LOCKED:
            return Refused("source", f"the queue belongs to one other connection only: {text}")
        return Unavailable("source", f"{server.address} has ended it: {text} ({code})")

    def _block(self, reason: str) -> None:
        self._blocked = reason

    def _on_close(self, _: Any, reason: BaseException) -> None:
        self.fail(self.explained(reason))

    def _line_closed(self, line: Line, reason: BaseException) -> None:
        self._lines.remove(line)
        if isinstance(reason, ChannelClosedByBroker):
            line.code = reason.reply_code
            line.said = reason.reply_text
        # a channel that ends with its connection ends for its connection's reason
        line.fail(self.broken or self.explained(reason))

    async def _watch_silence(self) -> None:
        """A cut that nobody tells us of: TCP would take minutes to notice, pika up to twice 13 seconds."""
        loop = asyncio.get_running_loop()
        received, at = -1, loop.time()
        while self.broken is None:
            await pause(TICK_S)
            if self._connection.bytes_received != received or (self._loop is not None and self._loop.paused):
                received, at = self._connection.bytes_received, loop.time()
            elif loop.time() - at > SILENT_S:
                self.fail(
                    Unavailable(
                        "source",
                        f"nothing has come from {self.address} for {SILENT_S:g} s, not even heartbeats: the network is "
                        "cut, or the server hangs",
                    )
                )


def _settle(answer: asyncio.Future[Any], found: tuple[Any, ...]) -> None:
    if not answer.done():
        answer.set_result(found[0] if found else None)


def _cause(exc: BaseException) -> BaseException:
    """What is wrapped in pika's errors of connecting."""
    while True:
        inner = getattr(exc, "exceptions", None) or (getattr(exc, "exception", None),)
        if not isinstance(inner[-1], BaseException):
            return exc
        exc = inner[-1]


def _text(exc: BaseException) -> str:
    return ", ".join(str(part) for part in exc.args) or type(exc).__name__
