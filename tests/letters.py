"""A message that its bridge refuses, as a dead letter and sent again, without a log between."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from bridges.base import Delivery
from bridges.convert import Converter
from bridges.replay import converter_with
from hub.api.replay import Replayer
from hub.definitions.catalogue import Catalogue
from hub.edge.mapping import compile_mapping
from hub.model import Position
from hub.pipeline.letters import refused
from hub.settings import Limits
from hub.store.memory import MemoryStore
from schemas.codec import decode_inbound
from schemas.records import REFUSED, Inbound
from schemas.replays import Replay, read_replay
from tests.contracts.batches import batch

NOW_MS: Final = 1_780_000_000_000
LATER_MS: Final = NOW_MS + 86_400_000


class Log:
    """Takes what is published. `records`: key, value, and whose replay it is."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes, Replay | None]] = []

    async def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: list[tuple[str, str | bytes | None]],
        landed: Callable[[int, int], None] | None = None,
    ) -> int:
        """Returns the offset."""
        assert topic == "hub.events.v1"
        self.records.append((key, value or b"", read_replay(headers)))
        if landed is not None:
            landed(0, len(self.records) - 1)
        return len(self.records) - 1


class Buried:
    """
    A dead letter of the bridge `b`, whose mapping has been mended since.

    Attributes:
        document: As the API shows it.
        direct: The record that the message would have become with the mended mapping.
    """

    def __init__(self, delivery: Delivery, kind: str, settings: Mapping[str, Any], mended: Mapping[str, Any]) -> None:
        """Raises AssertionError when the mapping of before did not refuse it."""
        self._catalogue = Catalogue()
        self._define("source/shop", {})
        refusing = {**mended, "event": {"type": "require(nowhere)"}}
        inbound = self._inbound(delivery, kind, refusing)
        assert inbound["body"][0] == REFUSED
        letter = refused(Position(1, 0, 0, 0), inbound, inbound["body"][1])
        self._store = MemoryStore()
        self._store.write(batch(letter))
        document = self._store.get("dead-letters", letter.id)
        assert document is not None
        self.document = document
        self._define("bridge/b", {"type": kind, "source": "shop", "settings": settings, "mapping": mended})
        self.direct = self._inbound(delivery, kind, mended)

    async def replay(self, body: bytes | None = None) -> Inbound:
        """The record that it becomes now. Args: body: instead of its own."""
        log = Log()
        replayer = Replayer(
            log,  # type: ignore[arg-type]
            self._store,
            self._catalogue,
            namespace="hub",
            limits=Limits(),
            converter=converter_with(os.environ),
            now_ms=lambda: LATER_MS,
        )
        report = await replayer.one(self.document["id"], body, None)
        assert (report.sent, report.problems) == (1, [])
        [(_, value, _)] = log.records
        return decode_inbound(value)

    def _inbound(self, delivery: Delivery, kind: str, mapping: Mapping[str, Any]) -> Inbound:
        converter = Converter(
            bridge="b",
            kind=kind,
            source="shop",
            mapping=compile_mapping(dict(mapping)),
            catalogue=self._catalogue,
            limits=Limits(),
        )
        return decode_inbound(converter.convert(delivery, NOW_MS).value)

    def _define(self, key: str, spec: Mapping[str, Any]) -> None:
        value = msgspec.json.encode({"spec": spec, "updated_at_ms": 0})
        self._catalogue.apply(key.encode(), value, self._catalogue.offset + 1)


def telling(names: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping whose event has all that `meta(…)` gives. Args: names: by them."""
    return {"event": {"type": "'told'", "properties": {name: f"meta('{name}')" for name in names}}}


def told(record: Inbound) -> tuple[str, list[tuple[str, str, dict[str, Any]]]]:
    """Payload id, and of each event its id, type and properties."""
    _, body = record["body"]
    events = body["events"]  # type: ignore[typeddict-item]
    return record["id"], [(event["id"], event["type"], msgspec.json.decode(event["properties"])) for event in events]
