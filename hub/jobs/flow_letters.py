"""Messages of flows that became dead letters, sent again: a task, as only workers send."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from hub.ids import derived
from hub.pipeline.letters import OF_FLOW
from hub.task import OVER, Task

KIND: Final = "send-again"
"""Of these tasks."""
MOST_LETTERS: Final = 1_000
"""Of one of them."""


class Asked(BaseModel, extra="forbid", frozen=True):
    """A dead letter as it was when somebody asked. Once it is otherwise, it was sent meanwhile, and is left alone."""

    id: str
    attempts: Annotated[int, Field(ge=1, description="How often it has failed.")]
    resolved_at: Annotated[str | None, Field(description="When it was sent again before, if it was.")] = None


class SendAgain(BaseModel, extra="forbid", frozen=True):
    """Of `send-again`. `POST /dead-letters/…/replay` fills it in."""

    letters: Annotated[
        list[Asked], Field(min_length=1, max_length=MOST_LETTERS, description="Dead letters of messages of flows.")
    ]


def is_of_flow(letter: Mapping[str, Any]) -> bool:
    """Whether a dead letter is a message that a flow has sent. Args: letter: its document."""
    origin: str = letter["origin"]
    return letter["stage"] == "destination" and origin.rpartition(":")[2].startswith(OF_FLOW)


def destination_of(letter: Mapping[str, Any]) -> str:
    """The id of the destination that did not take it. Args: letter: its document."""
    destination: str = letter["origin"].partition(":")[2].rpartition(":")[0]
    return destination


def asked(letter: Mapping[str, Any]) -> Asked:
    """A letter as it is now. Args: letter: its document."""
    return Asked(id=letter["id"], attempts=letter["attempts"], resolved_at=letter["resolved_at"])


def task_id(letters: Sequence[Asked], task: Callable[[str], Task | None]) -> str:
    """
    Of the task that sends these again: the same as long as it is under way, so that to ask twice sends them once.

    Args: task: one by its id. Blocks.
    """
    id = derived(KIND, *(f"{one.id} {one.attempts} {one.resolved_at}" for one in letters))
    while (there := task(id)) is not None and there.state in OVER:
        id = derived(KIND, id, str(there.ended_ms))
    return id
