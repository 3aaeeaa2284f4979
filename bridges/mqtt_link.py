"""One connection to an MQTT broker: its settings, the client, and what breaks it in words."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import structlog
from paho.mqtt import MQTTException
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from pydantic import AfterValidator, BeforeValidator, Field

from bridges.base import Context, Delivery
from bridges.bell import together
from bridges.encoding import inflated
from bridges.network import TlsSettings, connect_error, tls_context
from hub.definitions.secrets import SecretRef, resolve
from hub.edge.mapping import ID_HEADER
from hub.errors import PortError, Refused, Unavailable

log: Final = structlog.get_logger()

CONNECT_S: Final = 10.0
TICK_S: Final = 1.0
GOODBYE_S: Final = 1.0
READ_BYTES: Final = 65_536
HELD_BYTES: Final = 64 * 1024 * 1024
"""Messages that wait to be taken; above it nothing is read, so that the broker keeps the others."""
FOR_EVER_S: Final = 0xFFFF_FFFF
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
CORRELATION: Final = "correlation-data"
TAKEN_OVER: Final = 0x8E

_PUBACK: Final = 0x40
_PUBREC: Final = 0x50
_PINGREQ: Final = 0xC0
_DISCONNECT: Final = 0  # not its number, by which paho knows it
_CONTENT_TYPE, _RESPONSE_TOPIC, _CORRELATION, _SUBSCRIPTION, _USER = 0x03, 0x08, 0x09, 0x0B, 0x26
_SKIPPED: Final = {0x01: 1, 0x02: 4, 0x23: 2}
"""Properties that nobody asks for, and their bytes: payload format, expiry, topic alias."""
_TRY_AGAIN: Final = {0x80, 0x88, 0x89, 0x97, 0x9C, 0x9F}
"""Reasons of a refusal that pass: unspecified, unavailable, busy, quota, use another server, too many connections."""


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("write mqtt://host:port, or mqtts://host:port for TLS")
    if "@" in parts.netloc:
        raise ValueError("leave the user and the password out of the URL: there are `username` and `password`")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("nothing may follow the port: topics have settings of their own")
    return url


def _filters(topics: list[str]) -> list[str]:
    for topic in topics:
        levels = plain(topic).split("/")
        mixed = any(len(level) > 1 and ("#" in level or "+" in level) for level in levels)
        if levels == [""] or mixed or "#" in levels[:-1]:
            raise ValueError(
                f"{topic!r} is no topic filter: + stands for one level, # for all that follow, as in shop/+/orders/#"
            )
    return topics


def plain(topic: str) -> str:
    """The filter of a shared subscription, such as `orders/#` of `$share/group/orders/#`."""
    return topic.split("/", 2)[2] if topic.startswith("$share/") and topic.count("/") > 1 else topic


class MqttServer(TlsSettings, frozen=True, extra="forbid"):
    """Settings that say where the broker is, and who we are there."""

    url: Annotated[
        str,
        AfterValidator(_address),
        Field(description="The broker, mqtt://host:port (1883 if left out); mqtts:// for TLS (8883)."),
    ]
    version: Annotated[Literal["5", "3.1.1"], Field(description="Of the protocol.")] = "5"
    username: Annotated[str, Field(description="Empty: none.")] = ""
    password: Annotated[SecretRef, Field(description="A secret: env:NAME, or sealed by the API.")] = ""
    keepalive_s: Annotated[
        int, Field(ge=2, le=3_600, description="A dead connection is noticed after at most twice this.")
    ] = 7


class MqttSettings(MqttServer, frozen=True, extra="forbid"):
    """Settings of a bridge of type `mqtt`."""

    topics: Annotated[
        list[str],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        AfterValidator(_filters),
        Field(min_length=1, description="Topic filters: one, or a list. +, # and $share/group/filter as in MQTT."),
    ]
    qos: Annotated[Literal[1, 2], Field(description="Quality of service of the subscription.")] = 1
    client_id: Annotated[str, Field(description="Names the session. Empty: <namespace>.bridge.<bridge id>.")] = ""
    prefetch: Annotated[
        int, Field(ge=1, le=65_535, description="Most messages that the broker sends before the first is acknowledged.")
    ] = 1_000
    retained: Annotated[
        bool, Field(description="Whether a topic's retained message is taken when the bridge subscribes.")
    ] = True
    id_from: Annotated[
        str,
        Field(description=f"MQTT 5: user property that holds a message's own id, or {CORRELATION}."),
    ] = ID_HEADER


class MqttDelivery(Delivery):
    """An MQTT message. `packet`: its packet identifier, which is acknowledged."""

    topic: str = ""
    qos: int = 0
    packet: int = 0
    retained: bool = False
    content_type: str | None = None
    correlation_data: bytes | None = None
    response_topic: str | None = None

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: topic, qos, retained, content_type, correlation_data, response_topic."""
        correlation = self.correlation_data
        return {
            **super().meta(),
            "topic": self.topic,
            "qos": self.qos,
            "retained": self.retained,
            "content_type": self.content_type,
            "correlation_data": None if correlation is None else correlation.decode(errors="replace"),
            "response_topic": self.response_topic,
        }


