"""IMAP: a user of the tests' Dovecot, whose mails carry the messages."""

from __future__ import annotations

import email
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Final
from urllib.parse import urlsplit

from imapclient import IMAPClient

from tests.servers import running
from tests.servers.dovecot import PASSWORD
from tests.sources import Open, Source, World

MOST_BYTES: Final = 32 * 1024 * 1024
SECRET: Final = "TEST_IMAP_PASSWORD"
"""The variable that the bridge's setting refers to."""


class ImapSource:
    """A mailbox of one test; what is put is the mail's only part. See Source."""

    kind = "imap"
    most_bytes = MOST_BYTES
    keeps_order = True

    def __init__(self, url: str, user: str, **more: Any) -> None:
        parts = urlsplit(url)
        os.environ[SECRET] = PASSWORD  # bridges run in this process, and in its children
        self.host, self.port, self.user = parts.hostname or "", parts.port or 0, user
        self.settings: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "security": "plain",
            "username": user,
            "password": f"env:{SECRET}",
            "content": "body",
            **more,
        }

    def put(self, bodies: Sequence[bytes]) -> None:
        self.put_mails([_mail(body) for body in bodies])

    def put_mails(self, mails: Sequence[bytes], folder: str = "INBOX") -> None:
        """As they are."""
        with self.client() as client:
            for start in range(0, len(mails), 100):
                client.multiappend(folder, mails[start : start + 100])

    def client(self) -> IMAPClient:
        """As anybody who reads the mailbox has it; logs out when its block ends."""
        client = IMAPClient(self.host, self.port, ssl=False, timeout=60)
        client.login(self.user, PASSWORD)
        return client

    @staticmethod
    def unwrapped(body: bytes) -> bytes:
        """See Source."""
        content = email.message_from_bytes(body).get_payload(decode=True)
        assert isinstance(content, bytes)
        return content


def _mail(body: bytes) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "hub@example.com", "order"
    mail.set_content(body, maintype="application", subtype="json", cte="base64")
    return mail.as_bytes()


@contextmanager
def mailbox(world: World) -> Iterator[Source]:
    with running.shared("dovecot", world.folder / "dovecot") as url:
        yield ImapSource(url, f"{world.namespace}-source")


WAYS: Final[dict[str, Open]] = {"": mailbox}
