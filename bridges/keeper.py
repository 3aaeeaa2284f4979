"""One version of one bridge: started, started again with back-off when it breaks, stopped."""

from __future__ import annotations

from bridges import trial
from bridges.base import Bridge
from bridges.forward import Forwarder, Traces
from bridges.kept import Hub, Kept, first_status
from bridges.outlet import OPTIONS, Outlet
from bridges.registry import BridgeError, spec_of
from bridges.state import OF_BRIDGES
from hub.definitions import kinds
from hub.definitions.catalogue import Entry
from hub.log.config import producer_config
from schemas.topics import EVENTS

__all__ = ["Hub", "Keeper"]


class Keeper(Kept):
    """Keeps one version running."""

    def __init__(self, id: str, entry: Entry, hub: Hub) -> None:
        """Starts at once, on the running loop."""
        assert isinstance(entry.spec, kinds.Bridge)
        self._definition = entry.spec
        self._forwarder: Forwarder | None = None
        self._bridge: Bridge | None = None
        kind = entry.spec.type
        super().__init__(id, entry, hub, first_status(id, kind, entry, hub, _rewinds_to(kind)), OF_BRIDGES)

    def look(self) -> None:
        """See Kept."""
        if self._bridge is not None:
            self.watch.look(self._bridge.lag(), self._bridge.parts())

    def _halt(self) -> None:
        if self._forwarder is not None:
            self._forwarder.stop()

    def _secrets(self) -> list[str]:
        return trial.secrets(self._definition, self._hub.environ)

    def _traces(self, topic: str) -> Traces | None:
        """Args: topic: full name of events.v1."""
        hub = self._hub
        if hub.tracing is None:
            return None
        from hub.telemetry.bridging import Bridging  # noqa: PLC0415 - what is off is not imported

        return Bridging(hub.tracing, hub.telemetry, bridge=self._id, kind=self._definition.type, events=topic)

    async def _session(self) -> None:
        hub, definition = self._hub, self._definition
        self.watch.begin()
        bridge = await trial.build(self._id, definition, hub.namespace, hub.environ, hub.egress)
        converter = trial.converter(self._id, definition, hub.catalogue, hub.limits)
        config, topic = producer_config(hub.kafka, **OPTIONS), EVENTS.name(hub.namespace)
        outlet = Outlet(config, topic, sealing=hub.sealing, reserve=hub.reserve)
        try:
            await bridge.connect()
            self._forwarder = Forwarder(
                bridge,
                converter,
                outlet,
                hub.blobs,
                self.watch,
                in_flight=hub.in_flight,
                stall_s=hub.kafka.delivery_timeout_s,
                stop_rule=self.stop_rule,
                now_ms=hub.now_ms,
                bulk=None if definition.priority == "live" else hub.bulk,
                rate_limit=definition.rate_limit,
                traces=self._traces(topic),
            )
            self._bridge = bridge
            if not self._stopping.is_set():
                self.watch.enter("running")
                await self._forwarder.run()
        finally:
            self._forwarder = self._bridge = None
            await bridge.close()
            await outlet.close()


def _rewinds_to(kind: str) -> list[str]:
    try:
        return sorted(map(str, spec_of(kind).rewinds_to))
    except BridgeError:
        return []
