"""What stands in a stored event's document about flows: which ones it lets run, so that it can be told again."""

from __future__ import annotations

from typing import Final

import msgspec


class Noted(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What an event is to flows.

    Attributes:
        run: Those that it lets run: by id, the version of the definition.
        waits: Whether a pause may wait for it.
    """

    run: dict[str, int] = {}
    waits: bool = False


class _Ref(msgspec.Struct, frozen=True):
    id: str


class _Document(msgspec.Struct, frozen=True):
    """What is needed of hub.pipeline.documents.EventDocument."""

    session: _Ref | None = None
    flows: Noted | None = None


_MARK: Final = b',"flows":{'
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Document).decode


def with_flows(document: bytes, noted: Noted) -> bytes:
    """The document of an event, with what it is to flows. Args: document: its JSON."""
    return b'%b,"flows":%b}' % (document[:-1], _encode(noted))


def noted_in(document: bytes) -> tuple[Noted, str] | None:
    """
    What has to be told again of a stored event, and the id of its session ("": it has none); None: nothing.

    Args: document: its JSON.
    """
    if _MARK not in document:
        return None
    found = _decode(document)
    if found.flows is None:
        return None
    return found.flows, "" if found.session is None else found.session.id
