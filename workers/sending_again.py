"""Tasks on the RQ queue `scheduler:live`: messages of flows that became dead letters, sent again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from hub.edge.inbound import refused
from hub.errors import InvalidPayload
from hub.flows.effects import SendMessage
from hub.flows.outward import Outward
from hub.ids import derived
from hub.jobs.flow_letters import Asked, SendAgain, asked, destination_of, is_of_flow
from hub.jobs.kind import Failed, Work
from hub.stack.sealing import sealing_of
from hub.task import Page, Planned, Slice, Task
from schemas.codec import encode_inbound
from schemas.records import TRACK, Inbound, Track
from schemas.replays import Replay, replay_header
from schemas.topics import EVENTS
from workers.agents.outbox import Outbox
from workers.jobs.desk import Desk

PAGE: Final = 20
"""Messages between two checkpoints: that many may be sent a second time, under the same ids, when a worker dies."""


class Letters(Protocol):
    """What is asked of the store: see `hub.store.port.Reading`."""

    def get(self, kind: Any, id: str) -> dict[str, Any] | None:
        """One document."""
        ...

    def dead_letter_body(self, id: str) -> bytes | None:
        """Its original."""
        ...


class _Letter(NamedTuple):
    document: Mapping[str, Any]
    body: bytes
    message: SendMessage


class SendingAgain:
    """
    The collector is the only writer of letters: what became of each is told on events.v1, as that of any replay is.

    So a letter that is resolved, or has one attempt more, is not sent by another task that was asked for before that.
    """

    def __init__(self, desk: Desk, outward: Outward, outbox: Outbox) -> None:
        self._store: Letters = desk.store
        self._topic = EVENTS.name(desk.settings.namespace)
        self._now_ms = desk.now_ms
        self._outward = outward
        self._outbox = outbox

    def plan(self, task: Task) -> Iterable[Planned]:
        """One slice: messages are sent in the order of their letters."""
        return [Planned({}, len(SendAgain.model_validate(task.arguments).letters))]

    def pages(self, task: Task, part: Slice) -> Iterator[Page]:
        """A page is done when each message is where it goes, or its letter is told to have failed again."""
        letters = SendAgain.model_validate(task.arguments).letters
        begin = 0 if part.at is None else part.at["next"]
        for first in range(begin, len(letters), PAGE):
            some = letters[first : first + PAGE]
            yield Page({"next": first + len(some)}, len(some), self._send(some))

    def _send(self, wanted: Sequence[Asked]) -> dict[str, int]:
        """Returns the counts. Raises Unavailable."""
        found = [letter for one in wanted if (letter := self._letter(one)) is not None]
        failed = self._outward.send_again([letter.message for letter in found])
        for letter in found:
            self._tell(letter, failed.get(letter.message.id))
        counts = {"sent": len(found) - len(failed), "failed": len(failed), "left_out": len(wanted) - len(found)}
        return {name: number for name, number in counts.items() if number}

    def _letter(self, wanted: Asked) -> _Letter | None:
        """None: it was removed with its person, or sent by somebody else meanwhile."""
        document, body = self._store.get("dead-letters", wanted.id), self._store.dead_letter_body(wanted.id)
        if document is None or body is None or not is_of_flow(document) or asked(document) != wanted:
            return None
        said = msgspec.json.decode(body)
        message = SendMessage(
            id=said["id"],
            destination=destination_of(document),
            content=said["message"],
            key=said["key"],
            at_ms=document["time_ms"],
            profile=said["profile"]["id"] or "",
        )
        return _Letter(document, body, message)

    def _tell(self, letter: _Letter, why: str | None) -> None:
        """Args: why: it was not taken; None: it was."""
        document, now_ms = letter.document, self._now_ms()
        if why is None:
            key, record = _sent(document, now_ms)
        else:
            key, record = refused(
                InvalidPayload(document["reason"], why),
                body=letter.body,
                headers={name: str(value).encode("latin-1", "replace") for name, value in document["headers"].items()},
                origin=document["origin"],
                source=document["source"],
                now_ms=now_ms,
                definitions_offset=-1,
                body_sha256=document["body_sha256"],
                payload_id=document["payload_id"],
                time_ms=document["time_ms"],
            )
        header = replay_header(Replay(document["id"], document["attempts"] + 1))
        self._outbox.put_events(self._topic, [(key.decode(), encode_inbound(record))], headers=[header])


def _sent(letter: Mapping[str, Any], now_ms: int) -> tuple[bytes, Inbound]:
    """A record without events: all of the replay of a letter is well. It counts for nothing, as the letter did not."""
    id = derived("sent-again", letter["id"], str(now_ms))
    track: Track = {
        "session_id": None,
        "profile_less": True,
        "context": b"{}",
        "properties": b"{}",
        "options": b"{}",
        "request": b"{}",
        "events": [],
    }
    record: Inbound = {
        "id": id,
        "source": letter["source"],
        "profile_id": "",
        "received_at_ms": now_ms,
        "definitions_offset": -1,
        "origin": letter["origin"],
        "body": (TRACK, track),
    }
    return id.encode(), record


def opened(desk: Desk, stack: ExitStack) -> Work:
    """For one process."""
    if desk.outward is None:
        raise Failed("this worker sends nothing: start it with `hub worker scheduler:live`")
    outward = stack.enter_context(closing(desk.outward(desk.catalogue())))
    outbox = stack.enter_context(closing(Outbox(desk.settings.kafka, sealing_of(desk.settings))))
    return SendingAgain(desk, outward, outbox)
