"""Who is who: claims on identifiers, merges, and records that go to another profile; for one batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from hub import ids
from hub.edge.identifiers import Identifier
from hub.model import OFFSET_BITS, Alias, Ask, Claimed, Identity, MergeEntry, Outgoing, Position, Undo
from hub.pipeline.documents import iso
from hub.pipeline.merging import merge
from hub.pipeline.records import LogRecord
from hub.pipeline.touched import Open, Touched
from schemas.codec import encode_inbound
from schemas.records import MERGE, Inbound, Merge
from schemas.replays import replay_header
from schemas.topics import MAX_RECORD_BYTES

SOURCE: Final = "@identity"
"""Event source of the records that the collector sends by itself; they are no events and count for nothing."""
IDENTIFIERS: Final = ("metadata", "identifiers")
EMPTY: Final = b"{}"
MOST_DATA_BYTES: Final = MAX_RECORD_BYTES - 65_536
"""Largest profile that can become part of another, as JSON: its data has to fit into a record, with all around it."""

Why: TypeAlias = Literal["alias", "session", "return"]
LATE: Final[frozenset[str | None]] = frozenset({"return", "session"})
"""Ways on which others of the same sender may pass a record that was handed on."""
FOR_SENDER: Final = frozenset({"alias", "return"})
"""Ways on which a record goes to whom its sender is part of."""
MOST_WAY_MS: Final = 60_000
"""
How long a record that has come back once may go on to look for its sender's profile, in milliseconds; then it stays.

