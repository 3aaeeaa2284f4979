"""
moto's server, for SQS only: `python -m tests.servers.moto_sqs PORT`.

moto's queues are not made for several requests at once (a set changes while another thread walks it), and several at
once is what a bridge does: so here each call has the queues for itself, except while it waits for messages.
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
from moto.sqs.models import Queue, SQSBackend

CALLS: Final = (
    "send_message_batch",
    "receive_message",
    "delete_message_batch",
    "change_message_visibility_batch",
    "get_queue_attributes",
)
_queues: Final = threading.RLock()


def alone(call: Callable[..., Any]) -> Callable[..., Any]:
    """One at a time of all that are wrapped so."""

    @wraps(call)
    def run(*args: Any, **keywords: Any) -> Any:
        with _queues:
            return call(*args, **keywords)

    return run


def aside(call: Callable[..., Any]) -> Callable[..., Any]:
    """Lets others go on meanwhile."""

    @wraps(call)
    def run(*args: Any, **keywords: Any) -> Any:
        _queues.release()
        try:
            return call(*args, **keywords)
        finally:
            _queues.acquire()

    return run


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    for name in CALLS:
        setattr(SQSBackend, name, alone(getattr(SQSBackend, name)))
    # each call walks the whole queue several times for each message, and asks a slow clock at every step
    models.unix_time_millis = lambda: time.time() * 1000  # type: ignore[attr-defined]
    SQSBackend.is_message_valid_based_on_retention_period = lambda *_: True  # type: ignore[method-assign]
    Queue.wait_for_messages = aside(Queue.wait_for_messages)  # type: ignore[method-assign]
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
