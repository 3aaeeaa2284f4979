"""The rules in force, compiled, and the order in which they are asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from hub.definitions.kinds import DataCompliance, Filter, Reshaper, Rule, Validator
from hub.pipeline.rules.compliance import KIND as COMPLIANCE
from hub.pipeline.rules.compliance import ComplianceStep
from hub.pipeline.rules.filters import KIND as FILTER
from hub.pipeline.rules.filters import FilterStep
from hub.pipeline.rules.hand import INVALID, Hand
from hub.pipeline.rules.reshapers import KIND as RESHAPER
from hub.pipeline.rules.reshapers import ReshaperStep
from hub.pipeline.rules.scope import ANY, of_type
from hub.pipeline.rules.validators import KIND as VALIDATOR
from hub.pipeline.rules.validators import ValidatorStep

KINDS: Final = (FILTER, VALIDATOR, COMPLIANCE, RESHAPER)
"""In the order in which they are asked."""
R = TypeVar("R", bound=Rule)


class Verdict(NamedTuple):
    """Whether an event goes no further, and because of which definition. At most one of both is set."""

    dropped_by: str = ""
    buried_by: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing is made of the event."""
        return bool(self.dropped_by or self.buried_by)


GOES_ON: Final = Verdict()


class Chain(NamedTuple):
    """The rules for events of one type."""

    filters: Sequence[FilterStep]
    validators: Sequence[ValidatorStep]
    guards: Sequence[ComplianceStep]
    reshapers: Sequence[ReshaperStep]

    def judge(self, hand: Hand) -> Verdict:
        """Whether it goes on: what the filters and, on the event as it was sent, the validators say."""
        for one in self.filters:
            if one.drops(hand):
                return Verdict(dropped_by=one.scope.rule)
        for validator in self.validators:
            if validator.refuses(hand) and validator.buries:
                return Verdict(buried_by=validator.scope.rule)
        return GOES_ON

    def work(self, hand: Hand) -> None:
        """What may not be kept is taken out before anything is made of it; then it is brought into shape."""
        for guard in self.guards:
            guard.guard(hand)
        for reshaper in self.reshapers:
            if reshaper.reshapes(hand):
                return

    def identifies(self, hand: Hand) -> bool:
        """Whether the event may tell who somebody is: one that goes no further, or is invalid, may not."""
        return not self.judge(hand).is_over and INVALID not in hand.flags


class Steps:
    """The rules by event type. Compiled once per change of a definition."""

    def __init__(self, chains: Mapping[str, Chain] | None = None, others: Chain | None = None) -> None:
        """Args: chains: by event type. others: those for every type; None: there are none."""
        self._chains = chains or {}
        self._others = others

    def of(self, event_type: str) -> Chain | None:
        """The rules for events of a type, None if there are none."""
        return self._chains.get(event_type, self._others)


NO_STEPS: Final = Steps()


def compile_steps(
    filters: Iterable[tuple[str, Filter]] = (),
    validators: Iterable[tuple[str, Validator]] = (),
    guards: Iterable[tuple[str, DataCompliance]] = (),
    reshapers: Iterable[tuple[str, Reshaper]] = (),
    *,
    key: bytes = b"",
) -> Steps:
    """
    Once per change of a definition.

    Args:
        filters, validators, guards, reshapers: (id, definition); disabled ones count for nothing.
        key: What values are hashed with, 64 bytes at most.
    """
    every = Chain(
        [FilterStep(id, one) for id, one in _enabled(filters)],
        [ValidatorStep(id, one) for id, one in _enabled(validators) if one.mode != "off"],
        [ComplianceStep(id, one, key) for id, one in _enabled(guards)],
        [ReshaperStep(id, one) for id, one in _enabled(reshapers)],
    )
    types = {rule.scope.event_type for rules in every for rule in rules} - {ANY}
    others = _chain(every, ANY)
    return Steps({type: _chain(every, type) for type in types}, others if any(others) else None)


def _chain(every: Chain, event_type: str) -> Chain:
    return Chain(
        of_type(every.filters, event_type),
        of_type(every.validators, event_type),
        of_type(every.guards, event_type),
        of_type(every.reshapers, event_type),
    )


def _enabled(definitions: Iterable[tuple[str, R]]) -> Iterable[tuple[str, R]]:
    return ((id, definition) for id, definition in definitions if definition.enabled)
