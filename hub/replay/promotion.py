"""A shadow in live's place: while live's collectors wait, its profiles and definitions become live's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Mapping as MappingDefinition
from hub.errors import HubError, Refused, Unavailable
from hub.log.admin import LogAdmin
from hub.log.follower import Follower
from hub.model import partition_of
from hub.pipeline.applied import named
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.privacy import is_order
from hub.replay.alike import Alike, Both, Differs
from hub.replay.defining import ACK_S, write_definitions
from hub.replay.definitions import Changes, Specs, changes, specs_of
from hub.replay.diff import pairs
from hub.replay.profiles import all_profiles
from hub.replay.source import Original, Step
from hub.settings import Kafka
from hub.store.factory import open_store
from hub.store.port import Promoting
from hub.store.port import Promotion as Pause
from schemas.records import TRACK
from schemas.topics import DEFINITIONS

TRIES: Final = 5
"""Live may be in the middle of joining two profiles: then it is tried again a moment later."""
PASSES: Final = 10
FEW: Final = 500
"""Records that are left for the pause. A live hub that is never so close is paused after so many passes."""
REMOVED_S: Final = 60.0
"""For the events of somebody who is erased meanwhile to be removed."""
POLL_S: Final = 0.05
AT_ONCE: Final = 1_000
KEPT: Final = ("version", "apart", "segments", "judged", "due")
"""
Of `metadata`, what stays live's own: the place on its log, what people have decided, and who is in which segment: lists
are on no log for long, and time has gone by in live alone.
"""

Level: TypeAlias = Callable[[Mapping[int, int], bool], int]
"""
Sends live's records up to these offsets to the shadow, as far as live has stored them, and returns when the shadow has,
too: how many offsets there were. The second argument says whether live stands still.
"""

_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


class Promoted(msgspec.Struct):
    """
    What was done to live.

    `profiles`: that have changed. `definitions`: `KIND/ID`, set or deleted. `paused_s`: how long live's collectors had
    to wait, seconds, the last of so many `tries`.
    """

    profiles: int
    definitions: list[str]
    paused_s: float
    tries: int


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """
    One promotion.

    Attributes:
        kafka, namespace, store_url: of live.
        live, shadow: their stores, for reading.
        name: of the shadow.
        before, wanted: live's definitions when the shadow was made, and the shadow's.
        most_s: how long live's collectors may wait.
        now_ms: the clock, milliseconds since 1970.
    """

    kafka: Kafka
    namespace: str
    store_url: str
    live: Both
    shadow: Both
    name: str
    before: Specs
    wanted: Specs
    level: Level
    most_s: float
    now_ms: Callable[[], int]
    on_step: Callable[[Step], None]

    def catch_up(self) -> Alike:
        """With live going on, until little is left. Raises Unavailable, Refused."""
        alike = Alike(self.live, self.shadow, self.name)
        for _ in range(PASSES):
            self.on_step(Step("catching up with live", 0, 0))
            left = self.level(self.live.latest_progress()[1], False)
            alike.look()
            if left <= FEW:
                break
        return alike

    def promote(self, alike: Alike) -> Promoted:
        """
        Pause live, and put the shadow in its place.

        Raises:
            Refused: the two differ in what cannot be promoted, or somebody has changed live's definitions meanwhile.
            Unavailable: it took too long; the same may be tried again. Profiles are as they were.
        """
        with (
            closing(LiveDefinitions(self.kafka, self.namespace, self.before)) as definitions,
            closing(open_store(self.store_url)) as store,
        ):
            for tries in range(1, TRIES + 1):
                try:
                    return self._once(store, definitions, alike, tries)
                except Differs as exc:
                    if tries == TRIES:
                        raise Refused(
                            "replay",
                            f"{self.name} cannot be put in live's place: {exc}. To work with the new definitions from "
                            "now on, PUT them to the live hub (docs/replay.md says what else can be done)",
                        ) from exc
                self.level(self.live.latest_progress()[1], False)
                self._wait_for_removals(alike)
                alike.look()
        raise AssertionError("unreachable")

    def _wait_for_removals(self, alike: Alike) -> None:
        """Events of the erased are removed in steps, while nobody holds the store."""
        deadline = time.monotonic() + REMOVED_S
        while alike.is_removing() and time.monotonic() < deadline:
            self.on_step(Step("waiting until the events of the erased are removed", 0, 0))
            time.sleep(POLL_S)

    def _once(self, store: Promoting, definitions: LiveDefinitions, alike: Alike, tries: int) -> Promoted:
        written = changes(self.before, self.wanted)
        defined = False
        try:
            with store.promotion(self.name, at_ms=self.now_ms(), most_s=self.most_s) as pause:
                began = time.monotonic()
                self.on_step(Step("live waits: catching up", 0, 0))
                self.level(self.live.latest_progress()[1], True)
                alike.look()
                alike.judge()
                pause.note_mapped(mapped_by(self.wanted))
                profiles = self._replace(pause)
                pause.replace([])  # whether there is time left: from here on definitions are in force
                self.on_step(Step("live waits: writing definitions", 0, 0))
                definitions.check()
                defined = bool(written)
                definitions.write(written, self.now_ms(), self.most_s)
                self.on_step(Step("live waits: committing", 0, 0))
        except HubError as exc:
            if not defined:
                raise
            raise Unavailable(
                "replay", f"the new definitions are in force, the profiles not yet: run it again ({exc})"
            ) from exc
        paused_s = round(time.monotonic() - began, 3)
        return Promoted(profiles, ["/".join(key) for key in sorted(written)], paused_s, tries)

    def _replace(self, pause: Pause) -> int:
        """Returns how many have changed. Raises Differs, Unavailable."""
        done = 0
        page: list[tuple[str, bytes]] = []
        for one in self._changed():
            page.append(one)
            if len(page) == AT_ONCE:
                pause.replace(page)
                done += len(page)
                page = []
                self.on_step(Step("live waits: writing profiles", done, 0))
        pause.replace(page)
        return done + len(page)

    def _changed(self) -> Iterator[tuple[str, bytes]]:
        for id, ours, theirs in pairs(all_profiles(self.live), all_profiles(self.shadow)):
            if ours is None or theirs is None:
                raise Differs(f"profile {id} is only in {self.name if ours is None else 'live'}")
            document = promoted(ours, theirs)
            if document != ours:
                yield id, document


class LiveDefinitions:
    """Live's definitions, followed: they must be those that the shadow began with, until its own take their place."""

    def __init__(self, kafka: Kafka, namespace: str, before: Specs) -> None:
        """Raises Unavailable."""
        self._kafka = kafka
        self._namespace = namespace
        self._before = before
        self._admin = LogAdmin(kafka, namespace)
        self._catalogue = Catalogue()
        self._follower = Follower(kafka, namespace, self._catalogue)
        self._follower.__enter__()

    def close(self) -> None:
        """Follow them no more."""
        self._follower.__exit__()

    def check(self) -> None:
        """Raises Refused when somebody has changed one of them. Unavailable."""
        newest = self._admin.end_offsets(DEFINITIONS)[0] - 1
        if not self._catalogue.wait_for(newest, ACK_S):
            raise Unavailable("kafka", f"live's definitions were not read within {ACK_S:g} s")
        now = specs_of(self._catalogue)
        if now != self._before:
            changed = ", ".join("/".join(key) for key in sorted(changes(self._before, now)))
            raise Refused("replay", f"live's definitions have been changed during the replay ({changed}): run it again")

    def write(self, written: Changes, now_ms: int, ack_s: float) -> None:
        """Raises Unavailable."""
        write_definitions(self._kafka, self._namespace, written, now_ms, ack_s=min(ACK_S, ack_s))


