"""What bridges and destinations have in common as resources: seen, started, paused, rewound through Redis."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
import structlog
from pydantic import BaseModel, Field

from hub.api.control import Control, Seen
from hub.api.definitions import Editor, Invalid, Rules, condition, parsed
from hub.api.problems import Conflict, NotFound
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Definition
from hub.edge.times import time_ms
from hub.errors import InvalidPayload, Unavailable
from hub.pipeline.documents import iso
from schemas.bridges import Call, Place, Reply, Status

log: Final = structlog.get_logger()

REWIND_S: Final = 50.0
RETRY_S: Final = 5.0
LET_GO_S: Final = 5.0
"""How long a pause waits until nobody runs it any more."""
LOOK_S: Final = 0.05
NO_REDIS: Final = "HUB_REDIS__URL is not set for the API, so it does not know how the {kind}s are doing"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d")


class RewindTo(BaseModel, extra="forbid"):
    """Where to read from again."""

    to: Annotated[
        str | int | list[str],
        Field(description="`beginning`, an RFC 3339 time, or an offset, or several, as the broker writes them."),
    ]


class Steering:
    """Definitions of one kind, and the processes that run them."""

    def __init__(
        self,
        kind: str,
        editor: Editor,
        catalogue: Catalogue,
        rules: Rules,
        *,
        control: Control | None,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            kind: Of definition.
            control: None: there is no Redis.
            now_ms: The clock, milliseconds since 1970.
        """
        self._kind = kind
        self._editor = editor
        self._catalogue = catalogue
        self._rules = rules
        self._control = control
        self._now_ms = now_ms

    async def enable(self, id: str, if_match: str | None) -> None:
        """Start it; one that is broken is tried again at once. Raises NotFound, Conflict, Unavailable."""
        if not await self.switch(id, True, if_match):
            owner = await self.owner(id)
            if owner is not None:
                await self.ask(self.call("retry", id, RETRY_S), owner, RETRY_S)

    async def pause(self, id: str, if_match: str | None) -> None:
        """Stop it until it is started again; waits a little until it has let go. Raises NotFound, Conflict."""
        await self.switch(id, False, if_match)
        try:
            async with asyncio.timeout(LET_GO_S):
                while await self.owner(id) is not None:  # noqa: ASYNC110 - it is another process' state
                    await asyncio.sleep(LOOK_S)
        except (TimeoutError, Unavailable):
            # it is paused all the same; the answer says how things are
            log.info(f"{self._kind}s.pause_not_seen", **{self._kind: id})

    async def rewind(self, id: str, to: Place) -> None:
        """Let it read again from somewhere. Raises NotFound, Invalid (this kind cannot), Unavailable."""
        self.entry(id)
        call = self.call("rewind", id, REWIND_S)
        call.place = to
        # whoever runs it has to stop it for that; of one that nobody runs, any process can
        await self.ask(call, await self.owner(id), REWIND_S)

    def entry(self, id: str) -> Entry:
        """Raises NotFound."""
        entry = self._catalogue.entry(self._kind, id)
        if entry is None:
            raise NotFound(f"there is no {self._kind} with this id: PUT /definitions/{self._kind}/{{id}} makes one")
        return entry

    async def spec(self, id: str, definition: Mapping[str, Any] | None) -> Definition:
        """
        What is to be tried: a definition that need not be saved, as it would be kept, or (None) the one that is.

        Raises: NotFound, Invalid, InvalidPayload.
        """
        if definition is None:
            return self.entry(id).spec
        entry = self._catalogue.entry(self._kind, id)
        spec = parsed(self._kind, msgspec.json.encode(definition))
        return await asyncio.to_thread(self._rules.checked, self._kind, spec, None if entry is None else entry.spec)

    async def switch(self, id: str, enabled: bool, if_match: str | None) -> bool:
        """Returns: whether that is a change."""
        entry = self.entry(id)
        condition(if_match)(entry)
        if entry.spec.enabled == enabled:
            return False

        def unchanged(now: Entry | None) -> None:
            if now != entry:
                raise Conflict(f"somebody else has changed the {self._kind} at the same time: try again")

        spec = entry.spec.model_copy(update={"enabled": enabled})
        await self._editor.write(self._kind, id, spec, unchanged)
        return True

    async def seen(self, ids: list[str]) -> tuple[Seen | None, str]:
        """And why nothing can be seen."""
        if self._control is None:
            return None, NO_REDIS.format(kind=self._kind)
        try:
            return await self._control.seen(ids), ""
        except Unavailable as exc:
            return None, exc.detail

    async def owner(self, id: str) -> str | None:
        """The process that runs it. Raises Unavailable."""
        return None if self._control is None else (await self._control.seen([id])).owners.get(id)

    def call(self, what: Any, id: str, timeout_s: float) -> Call:
        """A question to a process."""
        deadline_ms = self._now_ms() + int(timeout_s * 1000)
        return Call(id=secrets.token_hex(16), what=what, bridge=id, deadline_ms=deadline_ms)

    async def ask(self, call: Call, process: str | None, timeout_s: float) -> Reply:
        """Raises Unavailable; Invalid: it cannot be done."""
        if self._control is None:
            raise Unavailable("redis", f"{NO_REDIS.format(kind=self._kind)} and cannot ask a bridge process")
        reply = await self._control.call(call, process, timeout_s)
        if reply.error is not None:
            if reply.error.kind == "unavailable":
                raise Unavailable(reply.error.port, reply.error.detail)
            raise Invalid(reply.error.detail)
        return reply


def place(to: str | int | list[str]) -> Place:
    """
    Where that is.

    Raises: InvalidPayload: a time that is none, or nothing at all.
    """
    if isinstance(to, list):
        to = ",".join(to)
    if isinstance(to, str) and _TIME.match(to):
        return Place("time", at_ms=time_ms(to, "to"))
    text = str(to).strip()
    if not text:
        raise InvalidPayload("wrong_type", "write `beginning`, a time such as 2026-11-25T09:30:00Z, or an offset", "to")
    return Place("beginning") if text == "beginning" else Place("offset", offset=text)


def state(entry: Entry, owner: str | None, status: Status | None, seen: Seen | None) -> tuple[str, str]:
    """And what to do about it."""
    if owner is not None:
        now = "starting" if status is None or status.process != owner else status.state
        # for a moment a process holds one that is paused, too: as it has let it go, or rewound it
        held = not entry.spec.enabled and now in ("starting", "stopped")
        return ("paused" if held else now), ""
    if not entry.spec.enabled:
        return "paused", ""
    if seen is None:
        return "unknown", ""
    if not seen.processes:
        return "unassigned", "no bridge process is running: start `hub bridges`"
    return "unassigned", "no process has it yet: one takes it within seconds"


def when(at_ms: int | None) -> str | None:
    """RFC 3339; None for never."""
    return iso(at_ms) if at_ms else None
