"""Real brokers as sources of the bridge contract: each fills a queue of its own and says how a bridge reaches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

NAMES: Final = (
    "kafka",
    "lines",
    "mqtt:3.1.1",
    "imap",
    "nats:limits",
    "nats:workqueue",
    "mqtt:qos1",
    "mqtt:qos2",
    "postgres:cursor",
    "postgres:delete",
    "postgres:mark",
    "rabbitmq:classic",
    "rabbitmq:quorum",
    "rabbitmq:stream",
    "redis:left",
    "redis:right",
    "redis:stream",
    "sqs",
    "sqs:fifo",
)
"""Every source that the contract is run on: `MODULE` or `MODULE:WAY`, as tests/sources/MODULE.py has them in WAYS."""
FURTHER: Final = frozenset(
    {
        "mqtt:3.1.1",
        "mqtt:qos2",
        "nats:workqueue",
        "postgres:cursor",
        "postgres:mark",
        "rabbitmq:quorum",
        "rabbitmq:stream",
        "redis:right",
        "sqs:fifo",
    }
)
"""Those of NAMES that are another way of a broker that is in there already: `make live` runs them, `make test` not."""


class World(NamedTuple):
    """
    What a source may use.

    Attributes:
        kafka: Bootstrap address of the run's Kafka.
        folder: Of the run; servers that its tests share have theirs in there.
        namespace: Of this test: queues of that name are nobody else's.
    """

    kafka: str
    folder: Path
    namespace: str


class Source(Protocol):
    """
    A queue on a real broker, empty at first, of one test.

    Attributes:
        kind: The type of bridge that reads it.
        settings: Of that bridge.
        most_bytes: The largest message that the broker takes.
        keeps_order: Whether messages that come again come in their order, before those that follow.
        keeps_ids: Whether a message that comes again has the same coordinates. Left out: it has.
        tells_time: Whether a message has a time. Left out: it has.
        in_order: Whether messages come in the order in which they were put. Left out: they do.
    """

    kind: str
    settings: dict[str, Any]
    most_bytes: int
    keeps_order: bool

    def put(self, bodies: Sequence[bytes]) -> None:
        """Returns when the broker has them, in this order; each with an id of its own where the broker knows none."""
        ...


def unwrapped(source: Source, body: bytes) -> bytes:
    """What was put, of a message's body: a source whose messages are more than that has a method of this name."""
    unwrap: Callable[[bytes], bytes] | None = getattr(source, "unwrapped", None)
    return body if unwrap is None else unwrap(body)


def promises(source: Source, what: str) -> bool:
    """One of the attributes that may be left out."""
    return bool(getattr(source, what, True))


Open: TypeAlias = Callable[[World], AbstractContextManager[Source]]


def open_source(name: str, world: World) -> AbstractContextManager[Source]:
    """One of NAMES."""
    module, _, way = name.partition(":")
    ways: dict[str, Open] = import_module(f"tests.sources.{module}").WAYS
    return ways[way](world)
