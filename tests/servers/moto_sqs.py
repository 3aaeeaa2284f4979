"""
moto's server, for SQS only: `python -m tests.servers.moto_sqs PORT`.

moto's queues are not made for several requests at once: a set changes while another thread walks it, and a request that
waits does not notice that a FIFO group has come into other hands. Several at once is what a bridge does; so here each
call has the queues for itself, and one that waits asks again and again, and at once when something was sent.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from moto.server import main
from moto.sqs import models
from moto.sqs.models import SQSBackend

CALLS: Final = (
    "send_message_batch",
    "receive_message",
    "delete_message_batch",
    "change_message_visibility_batch",
    "get_queue_attributes",
)
AGAIN_S: Final = 0.05
_queues: Final = threading.RLock()
_sent: Final = threading.Condition(_queues)


def alone(call: Callable[..., Any]) -> Callable[..., Any]:
    """One at a time of all that are wrapped so."""

    @wraps(call)
    def run(*args: Any, **keywords: Any) -> Any:
        with _queues:
            return call(*args, **keywords)

    return run


def telling(send: Callable[..., Any]) -> Callable[..., Any]:
    """Those who wait for messages ask at once."""

    @wraps(send)
    def run(*args: Any, **keywords: Any) -> Any:
        answer = send(*args, **keywords)
        with _sent:
            _sent.notify_all()
        return answer

    return run


def patient(receive: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Waits as long as the request says, by asking without waiting."""

    @wraps(receive)
    def run(backend: Any, queue: str, count: int, wait_s: int, *args: Any) -> list[Any]:
        deadline = time.monotonic() + wait_s
        with _sent:
            while True:
                found = receive(backend, queue, count, 0, *args)
                if found or time.monotonic() >= deadline:
                    return found
                _sent.wait(AGAIN_S)

    return run


def ticking() -> Callable[[], float]:
    """Milliseconds since 1970, later at each call: what is made visible now has to be so at the next look."""
    last_ms = 0.0

    def now_ms() -> float:
        nonlocal last_ms
        last_ms = max(time.time() * 1000, last_ms + 0.001)
        return last_ms

    return now_ms


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    # each call walks the whole queue several times for each message, and asks a slow clock at every step
    models.unix_time_millis = ticking()  # type: ignore[attr-defined]
    SQSBackend.is_message_valid_based_on_retention_period = lambda *_: True  # type: ignore[method-assign]
    for name in CALLS:
        setattr(SQSBackend, name, alone(getattr(SQSBackend, name)))
    SQSBackend.send_message_batch = telling(SQSBackend.send_message_batch)  # type: ignore[method-assign]
    SQSBackend.receive_message = patient(SQSBackend.receive_message)  # type: ignore[method-assign]
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
