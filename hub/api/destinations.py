"""Destinations as a resource: how each is doing, and a rehearsal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias, cast

from fastapi import APIRouter
from pydantic import BaseModel, Field

from hub.api import steered
from hub.api.control import Control, Seen
from hub.api.definitions import Editor, Invalid, Rules, Types
from hub.api.steering import Steering, state
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Destination
from hub.edge.outbound import RehearseOf
from hub.errors import Unavailable
from hub.store.port import Reading

MOST_EVENTS: Final = 100
COUNTS: Final = steered.Counts(taken="read", done="sent", last="last_event_at")

Lags: TypeAlias = Callable[[Sequence[str]], Mapping[str, int | None]]
"""By destination, how many stored events wait; None: it has not begun. Blocks. Raises Unavailable."""


class Rehearsal(BaseModel, extra="forbid"):
    """What to try."""

    definition: Annotated[
        dict[str, Any] | None, Field(description="A definition that need not be saved; null: the one that is.")
    ] = None
    q: Annotated[str, Field(description="Which stored events to look at (docs/query.md). Empty: any.")] = ""
    events: Annotated[int, Field(ge=1, le=MOST_EVENTS, description="The newest of them, so many.")] = 5


class Destinations(steered.Steered[Rehearsal]):
    """Definitions and what the bridge processes and Kafka tell of them, put together."""

    def __init__(
        self,
        editor: Editor,
        catalogue: Catalogue,
        rules: Rules,
        store: Reading,
        *,
        control: Control | None,
        lags: Lags,
        rehearse_of: RehearseOf | None,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            control: Of destinations; None: there is no Redis.
            rehearse_of: None: there are no destinations in this process' build.
            now_ms: The clock, milliseconds since 1970.
        """
        super().__init__(Steering("destination", editor, catalogue, rules, control=control, now_ms=now_ms))
        self._catalogue = catalogue
        self._store = store
        self._lags = lags
        self._rehearse_of = rehearse_of

    async def all(self) -> list[dict[str, Any]]:
        """See Steered."""
        entries = sorted(self._catalogue.entries("destination").items())
        ids = [id for id, _ in entries]
        seen, why = await self._steering.seen(ids)
        lags, no_lags = await self._lag(ids)
        return [_view(id, entry, seen, why or no_lags, lags.get(id)) for id, entry in entries]

    async def one(self, id: str) -> dict[str, Any]:
        """See Steered."""
        entry = self._steering.entry(id)
        seen, why = await self._steering.seen([id])
        lags, no_lags = await self._lag([id])
        return _view(id, entry, seen, why or no_lags, lags.get(id))

    async def test(self, id: str, wanted: Rehearsal) -> dict[str, Any]:
        """What it would send of the newest stored events. Raises NotFound, Invalid, InvalidPayload, QueryError."""
        if self._rehearse_of is None:
            raise Invalid("this API knows no kinds of destination")
        spec = await self._steering.spec(id, wanted.definition)
        return await asyncio.to_thread(self._rehearsed, cast("Destination", spec), wanted)

    def _rehearsed(self, spec: Destination, wanted: Rehearsal) -> dict[str, Any]:
        assert self._rehearse_of is not None
        if spec.sends == "flows":
            raise Invalid("it sends no events, but what flows send by it: hub flow test")
        try:
            rehearse = self._rehearse_of(spec)
        except ValueError as exc:
            raise Invalid(str(exc)) from exc
        events = self._store.search("events", wanted.q, wanted.events, None).items
        return {"messages": [rehearse(event) for event in events]}

    async def _lag(self, ids: Sequence[str]) -> tuple[Mapping[str, int | None], str]:
        """And why it is not known."""
        try:
            return (await asyncio.to_thread(self._lags, ids) if ids else {}), ""
        except Unavailable as exc:
            return {}, exc.detail


def router(destinations: Destinations, types: Types) -> APIRouter:
    """The routes. Args: types: of destination, see Rules."""
    return steered.router(
        "destination",
        destinations,
        Rehearsal,
        types=types,
        test="See what a destination would send of stored events",
        test_answers=steered.NOT_THERE,
        rewind="Let a destination send again",
    )


def _view(id: str, entry: Entry, seen: Seen | None, why: str, lag: int | None) -> dict[str, Any]:
    """`lag` is Kafka's word; all other numbers are those of the process that runs it, or ran it last."""
    owner = None if seen is None else seen.owners.get(id)
    status = None if seen is None else seen.statuses.get(id)
    now, hint = state(entry, owner, status, seen)
    spec = cast("Destination", entry.spec)
    if spec.sends == "flows" and now == "unassigned":
        hint = "it sends no events: whoever runs a flow sends by it what that says"
    own = {"condition": spec.condition, "sends": spec.sends}
    told = steered.described(id, entry, spec, (now, why or hint), process=owner, own=own)
    return told | steered.numbers(status, COUNTS, running=owner is not None) | {"lag": lag}
