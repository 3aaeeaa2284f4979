"""What a flow is made of: its nodes and the edges between them, what lets it run, how much a run may do."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from hub.definitions.schedule import DURATION, Schedule, check_cron, duration_ms

MOST_NODES: Final = 500
NODE_ID: Final = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"
NodeId: TypeAlias = Annotated[str, Field(pattern=NODE_ID)]


def _several(targets: Any) -> Any:
    return [targets] if isinstance(targets, str) else targets


Targets: TypeAlias = Annotated[list[NodeId], BeforeValidator(_several, json_schema_input_type=NodeId | list[NodeId])]
"""One id, or several."""


class _Part(BaseModel, frozen=True, extra="forbid"):
    pass


class FlowNode(_Part):
    """One step of a flow."""

    type: Annotated[str, Field(min_length=1, description="What it does, such as `if`: docs/flows.md.")]
    config: Annotated[dict[str, Any], Field(description="As its type says.")] = {}
    to: Annotated[
        dict[str, Targets],
        Field(description="By port, where it goes on: the id of a node, or a list of them. A port may lead nowhere."),
    ] = {}
    skip: Annotated[bool, Field(description="It does nothing: what comes in goes out at its first port.")] = False
    note: Annotated[str, Field(description="For people.")] = ""


class _ByCondition(_Part):
    condition: Annotated[
        str, Field(description="On `event@` and `profile@` (docs/flows.md). Empty: it is not asked for.")
    ] = ""


class OnEvent(_ByCondition):
    """An event of this type was stored."""

    type: Literal["event"]
    event_type: Annotated[str, Field(min_length=1, max_length=256, description="Lower case, `-` for spaces.")]
    source: Annotated[str, Field(description="Only of this event source. Empty: of any.")] = ""


class OnEntered(_ByCondition):
    """A profile entered a segment."""

    type: Literal["segment-entered"]
    segment: Annotated[str, Field(min_length=1, description="Its id.")]


class OnLeft(_ByCondition):
    """A profile left a segment."""

    type: Literal["segment-left"]
    segment: Annotated[str, Field(min_length=1, description="Its id.")]


class OnHeartbeat(_ByCondition):
    """A heartbeat has beaten for a profile."""

    type: Literal["heartbeat"]
    heartbeat: Annotated[str, Field(min_length=1, description="Its id.")]


class OnSchedule(_Part):
    """For each profile, or those that match, whenever it is due. Exactly one of `cron` and `every`."""

    type: Literal["schedule"]
    cron: Annotated[str, Field(description="As of a heartbeat, such as `0 9 * * MON`.")] = ""
    time_zone: Annotated[str, Field(description="On whose wall clock `cron` is.")] = "UTC"
    every: Annotated[str, Field(pattern=rf"{DURATION}|^$", description="How often, such as 1d.")] = ""
    condition: Annotated[str, Field(description="Query on the profile (docs/query.md). Empty: all.")] = ""
    catch_up: Annotated[
        Literal["all", "last", "none"],
        Field(
            description="Due times that passed while nobody was there, or while the profiles of an earlier one were "
            "gone through: all are made up one after the other, the last one alone, or none."
        ),
    ] = "last"

    @property
    def schedule(self) -> Schedule:
        """When it is due."""
        return Schedule(duration_ms(self.every) or None, self.cron, self.time_zone)

    @model_validator(mode="after")
    def _is_due(self) -> OnSchedule:
        if bool(self.cron) == bool(self.every):
            raise ValueError("write either `cron`, such as `0 9 * * MON`, or `every`, such as 1d")
        if self.cron:
            check_cron(self.cron, self.time_zone)
        return self


class OnDemand(_Part):
    """Somebody asks for it."""

    type: Literal["manual"]


FlowTrigger: TypeAlias = Annotated[
    OnEvent | OnEntered | OnLeft | OnHeartbeat | OnSchedule | OnDemand, Field(discriminator="type")
]


class FlowLimits(_Part):
    """How much one run may do."""

    seconds: Annotated[float, Field(gt=0, le=300, description="Of computing, between two pauses.")] = 10.0
    output_bytes: Annotated[int, Field(ge=100, le=4_194_304, description="Of what a node hands on, as JSON.")] = 262_144
    total_bytes: Annotated[
        int, Field(ge=1_000, le=67_108_864, description="Of a run: what its nodes hand on and want done, together.")
    ] = 4_194_304
    effects: Annotated[int, Field(ge=1, le=1_000, description="Changes, events, calls and messages.")] = 100
    calls: Annotated[int, Field(ge=0, le=100, description="Calls and look-ups that it waits for.")] = 10
    depth: Annotated[
        int,
        Field(ge=0, le=20, description="How many flows may have raised events one after the other before it runs."),
    ] = 5
    concurrency: Annotated[
        int,
        Field(ge=0, le=1_000, description="Runs of the flow that ask or tell other systems at once. 0: any number."),
    ] = 0
