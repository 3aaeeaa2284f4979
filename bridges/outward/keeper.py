"""One version of one destination kept running; what the runner has to know of destinations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from bridges.base import Context, Rewind
from bridges.kept import Hub, Kept, first_status
from bridges.network import permit
from bridges.outlet import OPTIONS, Outlet
from bridges.outward.base import SpanTarget, Target
from bridges.outward.letters import Burial
from bridges.outward.reader import StoredReader
from bridges.outward.registry import spec_of, validate
from bridges.outward.send import Desk, Memory, Sender, Session
from bridges.outward.shape import Shape
from bridges.outward.spans import SpanReader
from bridges.outward.state import OF_DESTINATIONS
from bridges.outward.write import Writer
from bridges.registry import BridgeError
from bridges.runner import Family
from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Destination
from hub.definitions.secrets import secrets_of
from hub.errors import PortError
from hub.log.config import producer_config
from schemas.topics import EVENTS

if TYPE_CHECKING:
    from hub.telemetry.sending import Sending

Reader = TypeVar("Reader", bound=StoredReader)

REWINDS_TO: Final = ["beginning", "offset", "time"]


class DestinationKeeper(Kept):
    """See Kept."""

    def __init__(self, id: str, entry: Entry, hub: Hub) -> None:
        """Starts at once, on the running loop."""
        self._definition = _destination(entry)
        self.first_retry_s = self._definition.retry.first_s
        self.longest_retry_s = self._definition.retry.longest_s
        self._memory = Memory(self._definition.give_up_s)
        self._reader: StoredReader | None = None
        self._sender: Session | None = None
        self._missed = 0
        status = first_status(id, self._definition.type, entry, hub, REWINDS_TO)
        super().__init__(id, entry, hub, status, OF_DESTINATIONS)

    def look(self) -> None:
        """See Kept."""
        if self._reader is None:
            return
        self.watch.look(self._reader.lag(), self._reader.parts())
        if self._reader.missed > self._missed:
            self._missed = self._reader.missed
            status = self.watch.status
            status.last_error_ms = self._hub.now_ms()
            status.last_error = (
                f"{self._missed} events were deleted from stored.v1 before they could be sent: it keeps them for three "
                "days. The store still has them: GET /events"
            )

    def _halt(self) -> None:
        if self._sender is not None:
            self._sender.stop()

    def _secrets(self) -> list[str]:
        return _secrets(self.entry, self._hub)

    def _words(self, exc: Exception) -> str:
        # links that bridges have as well call what they lead to a source
        return f"target: {exc.detail}" if isinstance(exc, PortError) and exc.port == "source" else str(exc)

    def _traces(self) -> Sending | None:
        if self._hub.tracing is None:
            return None
        from hub.telemetry.sending import Sending  # noqa: PLC0415 - what is off is not imported

        return Sending(self._hub.tracing, destination=self._id, kind=self._definition.type)

    async def _session(self) -> None:
        hub, definition = self._hub, self._definition
        self.watch.begin()
        target = await build(self._id, definition, hub)
        shape = Shape(definition)
        reader: StoredReader
        if isinstance(target, Target):
            reader = _reader(StoredReader, self._id, self.entry, hub)
            session: Callable[[Desk], Session] = partial(Sender, reader, target)
        else:
            reader = spans = _reader(SpanReader, self._id, self.entry, hub)
            session = partial(Writer, spans, target)
        outlet = Outlet(producer_config(hub.kafka, **OPTIONS), EVENTS.name(hub.namespace))
        try:
            await target.connect()
            await reader.connect()
            burial = Burial(self._id, outlet, hub.blobs, hub.now_ms)
            desk = Desk(shape, burial, self.watch, self._memory, self.stop_rule, hub.now_ms, self._traces())
            self._sender = session(desk)
            self._reader = reader
            if not self._stopping.is_set():
                self.watch.enter("running")
                await self._sender.run()
        finally:
            self.look()
            self._reader = self._sender = None
            await reader.close()
            await target.close()
            await outlet.close()


async def build(id: str, definition: Destination, hub: Hub) -> Target | SpanTarget:
    """A target that is not connected yet, and may connect. Raises BridgeError, Refused."""
    validate(definition)
    spec = spec_of(definition.type)
    settings = spec.settings.model_validate(definition.settings)
    await permit(settings, hub.egress)
    return spec.build(settings, Context(id, hub.namespace, hub.environ, hub.egress))


def _destination(entry: Entry) -> Destination:
    assert isinstance(entry.spec, Destination)
    return entry.spec


def _reader(kind: type[Reader], id: str, entry: Entry, hub: Hub) -> Reader:
    return kind(id, _destination(entry), entry.updated_at_ms, hub.kafka, hub.namespace)


def _secrets(entry: Entry, hub: Hub) -> list[str]:
    definition = _destination(entry)
    with suppress(BridgeError):
        return secrets_of(spec_of(definition.type).settings, definition.settings, hub.environ)
    return []


async def _rewind(id: str, entry: Entry, hub: Hub, to: Rewind) -> None:
    await _reader(StoredReader, id, entry, hub).rewind(to)


DESTINATIONS: Final = Family(
    "destination",
    runs=lambda entry: _destination(entry).sends == "events",
    keep=DestinationKeeper,
    rewind=_rewind,
    secrets=_secrets,
)
