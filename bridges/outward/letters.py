"""What a target will never take becomes a dead letter, by way of events.v1: only the collector writes letters."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from bridges.convert import HEADERS_BYTES
from bridges.outlet import Outlet
from bridges.outward.base import ID_HEADER, PROFILE_HEADER, TYPE_HEADER
from bridges.outward.shape import Told
from hub.edge.inbound import refused
from hub.edge.repeatable import LARGEST_BYTES
from hub.errors import InvalidPayload
from hub.ids import derived
from hub.pipeline.letters import OUTWARD
from hub.store.port import Blobs
from schemas.codec import encode_inbound

UNDELIVERABLE: Final = "undeliverable"


class Letter(NamedTuple):
    """
    A message that is given up.

    Attributes:
        told: None: the record on stored.v1 is none of ours.
        place: Of its record, `topic/partition/offset`.
        body: The event's document, JSON; of a record that is none of ours its bytes.
    """

    told: Told | None
    place: str
    body: bytes
    error: InvalidPayload


class Burial:
    """Puts letters onto events.v1. The same letter again has the same id, and is buried once."""

    def __init__(self, id: str, outlet: Outlet, blobs: Blobs, now_ms: Callable[[], int]) -> None:
        """Args: id: the destination's. outlet: of events.v1."""
        self._id = id
        self._outlet = outlet
        self._blobs = blobs
        self._now_ms = now_ms

    async def bury(self, letters: Sequence[Letter]) -> None:
        """Returns when Kafka has them. Raises Unavailable."""
        if not letters:
            return
        records = [await self._record(letter) for letter in letters]
        shipment = await self._outlet.send(records)
        await shipment.on_done

    async def _record(self, letter: Letter) -> tuple[bytes, bytes, int]:
        told, body = letter.told, letter.body
        sha256 = None
        if len(body) > LARGEST_BYTES - HEADERS_BYTES:
            sha256 = hashlib.sha256(body).hexdigest()
            await asyncio.to_thread(self._blobs.put_blob, body)
        headers = {} if told is None else {ID_HEADER: told.id, TYPE_HEADER: told.type, PROFILE_HEADER: told.profile_id}
        key, record = refused(
            letter.error,
            body=body,
            headers={name: value.encode() for name, value in headers.items()},
            origin=f"{OUTWARD}{self._id}:{letter.place}",
            source="" if told is None else told.source,
            now_ms=self._now_ms(),
            definitions_offset=-1,
            body_sha256=sha256,
            payload_id=derived("destination", self._id, letter.place if told is None else told.id),
            time_ms=None if told is None else told.time_ms,
        )
        return key, encode_inbound(record), 1
