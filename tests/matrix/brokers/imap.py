"""Dovecot: a folder of one user; mails carry the messages."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final

from imapclient import IMAPClient

from tests.matrix.brokers import PASSWORD, QUEUE, SECRET, USER, OwnServer, output_of
from tests.matrix.link import HOST, Link
from tests.matrix.load import Message, Send

ANSWER_S: Final = 10.0


class Imap(OwnServer):
    """See Broker."""

    kind = "imap"
    server = "dovecot"

    def __init__(self, folder: Path, link: Link) -> None:
        """Does not start it."""
        super().__init__(folder, link)
        self._password = PASSWORD
        self.settings = {
            "host": HOST,
            "port": link.port,
            "security": "plain",
            "username": USER,
            "password": f"env:{SECRET}",
            "content": "body",
            "folder": QUEUE,
        }

    @property
    def product(self) -> str:
        return f"Dovecot {output_of(str(self.own.server.binary()), '--version').partition(' ')[0]}"

    def start(self) -> int:
        port = super().start()
        self.set_password(self._password)  # starting has written the configuration anew
        return port

    @contextmanager
    def sender(self) -> Iterator[Send]:
        with self._client() as client:

            def send(messages: Sequence[Message]) -> None:
                client.multiappend(QUEUE, [_mail(message) for message in messages])

            yield send

    def make(self) -> None:
        with self._client() as client:
            client.create_folder(QUEUE)

    def delete(self) -> None:
        with self._client() as client:
            client.delete_folder(QUEUE)

    def set_password(self, password: str) -> None:
        self._password = password
        conf = self.own.home / "dovecot.conf"
        lines = conf.read_text().splitlines()
        changed = [f"  args = password={password}" if "args = password=" in line else line for line in lines]
        conf.write_text("\n".join(changed) + "\n")
        os.kill(self.own.pid, signal.SIGHUP)

    @contextmanager
    def _client(self) -> Iterator[IMAPClient]:
        port = int(self.own.url.rpartition(":")[2])
        client = IMAPClient(HOST, port, ssl=False, timeout=ANSWER_S)
        try:
            client.login(USER, self._password)
            yield client
        finally:
            client.shutdown()


def _mail(message: Message) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "hub@example.com", "order"
    mail.set_content(message.body, maintype="application", subtype="json", cte="base64")
    return mail.as_bytes()


WAYS: Final[dict[str, Any]] = {"": Imap}
