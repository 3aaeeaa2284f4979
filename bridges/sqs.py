"""Amazon SQS as a source, standard and FIFO queues; ElasticMQ, LocalStack and others that speak its API too."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Final, Literal, TypeVar

import structlog
from botocore import exceptions as errors
from pydantic import Field

from bridges.base import WAIT_S, Batch, Bridge, BridgeSpec, Context, Delivery
from bridges.bell import Bell
from bridges.encoding import inflated
from bridges.sqs_link import ATTEMPTS, FAILURES, MOST, SqsServer, client, port_error, queue_url
from bridges.threads import Threads
from hub.errors import PortError, Unavailable

T = TypeVar("T")
log: Final = structlog.get_logger()

GATHER_S: Final = 0.005
"""How long it then waits for other receives that are under way."""
POLL_S: Final = 20
"""How long SQS holds a request that finds nothing, as long as it can: each costs money, and us two milliseconds."""
SHORT_POLL_S: Final = 1
"""Of the requests beside the first: they are for a backlog, and end soon when there is none."""
CONNECT_S: Final = 4.0
ANSWER_S: Final = 4.0
"""Beyond what SQS was asked to wait: so a connection that says nothing more is noticed in 24 s."""
IN_HAND: Final = 1000
"""Taken and not acknowledged: each has to be kept invisible, so more would be work and no gain."""
CALLERS: Final = 4
"""Threads that delete and extend, ten messages a call."""
CLOSE_S: Final = 1.0
"""How long `close` waits for receives that are under way; those that end later give their messages back themselves."""
SETTLE_S: Final = 6.0
"""How long `close` goes on deleting and giving back, should SQS be away."""
AGAIN_S: Final = 0.2
FIFO: Final = ".fifo"
"""How the names of queues end whose messages may wait for others of their group, and are not given meanwhile."""
LAG_EVERY_S: Final = 5.0
IDLE_LAG_EVERY_S: Final = 60.0
_receivers: Final = Threads("sqs-receive")
"""Of all bridges: a receive lasts seconds when there is nothing, and then comes the next."""


class SqsSettings(SqsServer, frozen=True, extra="forbid"):
    """Settings of a bridge of type `sqs`."""

    rights = "sqs:GetQueueUrl, GetQueueAttributes, ReceiveMessage, DeleteMessage and ChangeMessageVisibility"
    key_rights = "kms:Decrypt"
    slower = "lower settings.receivers"

    encoding: Annotated[
        Literal["text", "base64"], Field(description="base64: bodies are bytes in base64, as SQS takes text only.")
    ] = "text"
    visibility_s: Annotated[
        int,
        Field(
            ge=5, le=3600, description="So long after a kill of the bridge its messages come again; else it extends."
        ),
    ] = 60
    receivers: Annotated[int, Field(ge=1, le=32, description="Requests for messages at the same time, ten each.")] = 8


class SqsDelivery(Delivery):
    """A message of a queue."""

    id: str = ""
    group: str | None = None
    sequence: str | None = None
    receives: int = 1

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: message_id, receive_count, group_id; of FIFO queues sequence_number."""
        return {
            **super().meta(),
            "message_id": self.id,
            "group_id": self.group,
            "sequence_number": self.sequence,
            "receive_count": self.receives,
        }


