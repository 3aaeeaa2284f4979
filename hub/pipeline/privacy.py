"""Whose records count for nothing, and what is done for somebody who asks for their privacy. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from hub.edge.identifiers import identifiers
from hub.model import FOREVER_MS, Person, Privacy, Void
from hub.pipeline.crossed import Crossed, Heir
from hub.pipeline.definitions import Definitions
from hub.pipeline.records import PRIVACY, Decoded
from hub.pipeline.referral import referral
from schemas.records import MERGE, PATCH, TRACK, Inbound, Merge, Patch, Track

SOURCE: Final = PRIVACY
PROFILE: Final = "profile"
SESSION: Final = "session"
IDENTIFIER: Final = "identifier"

ERASED: Final = "erased"
SUPPRESSED: Final = "suppressed"
EXPIRED: Final = "expired"
WHY: Final = (ERASED, SUPPRESSED, EXPIRED)
"""Why events are not kept; what a metric is labelled with."""

Kind: TypeAlias = Literal["erase", "suppress", "lift"]
Name: TypeAlias = tuple[str, str]
"""Kind of an id, and the id: what a mark is made of."""
Place: TypeAlias = tuple[int, int]
"""Partition and offset of a record."""

_object: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Order(msgspec.Struct, frozen=True):
    """What the API asks for, the one operation of a Patch. `suppress`: of `erase`, nothing is taken any more."""

    op: Kind
    reason: str = ""
    suppress: bool = False


class Judged(NamedTuple):
    """
    What is void of a batch. `records`: by their place, why. `more`: profiles that have come with an identifier of
    somebody who is suppressed: from then on they are, too. `heirs`: by the place of a step of a merge, the profile that
    turns out to be of somebody who was erased, and so has to be erased, too.
    """

    records: Mapping[Place, Void]
    more: Sequence[Void]
    heirs: Mapping[Place, Heir]


class _Because(msgspec.Struct, frozen=True):
    """What of a merge's reason matters here."""

    identifier: str | None = None


NOTHING: Final = Judged({}, (), {})


@lru_cache(maxsize=65_536)
def mark(kind: str, id: str, key: bytes) -> str:
    """What is kept in place of an id: 32 hex digits. Args: key: as `identifiers` takes it."""
    return blake2b(f"{kind}\x1f{id}".encode(), key=key, digest_size=16, person=b"hub-void").hexdigest()


def order_of(inbound: Inbound | None) -> Order | None:
    """What a record asks for; None: it is no such record. Raises msgspec.DecodeError: of a newer hub."""
    if inbound is None or inbound["body"][0] != PATCH or inbound["source"] != SOURCE:
        return None
    (order,) = msgspec.json.decode(inbound["body"][1]["operations"], type=tuple[Order])
    return order


def names(inbound: Inbound, definitions: Definitions) -> Iterator[Name]:
    """By what a record may be somebody's: those of its profile, session and identifiers."""
    if inbound["profile_id"]:
        yield PROFILE, inbound["profile_id"]
    sent_as = inbound.get("sent_as")
    if sent_as:
        yield PROFILE, sent_as
    if inbound["body"][0] == MERGE:
        yield PROFILE, inbound["body"][1]["loser_id"]
        with suppress(msgspec.DecodeError):
            identifier = msgspec.json.decode(inbound["body"][1]["reason"], type=_Because).identifier
            if identifier is not None:
                yield IDENTIFIER, identifier
    if inbound["body"][0] == TRACK:
        yield from _of_track(inbound, inbound["body"][1], definitions)


def _of_track(inbound: Inbound, track: Track, definitions: Definitions) -> Iterator[Name]:
    if track["session_id"]:
        yield SESSION, track["session_id"]
    if not inbound["profile_id"]:
        return
    said = referral(track)
    if said is not None:
        yield SESSION, said.session  # without it, to name a profile proves nothing
    for event in track["events"]:
        lines = definitions.points.of(event["type"])
        if lines:
            try:
                view = {"properties": _object(event["properties"]), "context": _object(event["context"])}
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            for found in identifiers(lines, inbound["source"], view, definitions.identity_key)[0]:
                yield IDENTIFIER, found.hash


def judge(
    records: Iterable[Decoded],
    named: Mapping[Place, Sequence[Name]],
    voids: Mapping[str, Sequence[Void]],
    crossed: Mapping[Place, Crossed],
    key: bytes,
) -> Judged:
    """
    Which of these count for nothing.

    Args:
        named: By place, what `names` gave.
        voids: By mark, what is void; complete for the names.
        crossed: By place, steps of merges that an erasure has overtaken.
    """
    found: dict[Place, Void] = {}
    grown: dict[str, list[Void]] = {mark: list(some) for mark, some in voids.items()}
    more: list[Void] = []
    heirs: dict[Place, Heir] = {}
    for decoded in records:
        inbound = decoded.inbound
        if inbound is None or is_order(inbound):
            continue
        at_ms = min(inbound["received_at_ms"], decoded.record.received_ms or inbound["received_at_ms"])
        place = decoded.record.partition, decoded.record.offset
        marks = {mark(*name, key): name for name in named.get(place, ())}
        if inbound["body"][0] == MERGE:
            step = crossed.get(place) or _of_merge(inbound, inbound["body"][1], named.get(place, ()), voids, key)
            if step is not None:
                found[place] = step.void
                if step.heir is not None:
                    heirs[place] = step.heir
            continue
        hits = [
            (kind, void)
            for one, (kind, _) in marks.items()
            for void in grown.get(one, ())
            if void.since_ms <= at_ms <= void.until_ms
        ]
        if not hits:
            continue
        found[place] = hits[0][1]
        lasting = next((void for kind, void in hits if kind == IDENTIFIER and void.until_ms == FOREVER_MS), None)
        one = mark(PROFILE, inbound["profile_id"], key)
        if lasting is not None and not any(void.until_ms == FOREVER_MS for void in grown.get(one, ())):
            more.append(Void(one, max(1, at_ms), FOREVER_MS, lasting.cause))
            grown.setdefault(one, []).append(more[-1])
    return Judged(found, more, heirs)