While merges are made and undone it may go to and fro between where its sender went and who does not have that one, or
not yet. That ends when the steps of the merge have come, which wait at most while a partition has no collector.
"""


class Known(msgspec.Struct, frozen=True):
    """
    What is known of identity before the batch.

    Attributes:
        aliases: Profiles that were merged, by id; complete for the profiles of the batch.
        roots: By id of a profile, the one that it is part of now, if that is another.
        claimed: By hash, who holds an identifier; complete for the batch.
        forwarded: Records (`epoch/partition/offset`) that were handed on and are applied already.
        merges: Ids of merges that are done already.
        undos: By merge id, what it takes to undo it.
        left: By sender of a record that was handed on because of a merge, its version as it ended.
    """

    aliases: dict[str, Alias] = {}
    roots: dict[str, str] = {}
    claimed: dict[str, Claimed] = {}
    forwarded: frozenset[str] = frozenset()
    merges: frozenset[str] = frozenset()
    undos: dict[str, Undo] = {}
    left: dict[str, int] = {}


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What an identifier that is new to its profile led to; in the event's outcome.

    `did`: `claimed` (it was nobody's, or this profile's own), `merged` (with `other`), `shared` (too many have it: it
    identifies nobody), `apart` (a merge with `other` was undone once, so they stay two), `too_large` (its profile would
    have to become part of `other`, and is larger than MOST_DATA_BYTES).
    """

    identifier: str
    label: str
    did: Literal["claimed", "merged", "shared", "apart", "too_large"]
    other: str | None = None


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    Why two profiles are one: an identifier that both came with, last by this event; or somebody's request.

    `merge_id`, `followers`: of a profile that lives again, the merge that is undone, and who comes back with it.
    `into`: whom the data was for, if that one had ended as well before it came. `is_back`: it has come back to that one
    from whom it had ended in, and had left by then.
    """

    kind: Literal["identifier", "request"]
    profile_id: str
    other_id: str
    at: str
    identifier: str | None = None
    label: str | None = None
    event_id: str | None = None
    merge_id: str | None = None
    followers: list[Follower] = []
    into: str | None = None
    is_back: bool = False


class Follower(msgspec.Struct, frozen=True):
    """A profile that was merged because of one that lives again: it lives again, too, and is merged with that one."""

    id: str
    merge_id: str
    doc: dict[str, Any]
    reason: Reason


class Cause(NamedTuple):
    """The record in hand. `position`: its own, with place 0. `at`: when it was received, RFC 3339."""

    record: LogRecord
    inbound: Inbound
    position: Position
    at: str


class Identities:
    """What one batch learns of identity, on top of what was known."""

    def __init__(self, known: Known, touched: Touched, most_profiles: int) -> None:
        """Args: most_profiles: that may share an identifier before it identifies nobody."""
        self._known = known
        self._touched = touched
        self._most = most_profiles
        self._aliases: dict[str, Alias | None] = {}
        self._restored: list[str] = []
        self._uses: dict[str, int] = {}
        self._merges: dict[str, MergeEntry] = {}
        self._undone: dict[str, int] = {}
        self._forwarded: dict[str, None] = {}
        self._outbox: list[Outgoing] = []
        self._joins: dict[str, Reason] = {}
        self._asks: list[Ask] = []
        self._answered: list[str] = []

    def alias(self, profile_id: str) -> Alias | None:
        """Where the profile went, if it was merged."""
        if profile_id in self._aliases:
            return self._aliases[profile_id]
        return self._known.aliases.get(profile_id)

    def root(self, profile_id: str) -> str:
        """The profile that this one is part of, as far as is known here."""
        while True:
            alias = self.alias(profile_id)
            further = alias.into if alias is not None else self._known.roots.get(profile_id, profile_id)
            if further == profile_id or (alias is None and profile_id in self._aliases):
                return profile_id
            profile_id = further

    def holds(self, profile: Open, holder: str) -> bool:
        """Whether what `holder` has claimed is the profile's: it is the same, or was merged into it for good."""
        if holder == profile.holder:
            return True
        if self.root(holder) != profile.holder:
            return False
        # told apart, it has its own again: only its owner has not heard of it yet
        doc = profile.draft.doc
        return holder in doc["ids"] or holder not in doc["metadata"].get("apart", ())

    def forward(self, cause: Cause, to: str, why: Why) -> None:
        """Hand the record on to the partition of another profile, under the ids that it came with."""
        inbound = cause.inbound
        handed: Inbound = {**inbound, "profile_id": to}
        if inbound["body"][0] == MERGE:
            handed["body"] = (MERGE, _through(inbound["body"][1], inbound["profile_id"]))
        else:
            at = cause.position
            handed["sent_as"] = inbound.get("sent_as") or inbound["profile_id"]
            handed["first_at"] = inbound.get("first_at") or f"{at.epoch}/{at.partition}/{at.offset}"
            handed["forwarded_for"] = _why(inbound.get("forwarded_for"), why)
        self._send(cause, handed, replay=cause.record.replay is not None)

    def in_turn(self, inbound: Inbound) -> Inbound:
        """
        The record, as one that has come back if its sender's data has passed it.

        It was handed on to another profile first, of which the sender was told apart before it became part of this one.
        """
        left, first_at = self._known.left.get(inbound.get("sent_as") or ""), inbound.get("first_at")
        if left is None or not first_at or inbound.get("forwarded_for") != "alias":
            return inbound
        epoch, _, offset = map(int, first_at.split("/"))
        return {**inbound, "forwarded_for": "return"} if (epoch << OFFSET_BITS | offset) < left else inbound

    def is_known(self, first_at: str) -> bool:
        """Whether a record that was handed on has been applied before: the same one may be handed on twice."""
        return first_at in self._known.forwarded or first_at in self._forwarded

    def applied(self, first_at: str) -> None:
        """A record that was handed on is applied now."""
        self._forwarded[first_at] = None

    def decide(self, profile: Open, found: Sequence[Identifier], event_id: str, at: str) -> list[Decision]:
        """
        What the identifiers of one event mean for its profile; `settle` then acts on all of them at once.

        Only those that are new to the profile: what the others meant was decided when they came.
        """
        decisions = []
        for identifier in found:
            there = profile.draft.get(IDENTIFIERS)
            if isinstance(there, dict) and identifier.hash in there:
                continue
            profile.draft.object(IDENTIFIERS)[identifier.hash] = [identifier.label, at, event_id]
            decisions.append(self._decide(profile, identifier, event_id, at))
        return decisions

    def _decide(self, profile: Open, identifier: Identifier, event_id: str, at: str) -> Decision:
        claimed = self._known.claimed.get(identifier.hash, Claimed(profile.holder, 0))
        more = self._uses.get(identifier.hash, 0)
        self._uses[identifier.hash] = more + 1
        other = self.root(claimed.profile_id)
        if other == profile.holder:
            return Decision(*identifier, "claimed")
        if claimed.uses + more >= self._most:
            return Decision(*identifier, "shared")
        if other in profile.draft.doc["metadata"].get("apart", ()):
            return Decision(*identifier, "apart", other)
        reason = Reason("identifier", profile.holder, claimed.profile_id, at, *identifier, event_id)
        self._joins.setdefault(other, reason)
        is_moved = other > profile.holder or is_movable(profile.draft.doc)
        return Decision(*identifier, "merged" if is_moved else "too_large", other)

    @property
    def has_joins(self) -> bool:
        """Whether decisions wait for `settle`."""
        return bool(self._joins)

    def settle(self, profile: Open, cause: Cause) -> None:
        """Act on the decisions of the record: the smallest id survives, and whoever owns a larger one gives it up."""
        joins, self._joins = self._joins, {}
        if joins:
            self._join(profile, joins, cause)

    def _join(self, profile: Open, joins: dict[str, Reason], cause: Cause) -> None:
        if min(joins) < profile.holder and not is_movable(profile.draft.doc):
            self._keep_apart(profile, [other for other in joins if other < profile.holder], cause)
            joins = {other: reason for other, reason in joins.items() if other > profile.holder}
        survivor = min((profile.holder, *joins))
        for other, reason in joins.items():
            if other != survivor:
                self.ask(cause, other, survivor, reason)
        if survivor != profile.holder:
            self._retire(profile, survivor, joins[survivor], cause)

    def _keep_apart(self, profile: Open, others: Sequence[str], cause: Cause) -> None:
        apart = dict.fromkeys((*profile.draft.doc["metadata"].get("apart", ()), *others))
        profile.draft.object(("metadata",))["apart"] = list(apart)
        self.touch(profile, cause)

    def ask(self, cause: Cause, profile_id: str, other_id: str, reason: Reason) -> None:
        """Tell the owner of a profile that another one is the same person."""
        id = ids.derived("ask", profile_id, other_id, str(cause.position.version))
        self._asks.append(Ask(id, profile_id, other_id))
        self._merge_record(
            cause,
            id,
            profile_id,
            {
                "loser_id": other_id,
                "loser_version": 0,
                "snapshot": EMPTY,
                "step": "ask",
                "reason": msgspec.json.encode(reason),
            },
        )

    def _retire(self, profile: Open, survivor: str, reason: Reason, cause: Cause) -> None:
        """Our own profile ends: what it holds goes to the survivor, and so does everything that comes for it later."""
        version = cause.position.version
        merge_id = ids.derived("merge", profile.holder, survivor, str(version))
        self._aliases[profile.holder] = Alias(survivor, version, merge_id)
        self._touched.forget(profile.holder)
        self._merge_record(
            cause,
            merge_id,
            survivor,
            {
                "loser_id": profile.holder,
                "loser_version": profile.version,
                "snapshot": msgspec.json.encode(profile.draft.doc),
                "step": "data",
                "reason": msgspec.json.encode(reason),
            },
        )

    def asked(self, cause: Cause, body: Merge) -> None:
        """Another profile is the same person as the one of this record, which is ours."""
        profile_id, other = cause.inbound["profile_id"], self.root(body["loser_id"])
        reason = msgspec.json.decode(body["reason"], type=Reason)
        self._answered.append(cause.inbound["id"])
        if other == profile_id:
            return
        profile = self._touched.profile(profile_id, cause.at)
        if reason.kind == "identifier" and other in profile.draft.doc["metadata"].get("apart", ()):
            return
        self._join(profile, {other: reason}, cause)

    def take(self, cause: Cause, body: Merge) -> None:
        """Take the data of a profile that ended in ours; unless the two were told apart meanwhile."""
        merge_id, profile_id = cause.inbound["id"], cause.inbound["profile_id"]
        if merge_id in self._known.merges or merge_id in self._merges or body["loser_id"] == profile_id:
            return
        reason = msgspec.json.decode(body["reason"], type=Reason)
        loser: dict[str, Any] = msgspec.json.decode(body["snapshot"])
        profile = self._touched.profile(profile_id, cause.at)
        if has_left(reason, profile.draft.doc["ids"]) and not (reason.is_back and is_long(cause.record, cause.inbound)):
            self._give_back(cause, body, reason)
            return
        if reason.kind == "identifier" and _are_apart(profile.draft.doc, loser):
            if self._touched.has(profile_id):
                # what comes in the other's sessions before that one lives again is not ours
                self._keep_apart(profile, [body["loser_id"]], cause)
            self.restore(cause, body["loser_id"], loser, merge_id)
            return
        before = msgspec.json.encode(profile.draft.doc)
        changes = merge(profile.draft, loser)
        self.touch(profile, cause)
        self._merges[merge_id] = MergeEntry(
            id=merge_id,
            loser_id=body["loser_id"],
            survivor_id=profile_id,
            version=profile.version,
            at_ms=cause.inbound["received_at_ms"],
            reason=body["reason"],
            loser=body["snapshot"],
            survivor=before,
            changes=msgspec.json.encode(changes),
        )

    def _give_back(self, cause: Cause, body: Merge, reason: Reason) -> None:
        """Send data on to whom it was for, who is no part of ours any more: behind its restoration, so it lives."""
        own: Merge = {**body, "reason": msgspec.json.encode(msgspec.structs.replace(reason, into=None, is_back=True))}
        self._send(cause, {**cause.inbound, "profile_id": reason.into or "", "body": (MERGE, own)})

    def restore(
        self,
        cause: Cause,
        profile_id: str,
        doc: dict[str, Any],
        merge_id: str,
        followers: Sequence[Follower] = (),
    ) -> None:
        """Tell the owner of a merged profile that it lives again, as `doc`, apart from the record's profile."""
        other = cause.inbound["profile_id"]
        apart = dict.fromkeys((*doc["metadata"].get("apart", ()), other))
        doc = {**doc, "metadata": {**doc["metadata"], "apart": list(apart)}}
        self._restore(cause, profile_id, doc, merge_id, followers)

    def _restore(
        self, cause: Cause, profile_id: str, doc: dict[str, Any], merge_id: str, followers: Sequence[Follower]
    ) -> None:
        other = cause.inbound["profile_id"]
        reason = Reason("request", profile_id, other, cause.at, merge_id=merge_id, followers=list(followers))
        self._merge_record(
            cause,
            ids.derived("restore", merge_id),
            profile_id,
            {
                "loser_id": other,
                "loser_version": 0,
                "snapshot": msgspec.json.encode(doc),
                "step": "restore",
                "reason": msgspec.json.encode(reason),
            },
        )

    def restored(self, cause: Cause, body: Merge) -> None:
        """A profile of ours lives again."""
        profile_id = cause.inbound["profile_id"]
        alias = self.alias(profile_id)
        reason = msgspec.json.decode(body["reason"], type=Reason)
        if alias is None or alias.merge_id != reason.merge_id:
            return
        self._aliases[profile_id] = None
        self._restored.append(profile_id)
        profile = self._touched.put(profile_id, msgspec.json.decode(body["snapshot"]))
        self.touch(profile, cause)
        for one in reason.followers:
            # both to the same partition: it lives by the time that it is asked
            self._restore(cause, one.id, one.doc, one.merge_id, ())
            self.ask(cause, one.id, profile_id, one.reason)

    def undo_of(self, merge_id: str) -> Undo | None:
        """What it takes to undo a merge; None when there is none that can be undone."""
        return None if merge_id in self._undone else self._known.undos.get(merge_id)

    def undone(self, merge_id: str, at_ms: int) -> None:
        """The journal says since when (milliseconds since 1970)."""
        self._undone[merge_id] = at_ms

    def touch(self, profile: Open, cause: Cause) -> None:
        """The profile has to be written as of this record."""
        profile.version = cause.position.version
        profile.draft.object(("metadata",))["version"] = profile.version
        profile.dirty = True

    def send(self, cause: Cause, inbound: Inbound) -> None:
        """Another record, because of the one in hand."""
        self._send(cause, inbound)

    def outcome(self) -> Identity | None:
        """All of it; None when there is nothing."""
        identity = Identity(
            aliases={id: alias for id, alias in self._aliases.items() if alias is not None},
            restored=[id for id in self._restored if self._aliases.get(id) is None],
            taken=self._touched.taken(),
            uses=self._uses,
            merges=list(self._merges.values()),
            undone=self._undone,
            forwarded=list(self._forwarded),
            outbox=self._outbox,
            asks=self._asks,
            answered=self._answered,
        )
        return identity if any(msgspec.structs.astuple(identity)) else None

    def _merge_record(self, cause: Cause, id: str, profile_id: str, body: Merge) -> None:
        record: Inbound = {
            "id": id,
            "source": SOURCE,
            "profile_id": profile_id,
            "received_at_ms": cause.inbound["received_at_ms"],
            "definitions_offset": cause.inbound["definitions_offset"],
            "origin": "collector",
            "body": (MERGE, body),
        }
        self._send(cause, record)

    def _send(self, cause: Cause, inbound: Inbound, *, replay: bool = False) -> None:
        header = replay_header(cause.record.replay)[1] if replay and cause.record.replay is not None else None
        position = cause.position._replace(place=len(self._outbox))
        self._outbox.append(Outgoing(position, inbound["profile_id"].encode(), encode_inbound(inbound), header))


