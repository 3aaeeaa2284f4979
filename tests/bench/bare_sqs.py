"""
The bare SQS bridge: `python -m tests.bench.bare_sqs BOOTSTRAP SETTINGS TARGET RECORDS`.

boto on eight threads that receive ten messages each and four that delete them; decode, encode, produce with a callback;
no checks, no ids. SETTINGS are a bridge's, as JSON.
"""

from __future__ import annotations

import base64
import queue
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from botocore.config import Config
from botocore.session import Session

from tests.bench.bare_onward import Onward

RECEIVERS = 8
DELETERS = 4


def main(bootstrap: str, settings: dict[str, Any], target: str, count: int) -> None:
    """Forward `count` messages and print what it took."""
    client = Session().create_client(
        "sqs",
        endpoint_url=settings["endpoint_url"],
        region_name=settings["region"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(max_pool_connections=RECEIVERS + DELETERS),
    )
    url = client.get_queue_url(QueueName=settings["queue"])["QueueUrl"]
    onward = Onward(bootstrap, target, count)
    waiting: queue.Queue[list[dict[str, Any]]] = queue.Queue(RECEIVERS)
    over = threading.Event()

    def receive() -> None:
        while not over.is_set():
            answer = client.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageSystemAttributeNames=["All"]
            )
            if answer.get("Messages"):
                waiting.put(answer["Messages"])

    def delete(messages: list[dict[str, Any]]) -> None:
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
        client.delete_message_batch(QueueUrl=url, Entries=entries)

    with ThreadPoolExecutor(DELETERS) as deleters:
        receivers = [threading.Thread(target=receive, daemon=True) for _ in range(RECEIVERS)]
        for receiver in receivers:
            receiver.start()
        while not onward.all_taken:
            messages = waiting.get()
            bodies = [each["Body"].encode() for each in messages]
            if settings["encoding"] == "base64":
                bodies = [base64.b64decode(body) for body in bodies]
            onward.send(bodies, messages)
            for token in onward.acknowledged():
                deleters.submit(delete, token)
        over.set()
        onward.finish(lambda token: deleters.submit(delete, token))


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