class Dialer(paho.Client):
    """paho's client, which leaves a connection open with which TLS has failed; here it is closed."""

    tls: ssl.SSLContext | None = None

    def _create_socket(self) -> socket.socket:
        sock = socket.create_connection((self.host, self.port), CONNECT_S)
        if self.tls is None:
            return sock
        try:
            return self.tls.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise


class Client(Dialer):
    """
    paho's client, for messages that are acknowledged when somebody has stored them.

    Two things of paho's are replaced. It answers a message of QoS 2 with PUBREC before anybody has seen it, and then
    the broker forgets the message: here PUBREC is the acknowledgement. It asks the kernel four times for each message:
    here once for all that have come.
    """

    def __init__(
        self, arrived: Callable[[int, bytes], None], client_id: str, protocol: MQTTProtocolVersion, lasting: bool
    ) -> None:
        """Args: arrived: gets flags and content of each PUBLISH packet."""
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if protocol == MQTTProtocolVersion.MQTTv5 else not lasting,
            protocol=protocol,
            reconnect_on_failure=False,
        )
        self._arrived = arrived
        self._buffer = b""
        self._at = 0
        self._may_read = False

    def acknowledge(self, packets: Sequence[tuple[int, int]]) -> None:
        """Args: packets: (QoS, packet identifier), in the order in which they came."""
        pack = struct.Struct("!BBH").pack
        answers = b"".join([pack(_PUBACK if qos == 1 else _PUBREC, 2, packet) for qos, packet in packets])
        self._packet_queue(_PUBACK, answers, 0, 1)

    def ping_blindly(self) -> None:
        """Say that we are alive, without asking for the answer: nothing is read at the moment."""
        self._send_simple_command(_PINGREQ)

    def say_goodbye(self) -> None:
        """
        DISCONNECT, and the broker closes.

        paho's own closes at once: with anything unread, that resets the connection, and the broker would not read our
        last acknowledgements.
        """
        self._packet_queue(_DISCONNECT, b"\xe0\x00", 0, 1)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """What has come, up to READ_BYTES; a part of a packet is kept."""
        self._may_read = True
        while True:
            rc = super().loop_read(max_packets)
            sock = self.socket()
            if rc or sock is None:
                return rc
            if self._at >= len(self._buffer):
                # the event loop sees what the kernel has, not what OpenSSL has taken from it
                if not (isinstance(sock, ssl.SSLSocket) and sock.pending()):
                    return rc
                self._may_read = True

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._buffer):
            if not self._may_read:
                raise BlockingIOError
            self._may_read = False
            self._buffer = super()._sock_recv(READ_BYTES)
            self._at = 0
        chunk = self._buffer[self._at : self._at + bufsize]
        self._at += len(chunk)
        return chunk

    def _handle_publish(self) -> MQTTErrorCode:
        self._arrived(self._in_packet["command"], bytes(self._in_packet["packet"]))
        return MQTTErrorCode.MQTT_ERR_SUCCESS


