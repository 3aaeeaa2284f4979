"""A broker's message as a dead letter keeps it, and what makes a record of it once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Bridge
from hub.settings import Limits


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """
    All that a bridge knew of a message.

    Attributes:
        time_ms: For events that have no time of their own.
        meta: What a mapping's `meta(…)` gives of it that the other attributes do not say.
    """

    body: bytes
    position: str
    payload_id: str
    time_ms: int
    key: bytes | None
    headers: Mapping[str, bytes]
    meta: Mapping[str, Any]


Convert: TypeAlias = Callable[[Message, int], tuple[bytes, bytes]]
"""
Gets a message and the receive time (milliseconds since 1970); gives key and value of a record for events.v1.

Raises InvalidPayload: no payload can be made of the message.
"""

ConverterOf: TypeAlias = Callable[[str, Bridge, Catalogue, Limits], Convert]
"""The way that messages of a bridge go, by its id and definition. Raises ValueError: its mapping cannot be used."""
