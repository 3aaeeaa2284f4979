"""A client of Redis or Valkey for code that may block; and what is wrong with it, in the hub's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from hub.errors import Unavailable

ANSWER_S: Final = 2.0
"""How long it may take to answer: a leader has to say that it lives within three seconds."""


def client(url: str) -> Redis:
    """
    Connects when it is first asked. One more attempt at once: the first finds out that a connection has gone.

    Raises: ValueError: a URL that is none.
    """
    return Redis.from_url(
        url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 1), protocol=2
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raises Unavailable for what a client raises whose server is away."""
    try:
        yield
    except (RedisError, OSError) as exc:
        raise Unavailable("redis", f"Redis does not answer (HUB_REDIS__URL): {str(exc) or type(exc).__name__}") from exc