class Link:
    """
    One connection, served by the event loop: no thread, so no message is handed over.

    Attributes:
        waiting: Messages that nobody has taken yet.
    """

    def __init__(self, settings: MqttSettings, context: Context, name: str, *, lasting: bool) -> None:
        """Args: name: client id. lasting: whether the broker keeps the session."""
        self.waiting: deque[MqttDelivery] = deque()
        self._settings = settings
        self._name = name
        self._lasting = lasting
        self._five = settings.version == "5"
        parts = urlsplit(settings.url)
        self._host, self._port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._address = f"{self._host}:{self._port}"
        self._password = resolve(settings.password, context.environ)
        self._loop = asyncio.get_running_loop()
        protocol = MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311
        self._client = Client(self._arrived, name, protocol, lasting)
        self._run = uuid.uuid4().hex
        self._number = 0
        self._held_bytes = 0
        self._news = asyncio.Event()
        self._error: PortError | None = None
        self._answer: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._granted = False
        self._file = -1
        self._reading = False
        self._closing = False
        self._gone = asyncio.Event()
        self._pinged_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Connect and subscribe. Raises Unavailable, Refused."""
        settings, client = self._settings, self._client
        if urlsplit(settings.url).scheme == "mqtts":
            client.tls = tls_context(settings)
        if settings.username:
            client.username_pw_set(settings.username, self._password or None)
        client.on_connect = lambda _, __, ___, reason, ____: _settle(self._answer, reason)
        client.on_subscribe = lambda _, __, ___, reasons, ____: self._subscribed(reasons)
        client.on_disconnect = lambda _, __, flags, reason, ____: self._lost(
            reason if flags.is_disconnect_packet_from_server else None, reason
        )
        client.on_socket_close = lambda _, __, ___: self._unregister()
        await self._connect()
        self._register()
        try:
            async with asyncio.timeout(CONNECT_S):
                reason = await self._answer
        except TimeoutError as exc:
            raise connect_error(exc, self._address, "settings.url") from exc
        if reason.is_failure:
            raise self._denied(reason)
        self._subscribe()
        # the answer comes behind what the session holds, which may be more than we read before anybody takes it
        deadline = self._loop.time() + CONNECT_S
        while not (self._granted or self.waiting):
            left_s = deadline - self._loop.time()
            if left_s <= 0:
                raise connect_error(TimeoutError(), self._address, "settings.url")
            await self.arrival(left_s)
            self.check()

    async def close(self) -> None:
        """Say goodbye, with the acknowledgements that are under way. Never raises."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        client = self._client
        try:
            if self._file >= 0 and client.is_connected():
                self._resume()
                client.say_goodbye()
                self._write()
                async with asyncio.timeout(GOODBYE_S):
                    await self._gone.wait()
        except (OSError, ValueError, TimeoutError) as exc:
            log.warning("bridge.close_failed", client=self._name, error=repr(exc))
        finally:
            self._unregister()
            sock = client.socket()
            if sock is not None:
                sock.close()

    def check(self) -> None:
        """Raises what broke the connection."""
        if self._error is not None:
            raise self._error

    async def arrival(self, timeout_s: float) -> None:
        """Wait for a message, or for the end of the connection."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    def pop(self, limit: int) -> list[MqttDelivery]:
        """Up to `limit` of those that wait."""
        waiting = self.waiting
        taken = [waiting.popleft() for _ in range(min(limit, len(waiting)))]
        self._held_bytes -= sum(len(delivery.body) for delivery in taken)
        if not self._reading and not self._full:
            self._resume()
        return taken

    def acknowledge(self, packets: Sequence[tuple[int, int]]) -> None:
        """See Client.acknowledge."""
        self._client.acknowledge(packets)
        self._write()

    async def _connect(self) -> None:
        if self._five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = FOR_EVER_S if self._lasting else 0
            properties.ReceiveMaximum = self._settings.prefetch
            options: dict[str, Any] = {"clean_start": not self._lasting, "properties": properties}
        else:
            options = {}
        keepalive_s = self._settings.keepalive_s
        try:
            await asyncio.to_thread(self._client.connect, self._host, self._port, keepalive_s, **options)
        except (OSError, ValueError) as exc:
            raise connect_error(exc, self._address, "settings.url") from exc

    def _subscribe(self) -> None:
        settings = self._settings
        topics = settings.topics if self._lasting else [plain(topic) for topic in settings.topics]
        if not self._five:
            qos: int = settings.qos
            self._client.subscribe([(topic, qos) for topic in topics])
            return
        # once for each new subscription, not at each connection
        handling = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB if settings.retained else SubscribeOptions.RETAIN_DO_NOT_SEND
        options = SubscribeOptions(settings.qos, retainHandling=handling)
        self._client.subscribe([(topic, options) for topic in topics])

    # what the event loop calls

    def _register(self) -> None:
        sock = self._client.socket()
        if sock is None:
            return  # lost again already: on_disconnect has said why
        self._file = sock.fileno()
        self._client.on_socket_register_write = lambda _, __, ___: self._watch_write()
        self._client.on_socket_unregister_write = lambda _, __, ___: self._unwatch_write()
        self._pinged_at = self._loop.time()
        self._resume()
        self._timer = self._loop.call_later(together(self._loop.time(), TICK_S), self._tick)
        self._write()

    def _unregister(self) -> None:
        self._gone.set()
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            self._loop.remove_writer(self._file)
            self._file = -1
        self._reading = False

    def _resume(self) -> None:
        if self._file >= 0:
            self._reading = True
            self._loop.add_reader(self._file, self._readable)

    @property
    def _full(self) -> bool:
        return len(self.waiting) >= self._settings.prefetch or self._held_bytes >= HELD_BYTES

    def _readable(self) -> None:
        try:
            self._client.loop_read()
        except (struct.error, IndexError, ValueError, KeyError, MQTTException) as exc:
            self._break(Unavailable("source", f"{self._address} sends what is no MQTT: {exc!r}. Is it an MQTT port?"))
            return
        if self._full and self._reading:
            self._reading = False
            self._loop.remove_reader(self._file)

    def _write(self) -> None:
        if self._client.want_write():
            self._client.loop_write()

    def _watch_write(self) -> None:
        if self._file >= 0:
            self._loop.add_writer(self._file, self._write)

    def _unwatch_write(self) -> None:
        if self._file >= 0:
            self._loop.remove_writer(self._file)

    def _tick(self) -> None:
        now = self._loop.time()
        if self._reading:
            self._client.loop_misc()
        elif now - self._pinged_at >= self._settings.keepalive_s / 2:
            self._pinged_at = now
            self._client.ping_blindly()
            self._write()
        if self._error is None and not self._closing:
            self._timer = self._loop.call_later(together(self._loop.time(), TICK_S), self._tick)

    def _arrived(self, flags: int, packet: bytes) -> None:
        if self._closing:
            return
        delivery = self._delivery(flags, packet)
        self._held_bytes += len(delivery.body)
        self.waiting.append(delivery)
        self._news.set()

    def _delivery(self, flags: int, packet: bytes) -> MqttDelivery:
        """A PUBLISH packet; MQTT 5, section 3.3."""
        qos = flags >> 1 & 3
        at = 2 + (packet[0] << 8 | packet[1])
        topic = packet[2:at].decode(errors="replace")
        identifier = 0
        if qos:
            identifier = packet[at] << 8 | packet[at + 1]
            at += 2
        retained = bool(flags & 1)
        delivery = MqttDelivery(b"", "", topic=topic, qos=qos, packet=identifier, retained=retained)
        own: str | None = None
        if not self._five:
            delivery.body = packet[at:]
        elif not packet[at]:
            delivery.body = packet[at + 1 :]
        else:
            length, at = _variable(packet, at)
            own = self._read_properties(delivery, packet, at, at + length)
            if not delivery.body:
                delivery.body = packet[at + length :]
        delivery.position = f"{topic}/{own}" if own else self._fresh(topic)
        return delivery

    def _read_properties(self, delivery: MqttDelivery, packet: bytes, at: int, end: int) -> str | None:
        """
        Of MQTT 5, section 3.3.2.3, into the delivery. Returns the message's own id, if it has one.

        By hand: paho takes 30 µs for one property, which is more than all the rest.
        """
        own: str | None = None
        headers: list[tuple[str, bytes | None]] = []
        while at < end:
            kind = packet[at]
            at += 1
            if kind in _SKIPPED:
                at += _SKIPPED[kind]
                continue
            if kind == _SUBSCRIPTION:
                _, at = _variable(packet, at)
                continue
            value, at = _field(packet, at)
            if kind == _USER:
                name = value.decode(errors="replace")
                value, at = _field(packet, at)
                headers.append((name, value))
                if name == self._settings.id_from:
                    own = value.decode(errors="replace")
                if name.lower() == "content-encoding":
                    delivery.body = inflated(packet[end:], value.decode(errors="replace"))
            elif kind == _CORRELATION:
                delivery.correlation_data = value
                if self._settings.id_from == CORRELATION and value:
                    own = value.decode("latin-1")
            elif kind == _CONTENT_TYPE:
                delivery.content_type = value.decode(errors="replace")
            elif kind == _RESPONSE_TOPIC:
                delivery.response_topic = value.decode(errors="replace")
            else:
                raise ValueError(f"a message has the property {kind}, which messages do not have")
        delivery.headers = headers
        return own

    def _fresh(self, topic: str) -> str:
        """A position that no other message has, as MQTT has none that stays."""
        self._number += 1
        return f"{topic}/{self._run}-{self._number}"

    # how it ends

    def _lost(self, told: ReasonCode | None, reason: ReasonCode) -> None:
        if self._closing:
            return
        if told is not None and told.value == TAKEN_OVER:
            words = (
                f"another client has come to {self._address} with the client id {self._name}, which only one may have: "
                "stop it, or set settings.client_id"
            )
        elif told is not None:
            words = f"{self._address} has ended the connection: {told}"
        elif not self._answer.done():
            words = (
                f"{self._address} closes the connection without an answer. Is it an MQTT port, and does it ask for TLS "
                "(then write mqtts:// in settings.url)?"
            )
        else:
            words = (
                f"the connection to {self._address} is lost ({reason}). If that goes on, look at the network and the "
                f"broker's log: another client may have the client id {self._name}, which only one may have"
            )
        self._break(Unavailable("source", words))

    def _break(self, error: PortError) -> None:
        self._error = self._error or error
        self._unregister()
        if not self._answer.done():
            self._answer.set_exception(self._error)
            self._answer.exception()  # nobody may be waiting for it
        self._news.set()

    def _subscribed(self, reasons: Sequence[ReasonCode]) -> None:
        self._granted = True
        self._news.set()
        for topic, granted in zip(self._settings.topics, reasons, strict=False):
            if granted.is_failure:
                words = f"does not let us subscribe to {topic} ({granted}): allow it to {self._who} at the broker"
            elif granted.value == 0:
                words = f"grants {topic} with QoS 0 only, where messages get lost: allow QoS 1 at the broker"
            else:
                continue
            self._break(Refused("source", f"{self._address} {words}, or correct settings.topics"))

    @property
    def _who(self) -> str:
        return f"the user {self._settings.username}" if self._settings.username else "clients without a user name"

    def _denied(self, reason: ReasonCode) -> PortError:
        words = f"{self._address} does not take the connection of {self._who}: {reason} (client id {self._name})"
        if reason.value in _TRY_AGAIN:
            return Unavailable("source", words)
        mend = {
            0x84: 'set settings.version to "3.1.1", or to "5"',
            0x85: "set settings.client_id to one that the broker takes",
            0x86: "correct settings.username and the secret of settings.password",
            0x87: "correct settings.username and the secret of settings.password, or allow this user at the broker",
        }.get(reason.value, "the broker's log may say more")
        return Refused("source", f"{words}: {mend}")


def _settle(answer: asyncio.Future[Any], value: Any) -> None:
    if not answer.done():
        answer.set_result(value)


def _variable(packet: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer, and where it ends; section 1.5.5."""
    value, shift = 0, 0
    while True:
        byte = packet[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _field(packet: bytes, at: int) -> tuple[bytes, int]:
    """Text or binary data with its length in front, and where it ends."""
    end = at + 2 + (packet[at] << 8 | packet[at + 1])
    return packet[at + 2 : end], end
