"""What is known before a batch of records is processed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hub.conditions.history import State as History
from hub.model import KnownEvent, Person, Profile, Session
from hub.pipeline import privacy
from hub.pipeline.documents import NOTHING
from hub.pipeline.identity import Known


class State(msgspec.Struct, frozen=True):
    """
    What is known before the batch. Profiles, sessions and events that are absent do not exist.

    `progress`: next offset to count, by partition. `replayed`: documents of events at their own coordinates.
    `judged`: records of people who want none kept. `person`: whom an order is about; None: it is none, or it is done.
    `filled`: by profile, also of one whose data a merge brings: histories that it lacks, made of its stored events.
    `copied`: documents of the stored events that Patches ask to copy into their profiles.
    `expired`: by event type, `*` for all others, before when an event was received that is not kept any more.
    """

    epoch: int
    progress: dict[int, int]
    profiles: dict[str, Profile]
    sessions: dict[str, Session]
    events: dict[str, KnownEvent]
    replayed: dict[str, bytes]
    identity: Known = Known()
    judged: privacy.Judged = privacy.NOTHING
    person: Person | None = None
    expired: Mapping[str, int] = NOTHING
    filled: Mapping[str, Mapping[str, History]] = NOTHING
    copied: Mapping[str, bytes] = NOTHING
