"""NATS JetStream as a source: a stream, read through a durable pull consumer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from math import inf
from typing import Any, Final

import msgspec
from nats import errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerInfo, DeliverPolicy, RawStreamMsg, RetentionPolicy
from nats.js.errors import NotFoundError

from bridges.base import WAIT_S, Batch, Bridge, BridgeSpec, Context, Delivery, Part, Rewind
from bridges.bell import Bell, pause
from bridges.encoding import inflated
from bridges.nats_link import ConsumerLink, NatsSettings
from hub.ending import cancelled
from hub.errors import PortError, Refused, Unavailable

GATHER_S: Final = 0.002
"""How long it then waits for company."""
ROUND: Final = 500
"""Most messages that are asked for at once."""
ROUND_BYTES: Final = 64 * 1024 * 1024
LINGER_S: Final = 5.0
"""How long the server keeps a request that it has nothing for."""
WATCH_S: Final = 1.0
LEFT_BEHIND: Final = 100_000
"""Of the messages that the bridge had before, most that are asked for at once instead of after their time."""
NAK: Final = b"-NAK"
IN_PROGRESS: Final = b"+WPI"
_encode: Final = msgspec.json.Encoder().encode


class NatsDelivery(Delivery):
    """A message of a stream. `reply`: where its acknowledgement goes."""

    subject: str = ""
    stream: str = ""
    sequence: int = 0
    delivered: int = 1
    reply: str = ""

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: subject, stream, sequence, delivered (how often)."""
        return {
            **super().meta(),
            "subject": self.subject,
            "stream": self.stream,
            "sequence": self.sequence,
            "delivered": self.delivered,
        }


class _Held:
    """Messages that were taken together. `told_at`: when the server last heard that they are being worked on."""

    __slots__ = ("replies", "told_at")

    def __init__(self, replies: list[str], told_at: float) -> None:
        self.replies = replies
        self.told_at = told_at


