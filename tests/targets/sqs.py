"""SQS: a standard queue and a FIFO queue, whose messages are taken out to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import msgspec

from hub.stack import ports
from tests.servers import running
from tests.sources import World
from tests.sources.sqs import SECRET, SqsSource
from tests.targets import Arrived, Open, Sink


class SqsSink:
    """See Sink."""

    kind = "sqs"

    def __init__(self, source: SqsSource, url: str) -> None:
        self.in_order = self.exactly_once = source.fifo
        self._client, self._queue = source.client, source.queue
        settings = {
            "queue": source.queue.rpartition("/")[2],
            "endpoint_url": url,
            "region": "eu-west-2",
            "access_key_id": "test",
            "secret_access_key": f"env:{SECRET}",
        }
        self.definition: dict[str, Any] = {"settings": settings}
        self.away = {**settings, "endpoint_url": f"http://127.0.0.1:{ports.free_port()}"}
        self._found: list[Arrived] = []

    def arrived(self) -> Sequence[Arrived]:
        """Deleted there, kept here."""
        while True:
            answer = self._client.receive_message(
                QueueUrl=self._queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
            )
            messages = answer.get("Messages", ())
            if not messages:
                return self._found
            for message in messages:
                attributes = message["MessageAttributes"]
                id = attributes["hub-event-id"]["StringValue"]
                if self.in_order:
                    system = message["Attributes"]
                    assert system["MessageGroupId"] == attributes["hub-profile-id"]["StringValue"]
                    assert system["MessageDeduplicationId"] == id
                self._found.append(Arrived(id, msgspec.json.decode(message["Body"])))
                self._client.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])


def _way(ending: str) -> Open:
    @contextmanager
    def way(world: World) -> Iterator[Sink]:
        with (
            running.shared("sqs", world.folder / "sqs") as url,
            closing(SqsSource(url, f"{world.namespace}-sink{ending}")) as source,
        ):
            yield SqsSink(source, url)

    return way


WAYS: Final[dict[str, Open]] = {"": _way(""), "fifo": _way(".fifo")}
