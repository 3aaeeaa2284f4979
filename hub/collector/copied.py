"""What is read from the store for Patches that ask to copy stored events into their profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.model import Undo
from hub.pipeline.applied import Promoted, with_promoted
from hub.pipeline.patches import COPY, copied_by
from hub.pipeline.records import Decoded
from hub.store.port import Writing

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode
NOTHING: Final[Mapping[str, bytes]] = {}


def to_copy(records: Sequence[Decoded], store: Writing, finish: Callable[[], None]) -> Mapping[str, bytes]:
    """
    Documents of the events that these records ask to copy, by id.

    Args: finish: Waits until the store has everything; called when something is read.

    Raises: Unavailable.
    """
    keys: dict[tuple[str, str], None] = {}
    for one in records:
        if one.inbound is not None and one.inbound["source"] == COPY:
            try:
                keys.update(dict.fromkeys(copied_by(one.inbound)))
            except msgspec.DecodeError:
                continue  # of a newer hub: `process` says so
    if not keys:
        return NOTHING
    finish()  # the batch before may have copied the same ones
    found, promoted = store.events_to_copy(list(keys)), store.promoted()
    return {id: _naming(document, promoted) for id, document in found.items()} if promoted else found


def naming(undo: Undo, store: Writing) -> Undo:
    """With events that name also the lines that promotions have applied to them. Raises Unavailable."""
    promoted = store.promoted()
    if not promoted:
        return undo
    return msgspec.structs.replace(undo, events=[_naming(document, promoted) for document in undo.events])


def _naming(document: bytes, promoted: Sequence[Promoted]) -> bytes:
    return _encode(with_promoted(_decode(document), promoted))
