"""Bridges as a resource: how each is doing, a trial, and what is different about those that run in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter
from pydantic import BaseModel, Field

from hub.api import steered
from hub.api.access import WEBHOOKS
from hub.api.control import Control, Seen
from hub.api.definitions import Editor, Invalid, Rules, Types
from hub.api.steering import RewindTo, Steering, place, state
from hub.api.webhooks import Webhooks
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Bridge
from schemas.bridges import Status

TEST_S: Final = 25.0
MOST_MESSAGES: Final = 100
COUNTS: Final = steered.Counts(taken="received", done="forwarded", last="last_message_at")


class Test(BaseModel, extra="forbid"):
    """What to try."""

    definition: Annotated[
        dict[str, Any] | None, Field(description="A definition that need not be saved; null: the one that is.")
    ] = None
    messages: Annotated[int, Field(ge=1, le=MOST_MESSAGES, description="Most messages to look at.")] = 5


class Bridges(steered.Steered[Test]):
    """Definitions and what the bridge processes tell of them, put together."""

    def __init__(
        self,
        editor: Editor,
        catalogue: Catalogue,
        rules: Rules,
        *,
        control: Control | None,
        webhooks: Webhooks | None,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            control: None: there is no Redis.
            webhooks: Bridges that run in this process; None: there are none.
            now_ms: The clock, milliseconds since 1970.
        """
        super().__init__(Steering("bridge", editor, catalogue, rules, control=control, now_ms=now_ms))
        self._catalogue = catalogue
        self._webhooks = webhooks

    async def all(self) -> list[dict[str, Any]]:
        """See Steered."""
        entries = sorted(self._catalogue.entries("bridge").items())
        seen, why = await self._steering.seen([id for id, _ in entries])
        return [self._one(id, entry, seen, why) for id, entry in entries]

    async def one(self, id: str) -> dict[str, Any]:
        """See Steered."""
        entry = self._steering.entry(id)
        seen, why = await self._steering.seen([id])
        return self._one(id, entry, seen, why)

    async def test(self, id: str, wanted: Test) -> dict[str, Any]:
        """Let a bridge process look at some messages. Raises NotFound, Invalid, InvalidPayload, Unavailable."""
        spec = await self._steering.spec(id, wanted.definition)
        self._require_queue(spec)
        call = self._steering.call("test", id, TEST_S)
        call.definition = spec.model_dump(mode="json")
        call.messages = wanted.messages
        return (await self._steering.ask(call, None, TEST_S)).result

    async def rewind(self, id: str, wanted: RewindTo) -> dict[str, Any]:
        """See Steered."""
        place(wanted.to)  # what is wrong with it is said before what is wrong with the bridge
        self._require_queue(self._steering.entry(id).spec)
        return await super().rewind(id, wanted)

    def _is_here(self, spec: Bridge) -> bool:
        return self._webhooks is not None and self._webhooks.takes(spec.type)

    def _require_queue(self, spec: Any) -> None:
        if self._is_here(spec):
            raise Invalid(
                f"a bridge of type {spec.type} has no queue to read: its messages are sent to us, and kept nowhere "
                "before. Let the sender send one again, or try a mapping with `hub mapping try`"
            )

    def _one(self, id: str, entry: Entry, seen: Seen | None, why: str) -> dict[str, Any]:
        if self._webhooks is not None and self._is_here(cast("Bridge", entry.spec)):
            return _here(id, entry, self._webhooks.status(id))
        owner = None if seen is None else seen.owners.get(id)
        status = None if seen is None else seen.statuses.get(id)
        now, hint = state(entry, owner, status, seen)
        return _described(id, entry, (now, why or hint), owner) | _numbers(status, running=owner is not None)


def router(bridges: Bridges, types: Types) -> APIRouter:
    """The routes. Args: types: of bridge, see Rules."""
    return steered.router(
        "bridge",
        bridges,
        Test,
        types=types,
        test="Try a bridge on some messages",
        test_answers=steered.ASKED,
        rewind="Let a bridge read again",
    )


def _here(id: str, entry: Entry, status: Status | None) -> dict[str, Any]:
    """Of a bridge that runs in this process. Args: status: None: it is switched off."""
    if status is None:
        return _described(id, entry, ("paused", ""), None) | _numbers(None, running=False)
    hint = f"messages are sent to POST {WEBHOOKS}{id}"
    return _described(id, entry, (status.state, hint), None) | _numbers(status, running=True)


def _described(id: str, entry: Entry, state: tuple[str, str], process: str | None) -> dict[str, Any]:
    spec = cast("Bridge", entry.spec)
    own = {"source": spec.source, "priority": spec.priority, "rate_limit": spec.rate_limit}
    return steered.described(id, entry, spec, state, process=process, own=own)


def _numbers(status: Status | None, *, running: bool) -> dict[str, Any]:
    return steered.numbers(status, COUNTS, running=running)
