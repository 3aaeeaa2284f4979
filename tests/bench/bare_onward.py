"""What the bare loops of the bridges share: onto our Kafka with a callback, and which chunk of the source is done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psutil
from confluent_kafka import KafkaError, Message, Producer

from hub.log.config import producer_config
from hub.settings import Kafka

IN_FLIGHT = 10_000


class Chunk:
    """Messages that were taken together; `token` acknowledges them at the source."""

    def __init__(self, token: Any, left: int) -> None:
        self.token = token
        self.left = left

    def delivered(self, error: KafkaError | None, _: Message) -> None:
        """A delivery report."""
        assert error is None, error
        self.left -= 1


class Onward:
    """Decode, encode, produce; and figures from the first chunk to the last acknowledgement."""

    def __init__(self, bootstrap: str, target: str, count: int) -> None:
        """Args: count: messages that will come."""
        self.done = 0
        self._count = count
        self._target = target
        self._producer = Producer(producer_config(Kafka(bootstrap=bootstrap)))
        self._decode, self._encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
        self._open: deque[Chunk] = deque()
        self._own = psutil.Process()
        self._first, self._at, self._cpu_s = 0, 0.0, 0.0

    @property
    def all_taken(self) -> bool:
        """Whether the last one has come."""
        return self.done >= self._count

    def send(self, bodies: Sequence[bytes], token: Any) -> None:
        """A chunk. Waits while too much is under way."""
        chunk = Chunk(token, len(bodies))
        self._open.append(chunk)
        for body in bodies:
            payload = self._decode(body)
            self._producer.produce(
                self._target, self._encode(payload), payload["profile"]["id"], on_delivery=chunk.delivered
            )
        self.done += len(bodies)
        if not self._first:
            self._first, self._at, self._cpu_s = self.done, time.perf_counter(), self._used()
        while len(self._producer) > IN_FLIGHT:
            self._producer.poll(0.01)

    def acknowledged(self) -> list[Any]:
        """Tokens of the chunks that our Kafka has, in the order of the source."""
        self._producer.poll(0)
        tokens = []
        while self._open and not self._open[0].left:
            tokens.append(self._open.popleft().token)
        return tokens

    def finish(self, acknowledge: Callable[[Any], None]) -> None:
        """Wait for the last, acknowledge it, and print what it took."""
        assert self._producer.flush(30) == 0
        for token in self.acknowledged():
            acknowledge(token)
        assert not self._open
        wall_s, cpu_s = time.perf_counter() - self._at, self._used() - self._cpu_s
        records = self.done - self._first
        print(msgspec.json.encode({"rate": records / wall_s, "cpu_s_per_100k": cpu_s / records * 100_000}).decode())

    def _used(self) -> float:
        used = self._own.cpu_times()
        return used.user + used.system
