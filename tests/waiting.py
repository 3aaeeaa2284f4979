"""Wait for something in another process, with a time limit that says what did not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T], timeout_s: float = 30.0) -> T:
    """The first true answer of `look`. Raises AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s still not: {what}"
        time.sleep(0.02)
    return found
