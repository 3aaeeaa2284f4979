"""A mail server on a thread of its own, which keeps what it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Final

import msgspec
from aiosmtpd.controller import Controller

from hub.chaos.proxy import stop_listening
from hub.stack import ports
from tests.sources import World
from tests.targets import Arrived, Open, Sink

SENDER: Final = "Hub <hub@example.com>"
MAPPING: Final = {
    "to": "'ann@example.com'",
    "subject": "join(' ', ['Bought', string(properties.number)])",
    "text": "string({id: id, properties: properties})",
}


class _Controller(Controller):
    """One that leaves no connection open behind it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._sessions: list[Any] = []

    def factory(self) -> Any:
        made = super().factory()  # type: ignore[no-untyped-call]
        self._sessions.append(made)
        return made

    async def hang_up(self) -> None:
        """On its loop, before it is stopped."""
        assert isinstance(self.server, asyncio.Server)
        await stop_listening(self.server)
        for session in self._sessions:
            if session.transport is not None:
                session.transport.abort()
        await asyncio.sleep(0)  # what was aborted is closed


class MailServer:
    """Attributes: mails: what was taken, in its order; answers: by recipient, what is said to RCPT."""

    def __init__(self, **options: Any) -> None:
        """Args: options: of aiosmtpd's server."""
        self.mails: list[EmailMessage] = []
        self.answers: dict[str, str] = {}
        self.port = ports.free_port()
        self._controller = _Controller(self, hostname="127.0.0.1", port=self.port, **options)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._controller.hang_up(), self._controller.loop).result()
        self._controller.stop()

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:  # noqa: N802
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.original_content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:
    made = MailServer(**options)
    made.start()
    try:
        yield made
    finally:
        made.stop()


class SmtpSink:
    """See Sink."""

    kind = "smtp"
    exactly_once = False

    def __init__(self, server: MailServer) -> None:
        self.server = server
        settings = {"host": "127.0.0.1", "port": server.port, "security": "none", "sender": SENDER}
        self.definition: dict[str, Any] = {"settings": settings, "mapping": MAPPING}
        self.away = {**settings, "port": ports.free_port()}

    def arrived(self) -> Sequence[Arrived]:
        found = []
        for mail in list(self.server.mails):
            content = msgspec.json.decode(mail.get_content())
            assert mail["Message-ID"] == f"<{mail['hub-event-id']}@example.com>"
            assert mail["Subject"] == f"Bought {content['properties']['number']}"
            found.append(Arrived(mail["hub-event-id"], content))
        return found


@contextmanager
def mailbox(_: World) -> Iterator[Sink]:
    with mail_server() as server:
        yield SmtpSink(server)


WAYS: Final[dict[str, Open]] = {"": mailbox}
