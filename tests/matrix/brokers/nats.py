"""NATS JetStream: one stream; the bridge comes as a user whose password is in the server's configuration."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import nats
from nats.js import JetStreamContext

from tests.matrix.brokers import QUEUE, SECRET, USER, OwnServer, output_of
from tests.matrix.link import Link
from tests.matrix.load import Message, Send
from tests.sources.nats import on_jetstream

SEND_S: Final = 8.0
USERS: Final = """
no_auth_user: anybody
accounts {{
    HUB {{
        jetstream: enabled
        users: [
            {{user: anybody, password: any-word}}
            {{user: {user}, password: {password}}}
        ]
    }}
}}
"""


class Nats(OwnServer):
    """See Broker."""

    kind = "nats"
    server = "nats"

    def __init__(self, folder: Path, link: Link) -> None:
        """Does not start it."""
        super().__init__(folder, link)
        self.settings = {
            "url": f"nats://{self.through}",
            "stream": QUEUE,
            "username": USER,
            "password": f"env:{SECRET}",
        }

    @property
    def product(self) -> str:
        return f"NATS {output_of(str(self.own.server.binary()), '--version').rpartition(' ')[2].lstrip('v')}"

    @contextmanager
    def sender(self) -> Iterator[Send]:
        with asyncio.Runner() as runner:

            async def connect() -> Any:
                return await nats.connect(self.own.url, allow_reconnect=False, connect_timeout=5)

            client = runner.run(connect())
            js = client.jetstream(timeout=SEND_S)

            async def publish(messages: Sequence[Message]) -> None:
                async with asyncio.timeout(SEND_S):
                    sent = [await js.publish_async(f"{QUEUE}.a", message.body) for message in messages]
                    await asyncio.gather(*sent)

            try:
                yield lambda messages: runner.run(publish(messages))
            finally:
                runner.run(client.close())

    def make(self) -> None:
        on_jetstream(self.own.url, partial(JetStreamContext.add_stream, name=QUEUE, subjects=[f"{QUEUE}.>"]))

    def delete(self) -> None:
        on_jetstream(self.own.url, partial(JetStreamContext.delete_stream, name=QUEUE))

    def set_password(self, password: str) -> None:
        conf = self.own.home / "nats.conf"
        head = conf.read_text().partition("\nno_auth_user")[0]
        conf.write_text(head + USERS.format(user=USER, password=password))
        os.kill(self.own.pid, signal.SIGHUP)


WAYS: Final[dict[str, Any]] = {"": Nats}