def cause_of(record: LogRecord, inbound: Inbound, position: Position) -> Cause:
    """The record in hand."""
    return Cause(record, inbound, position, iso(inbound["received_at_ms"]))


def is_movable(document: Mapping[str, Any], followers: Sequence[Follower] = ()) -> bool:
    """Whether a record can carry the profile, and of one that lives again all that goes with it."""
    return len(msgspec.json.encode((document, followers))) <= MOST_DATA_BYTES


def has_left(reason: Reason, ids: Collection[str]) -> bool:
    """
    Whether data was for a profile that was told apart from this one while the data was on its way.

    Args: ids: of this one.
    """
    return reason.into is not None and reason.into not in ids


def is_long(record: LogRecord, inbound: Inbound) -> bool:
    """Whether the record has been under way for so long that it looks for nobody any more."""
    return record.at_ms - inbound["received_at_ms"] > MOST_WAY_MS


def _why(before: str | None, why: Why) -> str:
    """A record that comes back stays where it is then, and one that was handed on for its session is not so again."""
    return before if before == "return" or (before == "session" and why == "alias") else why


def _through(body: Merge, profile_id: str) -> Merge:
    """A step of a merge that goes on from this profile: of data it is said that it was for this one."""
    reason = msgspec.json.decode(body["reason"], type=Reason) if body["step"] == "data" else None
    if reason is None or reason.into is not None:
        return body
    return {**body, "reason": msgspec.json.encode(msgspec.structs.replace(reason, into=profile_id))}


def _are_apart(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return not (
        set(one["ids"]).isdisjoint(other["metadata"].get("apart", ()))
        and set(other["ids"]).isdisjoint(one["metadata"].get("apart", ()))
    )
