"""What the agents do with triggers of flows: runs, many at once; and pauses that an event ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import structlog

from hub.flows.ended import by_event
from hub.flows.kept import KeptRun, Order, RunDocuments
from hub.flows.run import run_id
from hub.flows.runner import Runner
from hub.flows.trace import Fired
from schemas.flows import KIND, NONE_KIND, WAIT_KIND, FlowOrder
from schemas.records import Trigger

log: Final = structlog.get_logger()

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Waiting(Protocol):
    """What is asked of the store; see `hub.store.port.FlowRuns`."""

    def run_documents(
        self, events: Sequence[tuple[str, str]], profiles: Sequence[str], sessions: Sequence[str]
    ) -> RunDocuments:
        """What runs are about."""
        ...

    def waiting_flow_runs(self, profile_ids: Sequence[str], event_type: str) -> list[KeptRun]:
        """Paused runs that wait for such an event."""
        ...

    def waited_types(self) -> set[str]:
        """That pauses wait for."""
        ...


class Asked(NamedTuple):
    """A trigger of any kind, and what its data say."""

    trigger: Trigger
    order: FlowOrder


class Flows:
    """Blocks; for one thread."""

    def __init__(self, open: Callable[[], tuple[Runner, Waiting]]) -> None:
        """Args: open: called when the first trigger comes: most hubs have none. Raises Unavailable, Refused."""
        self._open = open
        self._opened: tuple[Runner, Waiting] | None = None

    def take(self, asked: Sequence[Asked]) -> list[Asked]:
        """
        Do all of these.

        Runs are begun before pauses end: that a run is ended by what came before it is known by the times
        (`hub.flows.ended`).

        Returns: those that have to be given again. Raises: Unavailable, Refused: all of them have.
        """
        if self._opened is None:
            self._opened = self._open()
        runner, store = self._opened
        orders = [(_order(one), one) for one in asked if one.trigger["kind"] == KIND]
        later = []
        if orders:
            begun = runner.begin_some([order for order, _ in orders])
            missing = {run_id(order.flow, order.version, order.fired) for order in begun.later}
            later = [one for order, one in orders if run_id(order.flow, order.version, order.fired) in missing]
            for order, why in begun.left:
                log.info("flow.not_run", flow=order.flow, version=order.version, trigger=order.fired.id, why=why)
        runner.nothing([one.trigger["event_id"] or "" for one in asked if one.trigger["kind"] == NONE_KIND])
        self._end_pauses(runner, store, [one for one in asked if one.trigger["kind"] == WAIT_KIND])
        return later

    @staticmethod
    def _end_pauses(runner: Runner, store: Waiting, asked: Sequence[Asked]) -> None:
        types = store.waited_types() if asked else set()
        asked = [one for one in asked if one.trigger["target"] in types]
        if not asked:
            return
        read = store.run_documents(
            [_event(one) for one in asked], list({one.trigger["profile_id"] for one in asked}), []
        )
        for one in asked:  # in their order: the first one of several ends a pause
            profile_id = one.trigger["profile_id"]
            event, profile = read.events.get(_event(one)[1]), read.profiles.get(profile_id)
            if event is None or profile is None:
                continue  # erased
            ids = {profile_id, *_decode(profile).get("ids", ())}
            runs = store.waiting_flow_runs(sorted(ids), one.trigger["target"])
            resumed = by_event(_decode(event), runs) if runs else {}
            if resumed:
                runner.go_on(list(resumed), resumed=resumed, may_block=False)


def _order(asked: Asked) -> Order:
    trigger, order = asked
    event = _event(asked)
    # what else is to be said of the event is in the event
    fired = Fired(event[1], "event", trigger["at_ms"])
    return Order(trigger["target"], order.version, fired, trigger["profile_id"], order.session_id, event)


def _event(asked: Asked) -> tuple[str, str]:
    return asked.order.partition, asked.trigger["event_id"] or ""
