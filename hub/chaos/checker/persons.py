"""Who is who: the profile ids that events with the same e-mail address make one person. The checker's own reckoning."""

from __future__ import annotations

from collections.abc import Iterable

from hub.chaos.checker.ledger import Step


def address(spelling: str) -> str:
    """The address that is meant. Args: spelling: as load sends it: blanks around it, any case, `mailto:` in front."""
    return spelling.strip().lower().removeprefix("mailto:")


def persons(steps: Iterable[Step]) -> dict[str, str]:
    """
    By profile id, the smallest id of its person, which is the one that survives.

    Two ids are one person when an address came with both, or when others between them connect them so.

    Args: steps: those that are stored, in any order: who is who does not depend on it.
    """
    smaller: dict[str, str] = {}
    first_with: dict[str, str] = {}

    def smallest(id: str) -> str:
        while smaller.setdefault(id, id) != id:
            id = smaller[id]
        return id

    for step in steps:
        mine = smallest(step.profile)
        if step.email:
            other = smallest(first_with.setdefault(address(step.email), step.profile))
            smaller[max(mine, other)] = min(mine, other)
    return {id: smallest(id) for id in smaller}
