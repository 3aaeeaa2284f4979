"""Before a process begins: what it needs is asked for again and again until it is there."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Final, TypeVar

import structlog

from hub.errors import Unavailable
from hub.health import serve_health
from hub.settings import Health
from hub.store.factory import has_store, open_store
from hub.store.port import Store

log: Final = structlog.get_logger()
FIRST_WAIT_S: Final = 0.5
MOST_WAIT_S: Final = 5.0
"""Between two tries; each time twice as long as before, and up to a half less, so that not all come back at once."""
T = TypeVar("T")


def until_there(ask: Callable[[], T], health: Health, *, elsewhere: int = 404) -> T:
    """
    What `ask` gives, asked as often as it takes. Whoever asks the health port meanwhile hears what is waited for.
    SIGTERM and SIGINT end the process with 0 wherever it stands, as nothing has begun. Call it from the main thread.

    Args: ask: raises Unavailable while it is not there. elsewhere: as of `serve_health`.

    Raises: whatever else `ask` raises: trying again cannot help.
    """
    waiting: dict[str, Any] = {"ready": False, "waiting_for": ""}
    wait_s = FIRST_WAIT_S
    with _ended_by_signals(), ExitStack() as stack:
        while True:
            try:
                there = ask()
            except Unavailable as exc:
                if not waiting["waiting_for"]:
                    stack.enter_context(serve_health(health, lambda: waiting, elsewhere=elsewhere))
                    log.warning("process.waits", why=str(exc))
                waiting["waiting_for"] = str(exc)
            else:
                if waiting["waiting_for"]:
                    log.info("process.goes_on")
                return there
            time.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, MOST_WAIT_S)


def open_when_there(url: str, health: Health) -> Store:
    """As `open_store`, as often as it takes. Raises Refused: trying again cannot help."""

    def opened() -> Store:
        has_store(url)  # sooner than the other one it says that somebody takes connections and never answers
        return open_store(url)

    return until_there(opened, health)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