def why(void: Void) -> str:
    """A word of WHY."""
    return SUPPRESSED if void.since_ms else ERASED


def is_order(inbound: Inbound) -> bool:
    """Whether the record is one of `order_of`."""
    return inbound["body"][0] == PATCH and inbound["source"] == SOURCE


def _of_merge(
    inbound: Inbound, body: Merge, named: Sequence[Name], voids: Mapping[str, Sequence[Void]], key: bytes
) -> Crossed | None:
    """
    A step of a merge that no erasure has overtaken, as far as the store knows (`crossed`), but is void by its time.

    Either somebody has asked by hand for two to become one, and one of them was erased before it came to that: then the
    other one is the same person. Or an event with an identifier was taken in hand just before the erasure of who had
    it, and stored just after: then its profile is of that person.
    """
    if body["step"] not in ("ask", "data"):
        return None
    hits = {
        kind_and_id: next((one for one in voids.get(mark(*kind_and_id, key), ()) if _covers(one, inbound)), None)
        for kind_and_id in named
    }
    by_hand = inbound["origin"] != "collector"
    own, other = hits.get((PROFILE, inbound["profile_id"])), hits.get((PROFILE, body["loser_id"]))
    void = (own or other) if by_hand else next((hits[name] for name in named if name[0] == IDENTIFIER), None)
    if void is None:
        return None
    if by_hand and own and other:
        return Crossed(void)
    is_asker = body["step"] == "ask" and (own is not None or not by_hand)
    lasting = any(one.until_ms == FOREVER_MS and one.cause == void.cause for one in voids[void.mark])
    return Crossed(void, Heir(body["loser_id"] if is_asker else inbound["profile_id"], void, lasting))


def _covers(void: Void, inbound: Inbound) -> bool:
    return not void.since_ms and inbound["received_at_ms"] <= void.until_ms


def heir_order(id: str, heir: Heir, definitions_offset: int) -> Inbound:
    """The record that has an heir erased. Args: id: of the order."""
    body: Patch = {
        "cause": heir.void.cause,
        "operations": msgspec.json.encode([Order("erase", f"as {heir.void.cause}", heir.is_suppressed)]),
    }
    return {
        "id": id,
        "source": SOURCE,
        "profile_id": heir.profile_id,
        "received_at_ms": heir.void.until_ms,
        "definitions_offset": definitions_offset,
        "origin": "collector",
        "body": (PATCH, body),
    }


def carry_out(
    order: Order,
    inbound: Inbound,
    person: Person,
    profile: tuple[int, Mapping[str, Any] | None],
    definitions: Definitions,
) -> Privacy:
    """
    What an order does.

    Args:
        person: All by which the profile of the record is known.
        profile: Its version with this record, and its document; None: there is none.
    """
    version, document = profile
    key, at_ms, id = definitions.identity_key, inbound["received_at_ms"], inbound["profile_id"]
    person = msgspec.structs.replace(person, ids={**person.ids, id: version})
    shared = [name for name, (_, uses) in person.identifiers.items() if uses >= definitions.most_profiles]
    marks = [mark(*name, key) for name in _known_by(person, shared)]
    voids: list[Void] = []
    if order.op == "erase":
        # some was received later, and is the person's already: by another edge's clock, or as a merge was ahead
        until_ms = max(at_ms, _updated_ms(document), person.latest_ms)
        voids += [Void(one, 0, until_ms, inbound["id"]) for one in marks]
    is_suppressed = order.op == "suppress" or (order.op == "erase" and order.suppress)
    if is_suppressed:
        voids += [Void(one, max(1, at_ms), FOREVER_MS, inbound["id"]) for one in marks]
    return Privacy(
        id=inbound["id"],
        kind=order.op,
        mark=mark(PROFILE, id, key),
        at_ms=at_ms,
        reason=order.reason,
        is_suppressed=is_suppressed,
        person=person if order.op == "erase" else Person(),
        shared=shared if order.op == "erase" else [],
        voids=voids,
        marks=marks if order.op == "lift" else [],
    )


def _known_by(person: Person, shared: Sequence[str]) -> Iterator[Name]:
    yield from ((PROFILE, id) for id in person.ids)
    yield from ((SESSION, id) for id in person.sessions)
    yield from ((IDENTIFIER, name) for name in person.identifiers if name not in shared)


def _updated_ms(document: Mapping[str, Any] | None) -> int:
    if document is None:
        return 0
    return round(datetime.fromisoformat(document["metadata"]["time"]["update"]).timestamp() * 1000)
