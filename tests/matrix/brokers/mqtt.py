"""Mosquitto: one topic; the queue is the bridge's session."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from paho.mqtt.properties import Properties

from tests.matrix.brokers import QUEUE, SECRET, OwnServer, output_of
from tests.matrix.link import Link
from tests.matrix.load import Message, Send
from tests.servers.kinds import found
from tests.servers.mosquitto import port_of
from tests.sources.mqtt import connected, own_id
from tests.waiting import wait_for

SEND_S: Final = 8.0
SESSION: Final = "matrix"
READER: Final = "reader"
"""Whom the server's access list lets read all."""


class Mqtt(OwnServer):
    """See Broker."""

    kind = "mqtt"
    server = "mosquitto"
    notes = (
        "the broker is killed when it has just saved, and nothing is sent meanwhile: mosquitto confirms first and "
        "saves once a second, and what it forgets in between is lost whoever reads it. The queue is the bridge's "
        "session, so nothing is sent between its deletion and the bridge's return; and mosquitto keeps nothing for a "
        "user that it does not let in, so nothing is sent then, either"
    )
    keeps_for_locked_out = False
    queue_is_the_bridge = True

    def __init__(self, folder: Path, link: Link) -> None:
        """Does not start it."""
        super().__init__(folder, link)
        self._sending = threading.Lock()
        self.settings = {
            "url": f"mqtt://{self.through}",
            "topics": QUEUE,
            "client_id": SESSION,
            "username": READER,
            "password": f"env:{SECRET}",
        }

    @property
    def product(self) -> str:
        return f"mosquitto {output_of(str(self.own.server.binary()), '-h').rpartition(' ')[2]}"

    def start(self) -> int:
        super().start()
        return port_of(self.own.home, "passwords")

    def kill(self) -> None:
        saved = self.own.home / "mosquitto.db"
        # autosave_on_changes is no help: it saves after it has confirmed, too. One thread does both, so a save that
        # ends while nothing is sent has all that was confirmed
        with self._sending:
            saved.unlink(missing_ok=True)
            os.kill(self.own.pid, signal.SIGUSR1)
            wait_for("mosquitto has saved", saved.exists)
            self.own.kill()

    @contextmanager
    def sender(self) -> Iterator[Send]:
        with connected(self.own.url) as client:

            def send(messages: Sequence[Message]) -> None:
                with self._sending:
                    sent = [client.publish(QUEUE, message.body, 1, properties=_named(message)) for message in messages]
                    for one in sent:
                        one.wait_for_publish(SEND_S)
                        assert one.is_published(), "not confirmed"

            yield send

    def make(self) -> None:
        """The bridge makes its session when it connects."""

    def delete(self) -> None:
        """Whoever connects under its name without wanting its session ends it."""
        with connected(self.own.url, SESSION):
            pass

    def set_password(self, password: str) -> None:
        passwords = self.own.home / "passwords"
        program = str(found("mosquitto_passwd"))
        subprocess.run([program, "-b", str(passwords), READER, password], check=True, timeout=30, capture_output=True)
        os.kill(self.own.pid, signal.SIGHUP)


def _named(message: Message) -> Properties:
    """The broker knows no name for a message."""
    properties = own_id()
    properties.UserProperty = ("hub-payload-id", message.id)
    return properties


WAYS: Final[dict[str, Any]] = {"": Mqtt}
