"""
`python -m tests.bench.bare_edge BOOTSTRAP TOPIC LINGER_MS`: what any Python edge with durable acks costs at least.

Uvicorn (httptools, uvloop), msgspec, librdkafka with a poll thread that hands deliveries over once per poll; no checks,
no ids, no record format. Prints its port.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from typing import Any

import msgspec
import uvicorn
import uvloop
from confluent_kafka import Producer

from hub.log.config import producer_config
from hub.settings import Kafka

Reports = list[tuple["asyncio.Future[None]", Any]]


class Edge:
    """The ASGI app."""

    def __init__(self, bootstrap: str, topic: str, linger_ms: float) -> None:
        """Makes a producer with the hub's own options."""
        self._topic = topic
        self._loop = asyncio.get_running_loop()
        self._reports: Reports = []
        self._producer = Producer(producer_config(Kafka(bootstrap=bootstrap, linger_ms=linger_ms)))
        threading.Thread(target=self._poll, daemon=True).start()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        payload = msgspec.json.decode(body)
        acknowledged: asyncio.Future[None] = self._loop.create_future()
        self._producer.produce(
            self._topic,
            body,
            payload["profile"]["id"],
            on_delivery=lambda error, _: self._reports.append((acknowledged, error)),
        )
        await acknowledged
        answer = msgspec.json.encode({"profile": payload["profile"], "session": payload["session"]})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _poll(self) -> None:
        while True:
            self._producer.poll(0.25)
            if self._reports:
                reports, self._reports = self._reports, []
                self._loop.call_soon_threadsafe(_settle, reports)


def _settle(reports: Reports) -> None:
    for acknowledged, error in reports:
        if error is None:
            acknowledged.set_result(None)
        else:
            acknowledged.set_exception(RuntimeError(error.str()))


async def main(bootstrap: str, topic: str, linger_ms: float) -> None:
    """Serve until SIGTERM."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            Edge(bootstrap, topic, linger_ms),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        print(sock.getsockname()[1], flush=True)
        await uvicorn.Server(config).serve(sockets=[sock])


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
