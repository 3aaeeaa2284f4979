"""Filters: what is dropped, or marked, before anybody looks at it."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from hub.definitions.kinds import Filter
from hub.pipeline.rules.agent import agent_of
from hub.pipeline.rules.around import whole
from hub.pipeline.rules.client import agent_text, ip_of
from hub.pipeline.rules.hand import FILTERED, Did, Hand
from hub.pipeline.rules.scope import scope

KIND: Final = "filter"


class FilterStep:
    """A filter, compiled. It meets an event when all that it says is so."""

    def __init__(self, id: str, definition: Filter) -> None:
        """Once per change of the definition."""
        self.scope = scope(KIND, id, definition)
        self._bots = definition.bots
        self._drops = definition.action == "drop"
        self._networks = tuple(ip_network(text) for text in definition.networks)
        self._inside = lru_cache(maxsize=16_384)(self._lies_inside)

    def drops(self, hand: Hand) -> bool:
        """Whether the event goes no further. One that is met by a filter that only marks is marked."""
        if not self.scope.covers(hand) or not self._meets(hand):
            return False
        if self._drops:
            return True
        hand.note(Did(self.scope.rule, "flagged"), FILTERED)
        return False

    def _meets(self, hand: Hand) -> bool:
        if not (self._networks or self._bots):
            return True
        client, context = hand.client, whole(hand.context, hand.around)
        if self._networks and not self._inside(ip_of(client, context)):
            return False
        return not self._bots or agent_of(agent_text(client, context)).bot

    def _lies_inside(self, ip: str) -> bool:
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)
