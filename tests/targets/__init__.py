"""Real servers as targets of the destination contract: each has a place of its own and says what has come there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from tests.sources import World

NAMES: Final = (
    "clickhouse",
    "clickhouse:columns",
    "http",
    "http:array",
    "http:lines",
    "kafka",
    "mqtt",
    "nats",
    "postgres",
    "postgres:columns",
    "rabbitmq",
    "redis_streams",
    "s3",
    "s3:columns",
    "smtp",
    "sqs",
    "sqs:fifo",
)
"""Every target that the contract is run on: `MODULE` or `MODULE:WAY`, as tests/targets/MODULE.py has them in WAYS."""


class Arrived(NamedTuple):
    """A message as the target has it. `id`: the event's."""

    id: str
    content: Any


class Sink(Protocol):
    """
    A place on a real server, empty at first, of one test.

    Attributes:
        kind: The type of destination that sends there.
        definition: What a definition needs besides its type: settings, and perhaps a mapping.
        away: Settings that lead to where nobody listens.
        exactly_once: Whether it has an event once, however often it is sent.
        in_order: Whether it keeps the order of what is sent. Left out: it does.
    """

    kind: str
    definition: dict[str, Any]
    away: dict[str, Any]
    exactly_once: bool

    def arrived(self) -> Sequence[Arrived]:
        """All that is there, in the order in which it came."""
        ...


Open: TypeAlias = Callable[[World], AbstractContextManager[Sink]]


def open_sink(name: str, world: World) -> AbstractContextManager[Sink]:
    """One of NAMES."""
    module, _, way = name.partition(":")
    ways: dict[str, Open] = import_module(f"tests.targets.{module}").WAYS
    return ways[way](world)
