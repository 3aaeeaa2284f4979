"""The context of a payload: it counts for each of its events where the event's own says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

NOTHING: Final[Mapping[str, Any]] = {}

_EMPTY: Final = b"{}"
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def around_of(payload_context: bytes) -> Mapping[str, Any]:
    """What a payload says around its events. It is shared, so nobody may change it. Args: a JSON object."""
    return NOTHING if payload_context == _EMPTY else _known(payload_context)


def whole(context: Mapping[str, Any], around: Mapping[str, Any]) -> Mapping[str, Any]:
    """Both, member by member: that of the event, else that of its payload."""
    return {**around, **context} if around else context


# for the events of one payload
_known: Final = lru_cache(maxsize=4)(_decode)
