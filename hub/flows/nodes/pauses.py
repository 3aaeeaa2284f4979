"""Waiting, without anything that waits: a run is put away and goes on later."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from hub.definitions.schedule import DURATION, duration_ms
from hub.edge.functions import EPOCH
from hub.flows.fields import Template
from hub.flows.node import OUT, Call, Config, Outcome, check_event_type, node
from hub.flows.notation import as_text
from hub.flows.pause import Pause
from hub.flows.times import moment_ms, zone_of

GROUP: Final = "Time"
TIMEOUT: Final = "timeout"
LATE: Final = "late"
LONGEST_MS: Final = 10 * 366 * 86_400_000


class Wait(Config):
    """Until when. At least one of `wait`, `until`, `at`; with `event_type` it is when to give up."""

    wait: Annotated[str, Field(pattern=rf"{DURATION}|^$", description="So long, such as 3d or 1h30m.")] = ""
    until: Annotated[Template | None, Field(description="Until this time, such as profile@traits.renewal.")] = None
    at: Annotated[
        str,
        Field(
            pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^$",
            description="Until it is this time of the day in `time_zone`, after `wait` if there is one, such as 09:00.",
        ),
    ] = ""
    time_zone: Annotated[
        Template, Field(description="Such as Europe/London or profile@traits.time_zone; null: UTC.")
    ] = Template("UTC")
    event_type: Annotated[
        str,
        Field(
            max_length=256, description="Until the profile has an event of this type; what is said above ends it too."
        ),
    ] = ""
    grace: Annotated[
        str,
        Field(
            pattern=rf"{DURATION}|^$",
            description="Later than so long after its time, it goes on at `late`. Empty: never.",
        ),
    ] = ""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        check_event_type(self.event_type)
        if not (self.wait or self.at or self.until is not None):
            raise ValueError("say for how long: `wait`, such as 3d, `until`, a time, or `at`, a time of the day")
        if self.until is not None and (self.wait or self.at):
            raise ValueError("`until` is a time by itself: leave `wait` and `at` out")
        return self


@node("pause", group=GROUP, ports=(OUT, TIMEOUT, LATE))
def pause(config: Wait, call: Call) -> Outcome | Pause:
    """
    Stop here and go on later, for however long: after a time, at a time, at a local time of day, or with an event.

    What is beside it in the flow goes on at once. The profile is read anew when it goes on; the flow is the version
    that the run began with.
    """
    resumed = call.resumed
    if resumed is None:
        grace_ms = duration_ms(config.grace) if config.grace else None
        return Pause(_until_ms(config, call), config.event_type, grace_ms)
    if resumed.event is not None:
        return Outcome(OUT, _with_event(call, resumed.event))
    if config.event_type:
        return call.go(TIMEOUT)
    ends_ms = resumed.pause.until_ms + (resumed.pause.grace_ms or 0)
    return call.go(LATE if resumed.pause.grace_ms is not None and call.now_ms > ends_ms else OUT)


def _with_event(call: Call, event: object) -> object:
    payload = call.payload
    return {**payload, "event": event} if isinstance(payload, dict) else payload


def _until_ms(config: Wait, call: Call) -> int:
    if config.until is not None:
        until_ms = moment_ms(config.until(call.scope), str(config.until))
    else:
        until_ms = call.now_ms + min(duration_ms(config.wait), LONGEST_MS)
    if config.at:
        zone = zone_of(as_text(config.time_zone(call.scope)) or "UTC")
        until_ms = _next_at(until_ms, time.fromisoformat(config.at), zone)
    return min(until_ms, call.now_ms + LONGEST_MS)


def _next_at(from_ms: int, at: time, zone: ZoneInfo) -> int:
    """The first such time of the day at or after a moment; one that the clock leaps over is so much later."""
    moment = EPOCH + timedelta(milliseconds=from_ms)
    day = moment.astimezone(zone).date()
    for days in range(3):
        found = datetime.combine(day + timedelta(days=days), at, zone)
        ms = round(found.timestamp() * 1000)
        if ms >= from_ms:
            return ms
    return from_ms
