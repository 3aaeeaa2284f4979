"""SQS: a standard queue, and a FIFO queue with a group a message; bodies in base64, as SQS carries text only."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from botocore.session import Session

from tests.servers import running
from tests.sources import Open, Source, World

MOST_BYTES: Final = 1_048_576 * 3 // 4
VISIBILITY_S: Final = 8
"""How long a test waits for what a killed bridge had in hand."""
FIFO_VISIBILITY_S: Final = 40
"""ElasticMQ looks through all groups in hand at each receive: with hundreds of them it does not get round in time."""
SECRET: Final = "TEST_SQS_SECRET"
"""The variable that the bridge's setting refers to."""


def client(url: str) -> Any:
    """As anybody who sends messages has it."""
    return Session().create_client(
        "sqs", endpoint_url=url, region_name="eu-west-2", aws_access_key_id="test", aws_secret_access_key="test"
    )


class SqsSource:
    """See Source."""

    kind = "sqs"
    most_bytes = MOST_BYTES
    keeps_order = False
    in_order = False

    def __init__(self, url: str, name: str, encoding: str = "base64", visibility_s: int = VISIBILITY_S) -> None:
        os.environ[SECRET] = "test"  # bridges run in this process, and in its children
        self.client = client(url)
        self.fifo = name.endswith(".fifo")
        self.queue = self.client.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if self.fifo else {})[
            "QueueUrl"
        ]
        self._sent = 0
        self.settings: dict[str, Any] = {
            "queue": name,
            "endpoint_url": url,
            "region": "eu-west-2",
            "access_key_id": "test",
            "secret_access_key": f"env:{SECRET}",
            "encoding": encoding,
            "visibility_s": visibility_s,
        }

    def put(self, bodies: Sequence[bytes], group: str = "") -> None:
        """Args: group: of a FIFO queue; each message has its own unless it is told."""
        for start in range(0, len(bodies), 10):
            entries = [self._entry(number, body, group) for number, body in enumerate(bodies[start : start + 10])]
            answer = self.client.send_message_batch(QueueUrl=self.queue, Entries=entries)
            assert "Failed" not in answer or not answer["Failed"], answer

    def _entry(self, number: int, body: bytes, group: str) -> dict[str, Any]:
        self._sent += 1
        text = base64.b64encode(body).decode() if self.settings["encoding"] == "base64" else body.decode()
        entry = {
            "Id": str(number),
            "MessageBody": text,
            "MessageAttributes": {"h": {"DataType": "String", "StringValue": "v"}},
        }
        if self.fifo:
            entry |= {"MessageGroupId": group or f"g{self._sent}", "MessageDeduplicationId": str(self._sent)}
        return entry

    def close(self) -> None:
        self.client.close()


@contextmanager
def standard(world: World) -> Iterator[Source]:
    with running.shared("sqs", world.folder / "sqs") as url:
        source = SqsSource(url, f"{world.namespace}-source")
        yield source
        source.close()


@contextmanager
def fifo(world: World) -> Iterator[Source]:
    with running.shared("sqs", world.folder / "sqs") as url:
        source = SqsSource(url, f"{world.namespace}-source.fifo", visibility_s=FIFO_VISIBILITY_S)
        yield source
        source.close()


@contextmanager
def lasting(world: World) -> Iterator[Source]:
    """With the visibility that a bridge has unless it is told."""
    with running.shared("sqs", world.folder / "sqs") as url:
        source = SqsSource(url, f"{world.namespace}-source", visibility_s=60)
        yield source
        source.close()


WAYS: Final[dict[str, Open]] = {"": standard, "fifo": fifo, "lasting": lasting}
