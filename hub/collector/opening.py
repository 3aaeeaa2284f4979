"""Before a collector begins: its store is opened, and waited for while it is away."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any, Final

import structlog

from hub.errors import Unavailable
from hub.health import serve_health
from hub.settings import Health
from hub.store.factory import has_store, open_store
from hub.store.port import Store

log: Final = structlog.get_logger()
FIRST_WAIT_S: Final = 0.5
MOST_WAIT_S: Final = 5.0
"""Between two tries; each time twice as long as before."""


def open_when_there(url: str, health: Health, stop: threading.Event) -> Store | None:
    """
    As `open_store`, as often as it takes. Whoever asks the health port meanwhile hears what is waited for.

    Args: stop: ends the wait.

    Returns: None: `stop` was set before the store was there. Raises: Refused: trying again cannot help.
    """
    waiting: dict[str, Any] = {"ready": False, "partitions": [], "waiting_for": ""}
    wait_s = FIRST_WAIT_S
    with ExitStack() as stack:
        while not stop.is_set():
            try:
                has_store(url)  # sooner than the other one it says that somebody takes connections and never answers
                store = open_store(url)
            except Unavailable as exc:
                if not waiting["waiting_for"]:
                    stack.enter_context(serve_health(health, lambda: waiting))
                    log.warning("collector.waits", why=str(exc))
                waiting["waiting_for"] = str(exc)
            else:
                if waiting["waiting_for"]:
                    log.info("collector.goes_on")
                return store
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, MOST_WAIT_S)
    return None
