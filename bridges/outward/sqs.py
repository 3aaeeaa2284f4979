"""An Amazon SQS queue as a target, standard or FIFO; and others that speak its API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Any, Final

from botocore import exceptions as errors
from pydantic import Field

from bridges.base import Context
from bridges.outward.base import ID_HEADER, Denied, Later, Message, Rejected, Target, TargetSpec
from bridges.sqs_link import ATTEMPTS, FAILURES, MOST, SqsServer, client, port_error, queue_url
from hub.errors import PortError, Refused

REQUEST_BYTES: Final = 262_144
"""Of all messages of one request, that any queue takes."""
CALLERS: Final = 4
ONE_AT_FAULT: Final = ("TooLong", "InvalidMessageContents", "InvalidParameterValue", "InvalidAttributeValue")
"""Codes of errors of which a request with fewer messages may have none."""
NO_GROUP: Final = "none"


class SqsSettings(SqsServer, frozen=True, extra="forbid"):
    """Settings of a destination of type `sqs`."""

    rights = "sqs:GetQueueUrl and SendMessage"
    key_rights = "kms:GenerateDataKey and kms:Decrypt"
    slower = "it is tried again later; should it last, ask AWS for more"

    timeout_s: Annotated[float, Field(ge=1, le=60, description="An answer may take so long.")] = 5.0

    @property
    def fifo(self) -> bool:
        """Whether the queue keeps the order, and knows messages that come again."""
        return self.queue.endswith(".fifo")


class SqsTarget(Target):
    """
    Ten messages a request: several at once to a standard queue, which has no order, to a FIFO queue one by one.

    There the event's id is the deduplication id: what comes again within five minutes is dropped by SQS.
    """

    most = 100

    def __init__(self, settings: SqsSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._callers = ThreadPoolExecutor(CALLERS, thread_name_prefix=f"destination-{context.bridge}")
        self._client: Any = None
        self._url = ""

    async def connect(self) -> None:
        """See Target."""
        await asyncio.get_running_loop().run_in_executor(self._callers, self._connect)

    async def send(self, batch: Sequence[Message]) -> Sequence[Rejected]:
        """See Target."""
        if self._client is None:
            raise Later("the destination is closed")
        run = _Run(batch)
        requests = list(run.requests())
        if self._settings.fifo:
            for places in requests:
                await self._call(run, places)
                run.raise_failed()
        else:
            await asyncio.gather(*(self._call(run, places) for places in requests))
            run.raise_failed()
        return run.rejected

    async def close(self) -> None:
        """See Target."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(errors.BotoCoreError, OSError):
                client.close()
        self._callers.shutdown(wait=False)

    async def _call(self, run: _Run, places: Sequence[int]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._callers, lambda: self._put(run, places))

    # everything below runs on the callers' threads

    def _connect(self) -> None:
        settings = self._settings
        try:
            self._client = client(
                settings,
                self._context,
                connect_s=settings.timeout_s,
                answer_s=settings.timeout_s,
                attempts=ATTEMPTS,
                connections=CALLERS,
            )
            self._url = queue_url(self._client, settings)
        except FAILURES as exc:
            raise port_error(exc, settings) from exc

    def _put(self, run: _Run, places: Sequence[int]) -> None:
        """One request; if it is refused for one of its messages, each alone. Raises nothing: `run` has it."""
        entries = [self._entry(number, run.batch[place]) for number, place in enumerate(places)]
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except FAILURES as exc:
            error = port_error(exc, self._settings)
            code = exc.response.get("Error", {}).get("Code", "") if isinstance(exc, errors.ClientError) else ""
            if not any(word in code for word in ONE_AT_FAULT):
                run.fail(places[0], error)
            elif len(places) == 1:
                run.rejected.append(Rejected(places[0], error.detail))
            else:
                for place in places:
                    self._put(run, [place])
            return
        run.sent.update(places[int(entry["Id"])] for entry in answer.get("Successful", ()))
        for entry in answer.get("Failed", ()):
            place = places[int(entry["Id"])]
            words = f"queue {self._settings.queue}: {entry['Code']}: {entry.get('Message', '')}"
            if entry["SenderFault"]:
                run.rejected.append(Rejected(place, words))
            else:
                run.fail(place, Later(words))

    def _entry(self, number: int, message: Message) -> dict[str, Any]:
        headers = {name: value for name, value in message.headers().items() if value}
        entry: dict[str, Any] = {
            "Id": str(number),
            "MessageBody": message.body.decode(),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in headers.items()
            },
        }
        if self._settings.fifo:
            entry |= {"MessageGroupId": _id(message.key) or NO_GROUP, "MessageDeduplicationId": message.id}
        return entry


class _Run:
    """One batch. Attributes: sent: places of what SQS has; rejected: what it will never take."""

    def __init__(self, batch: Sequence[Message]) -> None:
        self.batch = batch
        self.sent: set[int] = set()
        self.rejected: list[Rejected] = []
        self._failed: dict[int, PortError] = {}

    def requests(self) -> Iterator[list[int]]:
        """Places of the messages of each, in their order."""
        places: list[int] = []
        size = 0
        for place, message in enumerate(self.batch):
            if places and (len(places) == MOST or size + len(message.body) > REQUEST_BYTES):
                yield places
                places, size = [], 0
            places.append(place)
            size += len(message.body) + len(ID_HEADER) * 8  # with room for the attributes
        if places:
            yield places

    def fail(self, place: int, error: PortError) -> None:
        """What is to be raised if nothing before it has failed."""
        self._failed[place] = error

    def raise_failed(self) -> None:
        """Raises Later, Denied: with what was sent."""
        if self._failed:
            first = min(self._failed)
            error = self._failed[first]
            kind = Denied if isinstance(error, Refused) else Later
            raise kind(error.detail, sent=frozenset(self.sent), stuck=first)


def _id(text: str) -> str:
    """A group's name as SQS has it: 128 characters, printable ASCII without space."""
    return "".join(each if "!" <= each <= "~" else "_" for each in text)[:128]


def _check(settings: SqsSettings, _: Mapping[str, Any]) -> None:
    if settings.queue.endswith("/"):
        raise ValueError("settings.queue: write the queue's URL without a slash at its end")


SPEC: Final = TargetSpec("sqs", "Send to an Amazon SQS queue.", SqsSettings, SqsTarget, _check)
