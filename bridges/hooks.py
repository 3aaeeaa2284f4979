"""Bridges whose senders come to the API process: what it needs of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast

from bridges import trial
from bridges.base import Context, Receive
from bridges.convert import Converter
from bridges.registry import BridgeError, is_brought, spec_of, validate
from bridges.state import Watch
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Bridge
from hub.definitions.secrets import scrubbed
from hub.edge.hook import Letter, Record, Request
from hub.edge.token_bucket import TokenBucket
from hub.errors import HubError, Unavailable
from hub.ids import derived
from hub.settings import Limits
from hub.store.port import Blobs
from schemas.bridges import Status

LOOK_MS: Final = 1_000


class _Hub(NamedTuple):
    namespace: str
    limits: Limits
    environ: Mapping[str, str]
    now_ms: Callable[[], int]


class Hooks:
    """See hub.edge.hook.Hooks."""

    def __init__(
        self,
        *,
        namespace: str,
        limits: Limits,
        environ: Mapping[str, str],
        blobs: Blobs,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Args: environ: where references to secrets are looked up. now_ms: milliseconds since 1970."""
        self._hub = _Hub(namespace, limits, environ, now_ms)
        self._blobs = blobs

    def takes(self, kind: str) -> bool:
        """See there."""
        return is_brought(kind)

    def open(self, id: str, entry: Entry, catalogue: Catalogue) -> Hook:
        """See there."""
        return Hook(id, entry, catalogue, self._hub)

    def put_blob(self, data: bytes) -> str:
        """See there."""
        return self._blobs.put_blob(data)


class Hook:
    """See hub.edge.hook.Hook."""

    def __init__(self, id: str, entry: Entry, catalogue: Catalogue, hub: _Hub) -> None:
        """Says in its status whether it can work."""
        definition = cast("Bridge", entry.spec)
        status = Status(
            bridge=id, kind=definition.type, version=entry.version, started_ms=hub.now_ms(), host=socket.gethostname()
        )
        self._now_ms = hub.now_ms
        self._watch = Watch(status, hub.now_ms)
        self._looked_ms = 0
        self._under_way = 0
        self._bucket = TokenBucket(definition.rate_limit, time.monotonic()) if definition.rate_limit else None
        self._way: tuple[Receive, Converter] | None = None
        try:
            self._way = _way(id, definition, catalogue, hub)
        except (HubError, BridgeError, ValueError) as exc:
            self._watch.failed(scrubbed(str(exc), trial.secrets(definition, hub.environ)), None)
        else:
            self._watch.enter("running")

    def status(self) -> Status:
        """See there."""
        self._look()
        return self._watch.status

    def take(self, request: Request, now_ms: int) -> Record:
        """See there."""
        if self._way is None:
            raise Unavailable("bridge", "it cannot take messages now: for its owner, GET /bridges/{id} says why")
        receive, converter = self._way
        delivery = receive(request, now_ms)
        if self._bucket is not None:
            if not self._bucket.room(time.monotonic()):
                raise Unavailable("bridge", "more messages have come than its rate_limit allows: send this one again")
            self._bucket.spend(1)
        made = converter.convert(delivery, now_ms)
        self._under_way += 1
        self._watch.taken(1, self._under_way, None)
        letter = None
        if made.reason is not None:
            self._watch.refused(made.reason)
            # under the id that the collector gives it; the key of such a record is its payload id
            letter = Letter(derived("dead", made.key.decode()), made.reason, made.detail)
        return Record(made.key, made.value, made.blob, made.events, letter)

    def settle(self, trouble: str) -> None:
        """See there."""
        self._under_way -= 1
        status = self._watch.status
        if trouble:
            status.in_flight = self._under_way
            if status.state == "running":
                self._watch.stalled(0)
            status.last_error = trouble
        else:
            self._watch.acknowledged(1, self._under_way)
            if status.state == "waiting_for_kafka":
                self._watch.resumed()
        self._look()

    def close(self) -> None:
        """See there."""
        self._watch.enter("stopped")
        self._watch.forget()

    def _look(self) -> None:
        now_ms = self._now_ms()
        if now_ms - self._looked_ms >= LOOK_MS:
            self._looked_ms = now_ms
            self._watch.look(None, ())


def _way(id: str, definition: Bridge, catalogue: Catalogue, hub: _Hub) -> tuple[Receive, Converter]:
    """Raises HubError, ValueError: the definition cannot work here."""
    validate(definition, tests=False)
    spec = spec_of(definition.type)
    assert spec.receiver is not None
    receive = spec.receiver(spec.settings.model_validate(definition.settings), Context(id, hub.namespace, hub.environ))
    return receive, trial.converter(id, definition, catalogue, hub.limits)
