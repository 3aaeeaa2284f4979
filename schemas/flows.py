"""What the collector tells the agents of flows, on triggers.v1: nothing in it is personal but the ids."""

from __future__ import annotations

from typing import Final

import msgspec

KIND: Final = "flow"
"""Of triggers that let a flow run. Their target is its id."""
WAIT_KIND: Final = "flow-wait"
"""
Of triggers that say that a profile has had an event of a type that some pause may wait for. Their target is the type.

That of an event lies before those of the flows that it lets run: so it ends no pause of a run that it has begun itself.
"""
NONE_KIND: Final = "flow-none"
"""
Of triggers that say that an event lets no flow run, to whose answers somebody waits. Their target is its type.
"""
ASYNC: Final = "async"
"""Option of an event. false: whoever sends it waits for what the flows answer that it lets run."""


class FlowOrder(msgspec.Struct, frozen=True):
    """
    The `data` of all kinds: where to find in the store what it is about.

    Attributes:
        version: Of the flow; 0 of the other kinds.
        partition: Time partition of the event.
        session_id: Empty: the event has no session.
    """

    version: int
    partition: str
    session_id: str = ""


encode_order: Final = msgspec.json.Encoder().encode
decode_order: Final = msgspec.json.Decoder(FlowOrder).decode
