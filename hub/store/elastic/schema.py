"""The steps from one schema of this store to the next. What is in neither, templates and new columns, `indices` has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

Change: TypeAlias = Callable[[dict[str, Any]], dict[str, Any] | None]
"""From a document's source, without `facts`, to what it shall be, without them as well; None: it goes."""
Step: TypeAlias = Mapping[str, Change]
"""
By index (that of events stands for all of them), what becomes of each document; an identity where only its mapping or
its tokens are other ones. Empty: a new index or new columns, which is done in place.

A rollback copies rows of `rollback.ON_NO_LOG` back as they are: a step that changes those has to give it a way back.
"""
Steps: TypeAlias = Sequence[Step]

STEPS: Final[Steps] = ()
"""Add to its end. Nothing is changed in what was released."""


def wanted(steps: Steps) -> int:
    """The schema that these lead to; the first one is 1."""
    return 1 + len(steps)


def is_instant(steps: Steps) -> bool:
    """Whether they are done in place, however much is stored."""
    return not any(steps)


def changes(steps: Steps, name: str) -> list[Change]:
    """What they do to documents of an index, in their order."""
    return [step[name] for step in steps if name in step]
