"""What a kind of task is: its name, its queue, its arguments, and the module whose code does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from pydantic import BaseModel

from hub.errors import HubError
from hub.task import Page, Planned, Slice, Task


class Failed(HubError):
    """A task or a slice cannot be done, and would not be if it were tried again; the words are for people."""


class Work(Protocol):
    """What the code of a kind does. For one thread."""

    def plan(self, task: Task) -> Iterable[Planned]:
        """
        Its slices. They are kept once all are known: whoever is killed before that begins again.

        Raises: Failed, Unavailable, and whatever is a fault.
        """
        ...

    def pages(self, task: Task, part: Slice) -> Iterator[Page]:
        """
        Do a slice from `part.at` on (None: its beginning), and say so after each page whose effect is durable.

        A page that was done and could not be noted as done is done again: so it has to have the same effect then. The
        iterator's end is that of the slice. It is closed when somebody stops it.

        Raises: Failed, Unavailable, and whatever is a fault.
        """
        ...


def _nothing(_: Any) -> None:
    """Whatever has the right types will do."""


class Kind(NamedTuple):
    """
    One kind.

    Attributes:
        name: As people ask for it.
        queue: Of `schemas.jobs.QUEUES`.
        arguments: Their model; no secrets, as everybody sees them.
        module: It has `opened(desk, stack)`, which gives the Work; only workers import it.
        help: A line for people.
        check: What types cannot say of arguments, asked before there is a task. Blocks. Raises ValueError, QueryError.
    """

    name: str
    queue: str
    arguments: type[BaseModel]
    module: str
    help: str
    check: Callable[[Any], None] = _nothing


Kinds: TypeAlias = Mapping[str, Kind]
"""By name."""
