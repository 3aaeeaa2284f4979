"""A flow for many profiles, as a task: what it is asked for with, and ids that are the same whoever begins a run."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, model_validator

from hub.flows.trace import Fired
from hub.ids import derived
from hub.store.query import prepare
from hub.task import Task
from schemas.jobs import SEGMENTATION

KIND: Final = "run-flow"
"""Of these tasks."""


class RunFlow(BaseModel, extra="forbid", frozen=True):
    """Of `run-flow`. `POST /flows/{id}/run` and the schedules of flows fill it in."""

    flow: Annotated[str, Field(min_length=1, description="Its id.")]
    version: Annotated[int, Field(description="Of the flow: all runs are of this one, whatever is saved meanwhile.")]
    profile: Annotated[str, Field(description="Only for this one. Empty: for those that match.")] = ""
    query: Annotated[str, Field(description="On profiles (docs/query.md). Empty: all.")] = ""
    fired: Annotated[Literal["schedule", "manual"], Field(description="What lets it run.")] = "manual"
    at_ms: Annotated[int, Field(ge=0, description="When it was due or asked for, milliseconds since 1970.")]
    cause: Annotated[
        str, Field(min_length=1, max_length=256, description="The same cause gives each profile the same run.")
    ]
    data: Annotated[dict[str, Any], Field(description="The payload that the nodes begin with.")] = {}

    @model_validator(mode="after")
    def _is_for_one_or_many(self) -> RunFlow:
        if self.profile and self.query:
            raise ValueError("write either `profile` or `query`")
        return self


def check(arguments: RunFlow) -> None:
    """Raises QueryError: of what is searched for."""
    prepare(arguments.query, "profiles")


def fired(arguments: RunFlow, profile_id: str) -> Fired:
    """What lets the flow run for one profile. Its id is of flow, cause and profile: so a repeat is the same run."""
    id = derived("flow-fired", arguments.fired, arguments.flow, arguments.cause, profile_id)
    return Fired(id, arguments.fired, arguments.at_ms, arguments.data)


def due_task(flow: str, version: int, condition: str, due_ms: int, now_ms: int) -> Task:
    """
    The task of one due time of a flow's schedule: the same whoever plans it.

    Two schedules of a flow that are due at once are told apart by their conditions, and whoever meets both has one run.

    Args: due_ms, now_ms: milliseconds since 1970.
    """
    arguments = RunFlow(flow=flow, version=version, query=condition, fired="schedule", at_ms=due_ms, cause=str(due_ms))
    return Task(
        id=derived("flow-due", flow, condition, str(due_ms)),
        kind=KIND,
        queue=SEGMENTATION,
        arguments=arguments.model_dump(mode="json"),
        by="schedule",
        asked_ms=now_ms,
    )


def asked_id(flow: str, request: str) -> str:
    """Of the task that somebody asks for under this id of theirs."""
    return derived("flow-asked", flow, request)