class NatsBridge(Bridge):
    """
    Pulls, and acknowledges each message by itself.

    Not all up to one at once (AckPolicy ALL): that would also acknowledge those that a dead bridge had taken and that
    have not come again yet. A batch's acknowledgements are one write.
    """

    def __init__(self, settings: NatsSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._link: ConsumerLink | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None
        self._waiting: deque[NatsDelivery] = deque()
        self._held: dict[int, _Held] = {}
        self._news = Bell()
        self._ack_wait_s = settings.ack_wait_s
        self._inbox = ""
        self._round = 0
        self._asked = 0
        """Messages that were asked for and have not come."""
        self._asked_until = 0.0
        self._taken_at = self._told_at = self._looked_at = 0.0
        """When it was asked last (inf: it is being asked), and `_keep` told the server and asked for its figures."""
        self._pending: int | None = None
        self._position = ""

    async def connect(self) -> None:
        """Raises Unavailable when no server or stream is there, Refused when the server denies access."""
        link = self._link = ConsumerLink(self._settings, self._context)
        link.on_end = self._news.ring
        await link.open()
        await link.stream()
        info = await link.consumer() or await link.make_consumer()
        self._check_consumer(info)
        self._ack_wait_s = info.config.ack_wait or self._ack_wait_s
        self._pending = info.num_pending
        self._inbox = link.client.new_inbox()
        self._subscription = await link.ask(
            link.client.subscribe(f"{self._inbox}.*", cb=self._arrived, pending_msgs_limit=0, pending_bytes_limit=0)
        )
        await self._ask_for_left_behind(link, info)
        self._taken_at = asyncio.get_running_loop().time()
        self._keeper = asyncio.create_task(self._keep(link), name=f"keep-alive-{self._context.bridge}")

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        link = self._connected()
        self._taken_at = inf
        await self._ask(link, limit)
        if not self._waiting:
            await self._arrival(WAIT_S)
        self._taken_at = asyncio.get_running_loop().time()
        if 0 < len(self._waiting) < limit and self._asked:
            await asyncio.sleep(GATHER_S)
        link.check()
        waiting = self._waiting
        taken = [waiting.popleft() for _ in range(min(limit, len(waiting)))]
        if not taken:
            return Batch(taken)
        held = _Held([delivery.reply for delivery in taken], asyncio.get_running_loop().time())
        self._held[id(held)] = held
        self._position = taken[-1].position
        await self._ask(link, limit)  # they come while these are being forwarded
        return Batch(taken, held)

    async def ack(self, batch: Batch) -> None:
        """Sent at once."""
        held: _Held = batch.token
        link = self._connected()
        self._held.pop(id(held), None)
        await self._tell(link, held.replies, b"")

    async def close(self) -> None:
        """See Bridge.close. Acknowledgements are flushed; what has none comes to the next one that connects."""
        link, self._link = self._link, None
        if self._keeper is not None:
            await cancelled([self._keeper])
        if link is not None:
            # nothing is given back here: the last request would have it sent to us again, and out of order
            await link.close(self._subscription)
        self._waiting.clear()
        self._held.clear()

    def lag(self) -> int | None:
        """Messages that were not asked for yet, as the newest message said, and those that wait here."""
        return None if self._pending is None else self._pending + len(self._waiting)

    def parts(self) -> Sequence[Part]:
        """The stream."""
        return (Part(self._settings.stream, self.lag(), self._position),)

    async def sample(self, limit: int) -> Sequence[Delivery]:
        """The next ones of the consumer; when none wait, the newest of the stream. No consumer is touched."""
        link = ConsumerLink(self._settings, self._context)
        try:
            await link.open()
            state = (await link.stream()).state
            info = await link.consumer()
            at = max(state.first_seq, state.last_seq - limit + 1)
            if info is not None and info.ack_floor is not None and (info.num_pending or info.num_ack_pending):
                at = info.ack_floor.stream_seq + 1
            elif info is None and self._settings.start == "earliest":
                at = state.first_seq
            found: list[Delivery] = []
            while len(found) < limit:
                try:
                    raw = await link.ask(
                        link.js.get_msg(self._settings.stream, max(at, 1), self._settings.subject or ">", next=True)
                    )
                except NotFoundError:
                    break
                assert raw.seq is not None
                assert raw.time is not None
                at = raw.seq + 1
                found.append(_delivery(raw, raw.seq, int(raw.time.timestamp() * 1000), self._settings.stream))
            return found
        finally:
            await link.close()

    async def rewind(self, to: Rewind) -> None:
        """The consumer is made again, to begin there. Raises Unavailable, Refused."""
        where: dict[str, Any] = {"deliver_policy": DeliverPolicy.ALL}
        if to.to == "offset":
            if not to.offset.isdigit() or int(to.offset) < 1:
                raise Refused("source", f"{to.offset!r} is no sequence number of a stream: write 1 or more")
            where = {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": int(to.offset)}
        elif to.to == "time":
            at = datetime.fromtimestamp(to.at_ms / 1000, UTC)
            where = {"deliver_policy": DeliverPolicy.BY_START_TIME, "opt_start_time": at}
        link = ConsumerLink(self._settings, self._context)
        try:
            await link.open()
            retention = (await link.stream()).config.retention
            if retention and retention != RetentionPolicy.LIMITS:
                kept = f"with {RetentionPolicy(retention).value} retention it keeps no message that is acknowledged"
                raise Refused("source", f"stream {self._settings.stream} cannot be rewound: {kept}")
            with contextlib.suppress(NotFoundError):
                await link.ask(link.js.delete_consumer(self._settings.stream, link.durable))
            await link.make_consumer(**where)
        finally:
            await link.close()

    def _check_consumer(self, info: ConsumerInfo) -> None:
        """Raises Refused: with this consumer messages would be lost, or others would come."""
        config, name, wanted = info.config, info.name, self._settings.subject
        found = config.filter_subject or ""
        if config.deliver_subject:
            words = "pushes; a bridge needs one that is pulled"
        elif config.ack_policy != AckPolicy.EXPLICIT:
            words = f"has the ack policy {config.ack_policy}; a bridge needs explicit, or messages could be lost"
        elif config.filter_subjects or found != wanted:
            filters = ", ".join(config.filter_subjects or [found or "everything"])
            words = f"reads {filters}; settings.subject says {wanted or 'everything'}"
        else:
            return
        raise Refused(
            "source",
            f"the consumer {name} {words}. Set settings.durable to another name, or remove it "
            f"(nats consumer rm {self._settings.stream} {name}): the bridge makes its own",
        )

    async def _ask_for_left_behind(self, link: ConsumerLink, info: ConsumerInfo) -> None:
        """
        What the bridge had taken before: now, and so in its order before what is newer, instead of after ack_wait_s.

        Each is given back in its name. What the consumer has seen acknowledged, or never sent, it does not know: it
        takes no notice.
        """
        if not info.num_ack_pending or info.num_waiting or info.ack_floor is None or info.delivered is None:
            return  # nothing, or another process reads too and may be working on them
        if self._settings.domain:
            return  # the subjects of acknowledgements are longer there
        first, last = info.ack_floor.stream_seq + 1, info.delivered.stream_seq
        if last - first >= LEFT_BEHIND:
            return
        prefix = f"$JS.ACK.{self._settings.stream}.{info.name}.1"
        replies = [f"{prefix}.{sequence}.{info.delivered.consumer_seq}.0.0" for sequence in range(first, last + 1)]
        await self._tell(link, replies[:-1], NAK)
        with contextlib.suppress(errors.TimeoutError, errors.NoRespondersError):
            await link.client.request(replies[-1], NAK, timeout=1)  # it has seen them all when it answers
        await self._gather(link, last, info.num_ack_pending)

    async def _gather(self, link: ConsumerLink, last: int, count: int) -> None:
        """
        Have all that was left behind before any of it is taken, the oldest first.

        The server gives them in the order in which it gave them up: one whose time was over already before one that
        was given back just now, or that it could not deliver in between. Newer ones come behind all of them.
        """
        while len(self._waiting) < count and not any(delivery.sequence > last for delivery in self._waiting):
            before = len(self._waiting)
            await self._ask(link, before + ROUND)
            if len(self._waiting) == before:
                await self._arrival(WAIT_S)
            if len(self._waiting) == before:
                break  # they have been acknowledged after all, or another process has them
            link.check()
        self._waiting = deque(sorted(self._waiting, key=lambda delivery: delivery.sequence))

    async def _ask(self, link: ConsumerLink, limit: int) -> None:
        """For the next round, unless one is under way or enough wait."""
        now = asyncio.get_running_loop().time()
        if (self._asked and now < self._asked_until) or len(self._waiting) >= limit:
            return
        self._round += 1
        self._asked = min(limit, ROUND)
        self._asked_until = now + LINGER_S + 1
        request = {
            "batch": self._asked,
            "expires": int(LINGER_S * 1e9),
            "max_bytes": max(ROUND_BYTES, link.client.max_payload + 65_536),
        }
        next_one = f"{link.api}.CONSUMER.MSG.NEXT.{self._settings.stream}.{link.durable}"
        await link.ask(link.client.publish(next_one, _encode(request), f"{self._inbox}.{self._round}"))

    async def _arrived(self, message: Msg) -> None:
        reply = message.reply
        if not reply.startswith("$JS.ACK."):
            self._on_status(message)
            return
        tokens = reply.split(".")
        at = 4 if len(tokens) == 9 else 6  # with a domain and an account in front
        delivered, sequence, _, time_ns, pending = tokens[at : at + 5]
        delivery = _delivery(message, int(sequence), int(time_ns) // 1_000_000, tokens[at - 2])
        delivery.delivered = int(delivered)
        delivery.reply = reply
        self._pending = int(pending)
        self._asked -= 1
        self._waiting.append(delivery)
        self._news.ring()

    def _on_status(self, message: Msg) -> None:
        """The end of a round: nothing came, or something is wrong."""
        if message.subject.rpartition(".")[2] != str(self._round):
            return  # of an earlier one, which was given up
        self._asked = 0
        headers = message.headers or {}
        status, words = headers.get("Status", ""), headers.get("Description", "")
        link = self._link
        if link is None:
            return
        if status == "408" or (status == "409" and "maxbytes" in words.lower()):
            self._news.ring()  # who waits for messages has to ask for the next round, or none come
            return
        if status == "503" or (status == "409" and "deleted" in words.lower()):
            link.break_off(
                Unavailable(
                    "source",
                    f"the consumer of stream {self._settings.stream} is gone ({words or 'nobody answers'}): was it "
                    "deleted, or the stream? The bridge makes the consumer again when the stream is there",
                )
            )
        elif status == "409" and "push" in words.lower():
            link.break_off(Refused("source", f"consumer {link.durable}: {words}. Set settings.durable to another name"))
        elif status not in ("404", "409"):  # 409: too many wait, the leader changed
            link.break_off(Unavailable("source", f"consumer {link.durable}: {status} {words}"))

    async def _tell(self, link: ConsumerLink, replies: Sequence[str], what: bytes) -> None:
        publish = link.client.publish
        try:
            for reply in replies:
                await publish(reply, what)
        except (errors.Error, OSError) as exc:
            link.check()
            raise Unavailable("source", f"cannot acknowledge: {exc}") from exc

    async def _keep(self, link: ConsumerLink) -> None:
        """While our Kafka takes its time: tell the server that nothing is forgotten, and see how much waits there."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(PortError):
            while True:
                await pause(min(WATCH_S, self._ack_wait_s / 4))
                now = loop.time()
                soon_s = self._ack_wait_s / 3
                for held in [held for held in self._held.values() if now - held.told_at > soon_s]:
                    held.told_at = now
                    await self._tell(link, held.replies, IN_PROGRESS)
                if self._waiting and now - max(self._taken_at, self._told_at) > soon_s:
                    self._told_at = now
                    await self._tell(link, [delivery.reply for delivery in self._waiting], IN_PROGRESS)
                if now - max(self._taken_at, self._looked_at) > WATCH_S:
                    self._looked_at = now
                    info = await link.consumer()
                    self._pending = None if info is None else info.num_pending

    async def _arrival(self, timeout_s: float) -> None:
        self._news.hush()
        await self._news.rings(timeout_s)

    def _connected(self) -> ConsumerLink:
        if self._link is None:
            raise Unavailable("source", "the bridge is closed")
        self._link.check()
        return self._link


def _delivery(message: Msg | RawStreamMsg, sequence: int, time_ms: int, stream: str) -> NatsDelivery:
    delivery = NatsDelivery(
        message.data or b"",
        f"{stream}/{sequence}",
        time_ms,
        subject=message.subject or "",
        stream=stream,
        sequence=sequence,
    )
    if message.headers:
        delivery.headers = [(name, value.encode()) for name, value in message.headers.items()]
        for name, value in message.headers.items():
            if name.lower() == "content-encoding":
                delivery.body = inflated(delivery.body, value)
    return delivery


SPEC: Final = BridgeSpec(
    "nats",
    "Read a stream of NATS JetStream.",
    NatsSettings,
    NatsBridge,
    frozenset({"beginning", "time", "offset"}),
)
