"""Who is in which segment: those without a condition, as the condition says who is in the others."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from hub.flows.effects import ChangeSegment
from hub.flows.fields import Query
from hub.flows.node import OUT, THEN, Call, Config, Outcome, node

GROUP: Final = "Segments"
SegmentId = Annotated[str, Field(min_length=1, max_length=256, description="Id of a segment without a condition.")]


class Some(Config):
    """Which."""

    segments: Annotated[list[SegmentId], Field(min_length=1, max_length=100)]


@node("add-to-segment", group=GROUP)
def add_to_segment(config: Some, call: Call) -> Outcome:
    """Let the profile into segments."""
    return call.go(OUT, *(ChangeSegment(segment, True) for segment in config.segments))


@node("remove-from-segment", group=GROUP)
def remove_from_segment(config: Some, call: Call) -> Outcome:
    """Take the profile out of segments."""
    return call.go(OUT, *(ChangeSegment(segment, False) for segment in config.segments))


class Move(Config):
    """Between which."""

    leave: SegmentId
    enter: SegmentId


@node("move-to-segment", group=GROUP)
def move_to_segment(config: Move, call: Call) -> Outcome:
    """Take the profile out of one segment and let it into another."""
    return call.go(OUT, ChangeSegment(config.leave, False), ChangeSegment(config.enter, True))


class Member(Config):
    """Of which."""

    segments: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        Field(min_length=1, max_length=100, description="Ids of segments of any kind."),
    ]
    all: Annotated[bool, Field(description="Whether it has to be in all of them, or in one.")] = True


@node("has-segment", group=GROUP, ports=THEN)
def has_segment(config: Member, call: Call) -> Outcome:
    """Whether the profile is in segments."""
    within = call.scope["profile"].get("segments") or ()
    held = [segment in within for segment in config.segments]
    return call.asked(all(held) if config.all else any(held))


class Conditional(Config):
    """Who is in it."""

    segment: SegmentId
    condition: Annotated[Query, Field(description="Who meets it is let in, who does not is taken out.")]


@node("segment-by-condition", group=GROUP, ports=THEN)
def segment_by_condition(config: Conditional, call: Call) -> Outcome:
    """Let the profile into a segment or take it out, as a condition on all that the run knows says."""
    holds = config.condition(call.scope, call.now_ms)
    return call.go(THEN[0] if holds else THEN[1], ChangeSegment(config.segment, holds))
