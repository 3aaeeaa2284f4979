"""An event on its way through the rules, and what they did to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from hub.pipeline.rules.around import NOTHING
from hub.pipeline.rules.client import Client, client_of

Part: TypeAlias = Literal["properties", "context", "request"]
"""What rules may change of an event."""

FILTERED: Final = "filtered"
INVALID: Final = "invalid"
FAILED: Final = "rule_failed"
NO_CONSENT: Final = "consent_missing"


class Did(msgspec.Struct, frozen=True):
    """
    What one rule did to an event, as its document says it.

    Attributes:
        rule: Kind and id of the definition.
        did: `flagged`, `invalid`, `reshaped`, `removed`, `hashed`, or `failed`: it could not be used.
        field: Where; empty for the whole event.
        detail: Empty where there is nothing to add.
    """

    rule: str
    did: str
    field: str = ""
    detail: str = ""


class Hand:
    """
    One event in hand. Rules put new values in place of `properties`, `context` and `request`; they never change one.

    Attributes:
        time: RFC 3339: its own, else when it was received.
        received_at: RFC 3339.
        request: About the request, as JSON.
        profile: Document of its profile as it is now; None: it has none.
        did, flags: What rules did.
        changed: Which parts are not as they were sent.
        raw: By name, those that were reshaped, as they were before.
        around: The payload's context: it counts where the event's own says nothing.
    """

    __slots__ = (
        "_client",
        "_view",
        "around",
        "changed",
        "context",
        "did",
        "flags",
        "id",
        "profile",
        "properties",
        "raw",
        "received_at",
        "request",
        "source",
        "time",
        "type",
    )

    def __init__(
        self,
        id: str,
        type: str,
        time: str,
        source: str,
        *,
        properties: dict[str, Any],
        context: dict[str, Any],
        request: bytes,
        around: Mapping[str, Any] = NOTHING,
        received_at: str = "",
        profile: Mapping[str, Any] | None = None,
    ) -> None:
        """As it was sent."""
        self.id = id
        self.type = type
        self.time = time
        self.source = source
        self.properties = properties
        self.context = context
        self.request = request
        self.around = around
        self.received_at = received_at
        self.profile = profile
        self.did: list[Did] = []
        self.flags: list[str] = []
        self.changed: set[Part] = set()
        self.raw: dict[str, Any] = {}
        self._client: Client | None = None
        self._view: dict[str, Any] | None = None

    @property
    def client(self) -> Client:
        """Who sent it."""
        if self._client is None:
            self._client = client_of(self.request)
        return self._client

    @property
    def view(self) -> dict[str, Any]:
        """What expressions see of it."""
        if self._view is None:
            self._view = {
                "id": self.id,
                "type": self.type,
                "time": self.time,
                "source": self.source,
                "properties": self.properties,
                "context": self.context,
                "request": self.client.document,
            }
        return self._view

    def put(self, part: Part, value: dict[str, Any]) -> None:
        """Put another value in a part's place."""
        if part == "properties":
            self.properties = value
        elif part == "context":
            self.context = value
        else:
            self.request = msgspec.json.encode(value)
            self._client = None
        self.changed.add(part)
        if self._view is not None:
            self._view = {**self._view, part: value}

    def note(self, did: Did, flag: str = "") -> None:
        """Say what a rule did."""
        self.did.append(did)
        if flag and flag not in self.flags:
            self.flags.append(flag)
