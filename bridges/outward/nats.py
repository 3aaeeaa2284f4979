"""NATS JetStream as a target: a subject that a stream keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

from nats import errors
from nats.js.errors import APIError, NoStreamResponseError, ServerError
from pydantic import AfterValidator, Field

from bridges.base import Context
from bridges.nats_link import Link, NatsServer
from bridges.outward.base import Denied, Later, Message, Rejected, Target, TargetSpec
from hub.errors import Refused

MSG_ID: Final = "Nats-Msg-Id"
"""By which the stream knows a message that comes again within its duplicate window, two minutes if not changed."""


def _subject(subject: str) -> str:
    parts = subject.split(".")
    if any(not part or "*" in part or ">" in part or any(c.isspace() for c in part) for part in parts):
        raise ValueError("write a subject without wildcards, such as hub.events")
    return subject


class NatsSettings(NatsServer, frozen=True, extra="forbid"):
    """Settings of a destination of type `nats`."""

    subject: Annotated[str, AfterValidator(_subject), Field(description="Where to publish; a stream has to keep it.")]
    timeout_s: Annotated[float, Field(ge=0.1, le=300, description="How long the stream may take to have it.")] = 10.0


class NatsTarget(Target):
    """Many in flight; a message counts as sent when the stream has said that it has it."""

    most = 200

    def __init__(self, settings: NatsSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._link: Link | None = None

    async def connect(self) -> None:
        """See Target."""
        link = self._link = Link(self._settings, self._context)
        await link.open()

    async def send(self, batch: Sequence[Message]) -> Sequence[Rejected]:
        """See Target."""
        link = self._link
        if link is None:
            raise Later("the destination is closed")
        link.check()
        rejected: list[Rejected] = []
        sent: dict[int, asyncio.Future[Any]] = {}
        try:
            for place, message in enumerate(batch):
                headers = {name: value for name, value in message.headers().items() if value} | {MSG_ID: message.id}
                try:
                    sent[place] = await link.js.publish_async(self._settings.subject, message.body, headers=headers)
                except errors.MaxPayloadError:
                    rejected.append(Rejected(place, f"{len(message.body)} bytes are more than the server takes"))
        except (errors.Error, OSError) as exc:
            raise self._failure(exc, len(sent) + len(rejected), frozenset()) from exc
        if sent:
            await asyncio.wait(sent.values(), timeout=self._settings.timeout_s)
        for place, answer in sent.items():
            failure = answer.exception() if answer.done() else TimeoutError()
            if failure is not None:
                self._forget(sent)
                raise self._failure(failure, place, frozenset(each for each in sent if each < place)) from failure
        return rejected

    async def close(self) -> None:
        """See Target."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    @staticmethod
    def _forget(sent: dict[int, asyncio.Future[Any]]) -> None:
        """Nobody waits for these any more."""
        for answer in sent.values():
            if answer.done():
                answer.exception()
            else:
                answer.cancel()

    def _failure(self, exc: BaseException, place: int, sent: frozenset[int]) -> Later | Denied:
        """All before that place are there; those behind it are sent again, or they would stand in front of it."""
        url, subject = self._settings.url, self._settings.subject
        if isinstance(exc, NoStreamResponseError | errors.NoRespondersError):
            words = f"no stream at {url} keeps {subject}: make one (nats stream add), or correct settings.subject"
            return Later(words, sent=sent, stuck=place)
        if isinstance(exc, APIError) and not isinstance(exc, ServerError):
            return Denied(
                f"the stream of {subject} at {url} takes no message: {exc.description}", sent=sent, stuck=place
            )
        if isinstance(exc, TimeoutError | errors.TimeoutError):
            words = f"no answer from the stream of {subject} at {url} within {self._settings.timeout_s:g} s"
            return Later(f"{words}. May this user publish there?", sent=sent, stuck=place)
        assert self._link is not None
        try:
            self._link.check()
        except Refused as refused:
            return Denied(refused.detail, sent=sent, stuck=place)
        except Exception as lost:  # noqa: BLE001 - whatever it is: it is tried again
            return Later(str(lost), sent=sent, stuck=place)
        return Later(f"{url}: {exc}", sent=sent, stuck=place)


SPEC: Final = TargetSpec("nats", "Publish to a stream of NATS JetStream.", NatsSettings, NatsTarget)
