"""What runs ask of the world outside the hub: ports, for whoever is given to `hub.flows.runner.Runner`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from hub.definitions.catalogue import Catalogue
from hub.flows.effects import Answer, CallHttp, SendMessage
from schemas.flows import ASYNC


class Outward(Protocol):
    """Calls of other systems, and messages. All of it blocks. Thread-safe."""

    def call(self, ask: CallHttp) -> Answer:
        """
        Make a call, as often as it may be tried. Whatever the other side does is an Answer, also that there is none.

        Raises Unavailable: this process ends.
        """
        ...

    def send(self, messages: Sequence[SendMessage]) -> None:
        """
        Send messages: each is durable where it goes, or a dead letter, when this returns.

        Raises Unavailable: some may be sent; the same call again.
        """
        ...

    def send_again(self, messages: Sequence[SendMessage]) -> Mapping[str, str]:
        """
        Send messages that became dead letters: each is durable where it goes when this returns, but for those that are
        returned, by id, with why; they are no new letters.

        Raises Unavailable: this process ends; the same call again.
        """
        ...

    def close(self) -> None:
        """Let go of all connections. Never raises."""
        ...


OpenOutward: TypeAlias = Callable[[Catalogue], Outward]
"""
Opens it for a process that follows these definitions; nothing is started or connected before it is needed. Only
`hub.cli.serve` knows how, as agents and workers may not import bridges.
"""


class Answers(Protocol):
    """
    What somebody waits for: the responses of flows to an event. That nobody can be told is no fault of a run: nothing
    here raises, and whoever waits is told at the deadline that it goes on.
    """

    def put(self, event_id: str, flow: str, response: Mapping[str, Any], flows: Sequence[str]) -> None:
        """
        A flow's run because of the event has ended or paused; what is put last counts.

        Args: response: empty: it has none. flows: all that the event lets run, this one among them.
        """
        ...

    def nothing(self, event_id: str) -> None:
        """The event lets no flow run: nobody has to wait."""
        ...


def waited_for(event: Mapping[str, Any]) -> list[str]:
    """
    The flows that an event lets run, if whoever has sent it waits for their responses; else none.

    Args: event: as the store has it.
    """
    options, flows = event.get("options"), event.get("flows")
    if not isinstance(options, dict) or options.get(ASYNC) is not False or not isinstance(flows, dict):
        return []
    return sorted(flows.get("run") or ())


LongTurn: TypeAlias = Callable[[str], AbstractContextManager[bool]]
"""
Given a run: whether it may be at a long node while the block runs. If not, whoever it is that decides has it go on when
it may. Raises Unavailable.
"""


class Elsewhere(Protocol):
    """Where runs go on that must not block who has begun them."""

    def go_on(self, runs: Iterable[str]) -> None:
        """Have somebody call `Runner.go_on` with these ids; twice does no harm. Raises Unavailable."""
        ...