class SqsBridge(Bridge):
    """
    Several receives at once while there is a backlog, one when there is none.

    boto's calls block. Each receive has a thread to itself, which nobody has to wait for: it lasts seconds when there
    is nothing. The other calls share a few.
    """

    def __init__(self, settings: SqsSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._name = settings.queue.rstrip("/").rpartition("/")[2]
        self._callers = ThreadPoolExecutor(CALLERS, thread_name_prefix=f"sqs-{context.bridge}")
        self._poller: Any = None
        self._client: Any = None
        self._url = ""
        self._abandoned = threading.Event()
        self._receives: set[asyncio.Future[list[dict[str, Any]]]] = set()
        self._ended = Bell()
        """One of them has."""
        self._parallel = 1
        self._held: list[SqsDelivery] = []
        self._receipts: dict[str, tuple[str, float]] = {}
        """Of every message that is not acknowledged: its newest receipt, and when it was last made invisible."""
        self._done: deque[str] = deque()
        """Acknowledged, and still to be deleted."""
        self._deleting: set[asyncio.Task[None]] = set()
        self._deleted = asyncio.Event()
        self._broken: BaseException | None = None
        self._extender: asyncio.Task[None] | None = None
        self._asking: asyncio.Future[int] | None = None
        self._lag: int | None = None
        self._lag_at = 0.0

    async def connect(self) -> None:
        """See Bridge.connect."""
        self._lag = await self._call(self._connect)
        self._lag_at = _now() + LAG_EVERY_S
        self._extender = asyncio.create_task(self._extend(), name=f"extend-{self._context.bridge}")

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        if self._extender is None:
            raise Unavailable("source", "the bridge is closed")
        self._raise_broken()
        self._refresh_lag()
        if not self._held:
            self._ask()
            await self._wait(WAIT_S)
            if 0 < len(self._held) < limit and self._receives:
                await asyncio.wait(self._receives, timeout=GATHER_S)
                self._collect()
        taken, self._held = self._held[:limit], self._held[limit:]
        if taken:
            self._ask()  # the next come while these are on their way
        return Batch(taken, [delivery.id for delivery in taken])

    async def ack(self, batch: Batch) -> None:
        """See Bridge.ack. Marks only: they are deleted in the background, ten a call and several calls at once."""
        self._raise_broken()
        self._done.extend(batch.token)
        self._delete_some()

    async def close(self) -> None:
        """See Bridge.close. What is not acknowledged becomes visible at once."""
        if self._extender is not None:
            self._extender.cancel()
            await asyncio.gather(self._extender, return_exceptions=True)
            self._extender = None
        with contextlib.suppress(TimeoutError):  # what could not be said in time comes again, with the same ids
            async with asyncio.timeout(SETTLE_S):
                while self._deleting:
                    await asyncio.wait(self._deleting)
                    await asyncio.sleep(0)  # their callbacks start the next
                await self._give_back()
        self._abandoned.set()
        asking = () if self._asking is None else (self._asking,)
        for call in (*self._receives, *self._deleting, *asking):
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        self._callers.shutdown(wait=False, cancel_futures=True)

    async def _give_back(self) -> None:
        if self._receives:
            await asyncio.wait(self._receives, timeout=CLOSE_S)
        self._abandoned.set()
        for receive in self._receives:
            if not receive.done():
                receive.cancel()
            elif receive.exception() is None:
                self._note(receive.result())
        self._receives.clear()
        unsettled, self._receipts, self._held = self._receipts, {}, []
        receipts = [receipt for receipt, _ in unsettled.values()]
        await asyncio.gather(
            *(self._call(lambda tens=tens: self._set_visibility(tens, 0)) for tens in _tens(receipts)),  # type: ignore[misc]
            return_exceptions=True,  # then they come when visibility_s is over
        )

    def lag(self) -> int | None:
        """See Bridge.lag: about, says SQS, and as of the last few seconds."""
        return self._lag

    async def _call(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._callers, call)
        except FAILURES as exc:
            raise port_error(exc, self._settings) from exc

    # receiving

    async def _wait(self, timeout_s: float) -> None:
        """Until something has come."""
        if self._receives:
            await self._ended.rings(timeout_s)
            self._collect()
        else:  # too much is in hand
            self._deleted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._deleted.wait()

    def _ask(self) -> None:
        """As many receives as there should be, unless much is in hand already."""
        while len(self._receives) < self._parallel and len(self._receipts) + len(self._receives) * MOST < IN_HAND:
            wait_s = SHORT_POLL_S if self._receives else POLL_S
            receive = _receivers.run(partial(self._receive, wait_s))
            receive.add_done_callback(lambda _: self._ended.ring())
            self._receives.add(receive)

    def _collect(self) -> None:
        self._ended.hush()
        done = [receive for receive in self._receives if receive.done()]
        self._receives.difference_update(done)
        failure: BaseException | None = None
        for receive in done:
            failure = receive.exception() or failure
            if receive.exception() is None:
                messages = receive.result()
                found = self._note(messages)
                # all that it asked for: there may be more; else there is no backlog, and one request is enough
                full = len(found) == MOST
                most = self._settings.receivers
                self._parallel = min(most, self._parallel * 2) if full else max(1, self._parallel - 1)
                self._held += found
                if messages:
                    self._lag_at = min(self._lag_at, _now() + LAG_EVERY_S)
                elif not (self._receipts or self._name.endswith(FIFO)):
                    # SQS has asked all of its servers: that is as good as the answer to be asked for
                    self._lag, self._lag_at = 0, _now() + IDLE_LAG_EVERY_S
        if isinstance(failure, FAILURES):
            raise port_error(failure, self._settings) from failure
        if failure is not None:
            raise failure

    def _note(self, messages: list[dict[str, Any]]) -> list[SqsDelivery]:
        """Without those that are in hand already and became visible too early; of them the newer receipt is kept."""
        now = _now()
        new = [message for message in messages if message["MessageId"] not in self._receipts]
        for message in messages:
            self._receipts[message["MessageId"]] = (message["ReceiptHandle"], now)
        return [self._delivery(message) for message in new]

    def _delivery(self, message: dict[str, Any]) -> SqsDelivery:
        id, system = message["MessageId"], message.get("Attributes", {})
        body = message.get("Body", "").encode()
        if self._settings.encoding == "base64":
            with contextlib.suppress(binascii.Error):  # else it stays what it is, and is judged as that
                body = base64.b64decode(body, validate=True)
        headers = [(name, _value(value)) for name, value in message.get("MessageAttributes", {}).items()]
        for name, value in headers:
            if name.lower() == "content-encoding":
                body = inflated(body, value.decode(errors="replace"))
        return SqsDelivery(
            body,
            f"{self._name}/{id}",
            int(system["SentTimestamp"]) if "SentTimestamp" in system else None,
            None,
            headers,
            id=id,
            group=system.get("MessageGroupId"),
            sequence=system.get("SequenceNumber"),
            receives=int(system.get("ApproximateReceiveCount", 1)),
        )

    def _receive(self, wait_s: int) -> list[dict[str, Any]]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._poller.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=MOST,
                    WaitTimeSeconds=wait_s,
                    VisibilityTimeout=self._settings.visibility_s,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["All"],
                )
                break
            except errors.ClientError as exc:
                # now and then one of SQS's many servers fails: no reason to give back all that is in hand
                if exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500 or attempt == ATTEMPTS:
                    raise
                time.sleep(AGAIN_S * attempt)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        if messages and self._abandoned.is_set():
            self._set_visibility([message["ReceiptHandle"] for message in messages], 0)
        return messages

    # settling

    def _delete_some(self) -> None:
        """Tens as soon as there are ten; fewer only if nothing else is under way."""
        while self._done and len(self._deleting) < CALLERS and (len(self._done) >= MOST or not self._deleting):
            ids = [self._done.popleft() for _ in range(min(MOST, len(self._done)))]
            task = asyncio.create_task(self._delete(ids), name=f"delete-{self._context.bridge}")
            self._deleting.add(task)
            task.add_done_callback(self._deleted_some)

    def _deleted_some(self, task: asyncio.Task[None]) -> None:
        self._deleting.discard(task)
        self._deleted.set()
        if task.cancelled():
            return
        if task.exception() is not None:
            self._broken = task.exception()
            self._done.clear()  # they come again
        self._delete_some()

    def _raise_broken(self) -> None:
        if self._broken is not None:
            raise self._broken

    async def _delete(self, ids: list[str]) -> None:
        for _ in range(ATTEMPTS):
            receipts = {id: self._receipts[id][0] for id in ids if id in self._receipts}
            if not receipts:
                return
            failed = await self._call(lambda: self._delete_now(receipts))  # noqa: B023 - called before the next round
            for id in receipts.keys() - failed.keys():
                self._receipts.pop(id, None)
            ids = list(failed)
        raise Unavailable("source", f"SQS does not delete messages of {self._name}: {', '.join(set(failed.values()))}")

    def _delete_now(self, receipts: dict[str, str]) -> dict[str, str]:
        """Gives those that are worth another try, each with SQS's reason."""
        ids = list(receipts)
        entries = [{"Id": str(number), "ReceiptHandle": receipts[id]} for number, id in enumerate(ids)]
        answer = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
        failed: dict[str, str] = {}
        for failure in answer.get("Failed", []):
            if failure.get("SenderFault"):
                # visible again too early, and taken by somebody else: it comes again, with the same id
                log.warning("bridge.receipt_expired", bridge=self._context.bridge, error=failure.get("Code"))
            else:
                failed[ids[int(failure["Id"])]] = failure.get("Code", "unknown")
        return failed

    async def _extend(self) -> None:
        """Keep what is in hand invisible, however long our Kafka is away; after 12 hours SQS does so no longer."""
        every_s, old_s = self._settings.visibility_s / 4, self._settings.visibility_s / 2
        while True:
            await asyncio.sleep(every_s)
            now = _now()
            due = {id: receipt for id, (receipt, since) in self._receipts.items() if now - since >= old_s}
            for tens in _tens(list(due)):
                receipts = [due[id] for id in tens]
                try:
                    await self._call(lambda: self._set_visibility(receipts, self._settings.visibility_s))  # noqa: B023
                except PortError as exc:
                    log.warning("bridge.not_extended", bridge=self._context.bridge, error=str(exc))
                    break
                for id in tens:
                    if id in self._receipts and self._receipts[id][0] == due[id]:
                        self._receipts[id] = (due[id], now)

    def _set_visibility(self, receipts: Sequence[str], seconds: int) -> None:
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for number, receipt in enumerate(receipts)
        ]
        self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    # on the callers' threads

    def _connect(self) -> int:
        settings = self._settings
        most = settings.receivers + CALLERS
        self._poller, self._client = (
            client(
                settings,
                self._context,
                connect_s=CONNECT_S,
                answer_s=ANSWER_S + wait_s,
                attempts=attempts,
                connections=most,
            )
            # a receive is not tried again: the bridge begins again instead, and says why
            for wait_s, attempts in ((POLL_S, 1), (0, ATTEMPTS))
        )
        self._url = queue_url(self._client, settings)
        return self._measure_lag()

    def _measure_lag(self) -> int:
        name = "ApproximateNumberOfMessages"
        answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def _refresh_lag(self) -> None:
        """In the background: `take` does not wait for it."""
        if self._asking is not None and self._asking.done():
            if self._asking.exception() is None:
                self._lag = self._asking.result()
            self._asking = None
            self._lag_at = _now() + (LAG_EVERY_S if self._lag or self._receipts else IDLE_LAG_EVERY_S)
        if self._asking is None and _now() >= self._lag_at:
            self._asking = asyncio.get_running_loop().run_in_executor(self._callers, self._measure_lag)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _tens(items: Sequence[str]) -> list[list[str]]:
    return [list(items[start : start + MOST]) for start in range(0, len(items), MOST)]


def _value(attribute: dict[str, Any]) -> bytes:
    """Of a message attribute."""
    binary: bytes | None = attribute.get("BinaryValue")
    return binary if binary is not None else str(attribute.get("StringValue", "")).encode()


SPEC: Final = BridgeSpec("sqs", "Receive messages of an Amazon SQS queue.", SqsSettings, SqsBridge)
