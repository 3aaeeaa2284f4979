"""Which events a rule is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from hub.definitions.kinds import Rule
from hub.pipeline.conditions import Condition, ConditionError, condition
from hub.pipeline.rules.hand import FAILED, Did, Hand

ANY: Final = "*"
"""Every event type."""


class Scope(NamedTuple):
    """`rule`: kind and id. `source`: empty for any."""

    rule: str
    event_type: str
    source: str
    when: Condition | None

    def covers(self, hand: Hand) -> bool:
        """Whether the rule is for this event. A condition that cannot be evaluated is not met, and that is noted."""
        if self.source and self.source != hand.source:
            return False
        if self.when is None:
            return True
        try:
            return self.when.holds(hand.view)
        except ConditionError as exc:
            self.failed(hand, "when", str(exc))
            return False

    def failed(self, hand: Hand, field: str, detail: str) -> None:
        """Note that the rule could not be used."""
        hand.note(Did(self.rule, "failed", field, detail), FAILED)


def scope(kind: str, id: str, rule: Rule) -> Scope:
    """Once per change of a definition."""
    return Scope(f"{kind}/{id}", rule.event_type, rule.source, None if rule.when is None else condition(rule.when))


class Scoped(Protocol):
    """A compiled rule."""

    @property
    def scope(self) -> Scope:
        """Which events it is for."""
        ...


S = TypeVar("S", bound=Scoped)


def of_type(rules: Iterable[S], event_type: str) -> Sequence[S]:
    """Those that are for events of a type, by the definition's id. Args: event_type: ANY for those for every type."""
    found = [rule for rule in rules if rule.scope.event_type in (event_type, ANY)]
    return tuple(sorted(found, key=lambda rule: rule.scope.rule))
