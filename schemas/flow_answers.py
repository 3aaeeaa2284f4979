"""What flows answer to an event, from whoever runs them to the API, through Redis or Valkey: keys and shapes."""

from __future__ import annotations

from typing import Any, Final

import msgspec

KEPT_S: Final = 60
"""How long the answers to an event are kept: whoever sends it again has them at once."""
MOST_BYTES: Final = 65_536
"""Of one response, as JSON."""
FLOWS: Final = b"flows"
"""Field of an event's hash: JSON, the ids of all flows that it lets run."""


class Keys:
    """Names in Redis, of one namespace."""

    def __init__(self, namespace: str) -> None:
        """Args: namespace: of the hub."""
        self._prefix = f"{namespace}:flow-answers"
        self.told = self._prefix
        """Channel: ids of events of which there is something new."""

    def of(self, event_id: str) -> str:
        """Hash: FLOWS, and an Answered by flow, as of `field`. Gone after KEPT_S."""
        return f"{self._prefix}:{event_id}"


class Answered(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one flow. `warning`: what is wrong with it, in words; empty: nothing."""

    response: dict[str, Any] = {}
    warning: str = ""


def field(flow: str) -> bytes:
    """Of an event's hash: where a flow's Answered is."""
    return b"f:" + flow.encode()


encode: Final = msgspec.json.Encoder().encode
decode_answered: Final = msgspec.json.Decoder(Answered).decode
decode_flows: Final = msgspec.json.Decoder(list[str]).decode