def mapped_by(specs: Specs) -> dict[str, dict[str, str]]:
    """By event type, the lines of mappings that a shadow has applied to all events (`hub.pipeline.applied`)."""
    mappings = ((id, MappingDefinition.model_validate(spec)) for (kind, id), spec in specs.items() if kind == "mapping")
    return {type: named(lines.own) for type, lines in compile_mappings(mappings).items()}


def is_stored(store: Both, original: Original) -> bool:
    """Whether live has applied the record: has all its events, which may lie where their first copy was filed."""
    inbound = original.inbound
    if is_order(inbound):
        return store.order(inbound["id"]) is not None
    if inbound["body"][0] != TRACK:
        return True
    for event in inbound["body"][1]["events"]:
        received_ms = inbound["received_at_ms"]
        partition = partition_of(received_ms if event["time_ms"] is None else event["time_ms"], received_ms)
        if not store.event_owners(partition, [event["id"]]) and store.get("events", event["id"]) is None:
            return False
    return True


def promoted(live: bytes, shadow: bytes) -> bytes:
    """The shadow's profile as live has it from now on. Args: documents as JSON."""
    document, before = _object(shadow), _object(live)
    metadata, ours = _object(document["metadata"]), _object(before["metadata"])
    kept = {name: ours[name] for name in KEPT if name in ours}
    metadata = {name: value for name, value in metadata.items() if name in kept or name not in KEPT} | kept
    if "segments" in document:
        document["segments"] = before["segments"]
    if metadata == ours and all(document.get(name) == value for name, value in before.items() if name != "metadata"):
        return live
    # all of its segments are looked at again when it is touched next
    metadata.pop("judged", None)
    document["metadata"] = msgspec.Raw(_encode(metadata))
    return _encode(document)
