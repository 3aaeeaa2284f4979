"""SQS as ElasticMQ plays it: a standard queue."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from tests.matrix.brokers import QUEUE, SECRET, OwnServer
from tests.matrix.link import Link
from tests.matrix.load import Message, Send
from tests.servers.sqs import VERSION
from tests.sources.sqs import VISIBILITY_S, client

MOST: Final = 10


class Sqs(OwnServer):
    """See Broker."""

    kind = "sqs"
    server = "sqs"
    product = f"ElasticMQ {VERSION}"
    in_order = False
    not_done: ClassVar = {"credential": "ElasticMQ asks for none"}
    notes = f"messages that were in the hands of a killed bridge come again after {VISIBILITY_S} s"

    def __init__(self, folder: Path, link: Link) -> None:
        """Does not start it."""
        super().__init__(folder, link)
        self.settings = {
            "queue": QUEUE,
            "endpoint_url": f"http://{self.through}",
            "region": "eu-west-2",
            "access_key_id": "test",
            "secret_access_key": f"env:{SECRET}",
            "encoding": "base64",
            "visibility_s": VISIBILITY_S,
        }

    @contextmanager
    def sender(self) -> Iterator[Send]:
        with closing(client(self.own.url)) as sqs:
            url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
            yield lambda messages: _send(sqs, url, messages)

    def make(self) -> None:
        with closing(client(self.own.url)) as sqs:
            sqs.create_queue(QueueName=QUEUE)

    def delete(self) -> None:
        with closing(client(self.own.url)) as sqs:
            sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"])

    def set_password(self, password: str) -> None:
        """It looks at none."""


def _send(sqs: Any, url: str, messages: Sequence[Message]) -> None:
    for start in range(0, len(messages), MOST):
        entries = [
            {"Id": str(number), "MessageBody": base64.b64encode(message.body).decode()}
            for number, message in enumerate(messages[start : start + MOST])
        ]
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        assert not answer.get("Failed"), answer


WAYS: Final[dict[str, Any]] = {"": Sqs}
