"""Dead letters of messages of flows, for the workers that send them: a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.api.tasks import TaskViews
from hub.jobs.flow_letters import KIND, SendAgain, asked, task_id
from hub.store.port import Tasks


def send_again(views: TaskViews, store: Tasks, letters: Sequence[Mapping[str, Any]]) -> str:
    """
    Ask for it, or find out that it is asked for. Returns the id of the task.

    Args: letters: documents of MOST_LETTERS dead letters at most. Raises Unavailable.
    """
    wanted = SendAgain(letters=[asked(one) for one in letters])
    id = task_id(wanted.letters, store.task)
    views.ask(KIND, wanted.model_dump(mode="json"), id=id, by="dead letters")
    return id
