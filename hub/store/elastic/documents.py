"""Documents as the indices have them: pure. `at` is always the number of the batch that writes them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hub.conditions.times import read_time
from hub.conditions.truth import at
from hub.model import (
    Alias,
    Ask,
    Claim,
    CounterKey,
    Counts,
    DeadLetter,
    MergeEntry,
    Outgoing,
    Position,
    Profile,
    Session,
    StoredEvent,
)
from hub.store.elastic.facts import facts
from hub.store.port import MergeRow
from hub.store.query.facets import BEGAN

CLAIMS: Final = "claims"
MERGES: Final = "merges"
FORWARDED: Final = "forwarded"
ASKS: Final = "asks"
OUTBOX: Final = "outbox"
COUNTERS: Final = "counters"
WRITES: Final = "writes"
"""Tables of the index `rows` that batches write."""

ALIAS: Final = ("merged", "into", "alias_version", "merge_id")
"""Of a profile: where it went when it was merged. `merged`: its own id, by which such profiles are found."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

Fields = dict[str, Any]


def row_id(table: str, *key: object) -> str:
    """The id of a row in the index `rows`."""
    return "/".join((table, *map(str, key)))


def text_of(raw: bytes) -> str:
    """Bytes as a document keeps them."""
    return base64.b64encode(raw).decode("ascii")


def bytes_of(text: str) -> bytes:
    """The bytes of `text_of`."""
    return base64.b64decode(text)


def event_source(event: StoredEvent, seq: int, at: int) -> Fields:
    """A stored event."""
    return {
        "id": event.id,
        "seq": seq,
        "at": at,
        "partition": event.partition,
        "profile_id": event.profile_id,
        "session_id": event.session_id,
        "type": event.type,
        "source": event.source,
        "time_ms": event.time_ms,
        "received_at_ms": event.received_at_ms,
        "position": list(event.position),
        "digest": text_of(event.digest),
        "profile_version": event.profile_version,
        **_of_event(_decode(event.doc)),
        "doc": event.doc.decode(),
    }


def event_with(source: Fields, document: Fields, at: int) -> Fields:
    """The same event with another document."""
    return {**source, "at": at, **_of_event(document), "doc": _encode(document).decode()}


def _of_event(document: Fields) -> Fields:
    was_copied = document.get("outcome", {}).get("copied") is not None
    return {"facts": facts(document, "events"), **({"copied": True} if was_copied else {})}


def profile_source(profile: Profile, seq: int, at: int) -> Fields:
    """A profile, without where it went and when it is due."""
    return {
        "id": profile.id,
        "seq": seq,
        "at": at,
        "version": profile.version,
        "segments": profile.doc.get("segments") or [],
        "began_ms": began_ms(profile.doc),
        "facts": facts(profile.doc, "profiles"),
        "doc": _encode(profile.doc).decode(),
    }


def began_ms(document: Fields) -> int | None:
    """Since when there is a profile or a session, milliseconds since 1970; None: it does not say so."""
    found = at(document, BEGAN)
    us = read_time(found) if isinstance(found, str) else None
    return None if us is None else us // 1_000


def profile_of(id: str, source: Mapping[str, Any]) -> Profile:
    """The profile of a source that is there."""
    return Profile(id, source["version"], _decode(source["doc"]))


def alias_fields(id: str, alias: Alias) -> Fields:
    """Where a profile went, as fields of its document."""
    return {"merged": id, "into": alias.into, "alias_version": alias.version, "merge_id": alias.merge_id}


def alias_of(source: Mapping[str, Any]) -> Alias | None:
    """The alias that a profile's document has."""
    if "into" not in source:
        return None
    return Alias(source["into"], source["alias_version"], source["merge_id"])


def session_source(session: Session, seq: int, at: int) -> Fields:
    """A session."""
    return {
        "id": session.id,
        "seq": seq,
        "at": at,
        "profile_id": session.profile_id,
        "version": session.version,
        "began_ms": began_ms(session.doc),
        "facts": facts(session.doc, "sessions"),
        "doc": _encode(session.doc).decode(),
    }


def session_of(id: str, source: Mapping[str, Any]) -> Session:
    """The session of a source that is there."""
    return Session(id, source["profile_id"], source["version"], _decode(source["doc"]))


def letter_source(letter: DeadLetter, document: Fields, seq: int, at: int) -> Fields:
    """A dead letter. Args: document: of `hub.store.documents`."""
    return {
        "id": letter.id,
        "seq": seq,
        "body": text_of(letter.body),
        "body_sha256": letter.body_sha256,
        "body_size": letter.body_size,
        **letter_columns(letter, document, at),
    }


def letter_columns(letter: DeadLetter, document: Fields, at: int) -> Fields:
    """What changes of a dead letter when it fails again."""
    return {"at_ms": letter.at_ms, "source": letter.source, "reason": letter.reason, **letter_with(document, at)}


def letter_with(document: Fields, at: int) -> Fields:
    """What changes of a dead letter with its document."""
    return {
        "at": at,
        "status": document["status"],
        "facts": facts(document, "dead-letters"),
        "doc": _encode(document).decode(),
    }


def claim_source(claim: Claim, seq: int, at: int) -> Fields:
    """An identifier and who holds it."""
    return {
        "table": CLAIMS,
        "key": claim.identifier,
        "seq": seq,
        "at": at,
        "label": claim.label,
        "profile_id": claim.profile_id,
        "event_id": claim.event_id,
        "at_ms": claim.at_ms,
        "uses": 0,
    }


def merge_source(entry: MergeEntry, seq: int, at: int) -> Fields:
    """One merge of the journal."""
    return {
        "table": MERGES,
        "key": entry.id,
        "seq": seq,
        "at": at,
        "loser_id": entry.loser_id,
        "survivor_id": entry.survivor_id,
        "version": entry.version,
        "at_ms": entry.at_ms,
        "reason": entry.reason.decode(),
        "changes": entry.changes.decode(),
        "loser": text_of(zlib.compress(entry.loser, 1)),
        "survivor": text_of(zlib.compress(entry.survivor, 1)) if entry.survivor else "",
        "undone": False,
        "undone_ms": None,
    }


def merge_of(source: Mapping[str, Any]) -> MergeEntry:
    """The merge of a source that is there."""
    return MergeEntry(
        id=source["key"],
        loser_id=source["loser_id"],
        survivor_id=source["survivor_id"],
        version=source["version"],
        at_ms=source["at_ms"],
        reason=source["reason"].encode(),
        loser=zlib.decompress(bytes_of(source["loser"])),
        survivor=zlib.decompress(bytes_of(source["survivor"])) if source["survivor"] else b"",
        changes=source["changes"].encode(),
    )


def merge_row(source: Mapping[str, Any]) -> MergeRow:
    """The same without the profiles."""
    return MergeRow(
        id=source["key"],
        loser_id=source["loser_id"],
        survivor_id=source["survivor_id"],
        version=source["version"],
        at_ms=source["at_ms"],
        reason=_decode(source["reason"]),
        changes=_decode(source["changes"]),
        undone_ms=source["undone_ms"],
    )


def ask_source(ask: Ask, at: int) -> Fields:
    """That a profile was asked to become part of another one."""
    return {
        "table": ASKS,
        "key": ask.id,
        "at": at,
        "asked": ask.asked,
        "asker": ask.asker,
        "cause": ask.cause,
        "is_done": ask.is_done,
    }


def ask_of(source: Mapping[str, Any]) -> Ask:
    """The ask of a source that is there."""
    return Ask(source["key"], source["asked"], source["asker"], source["cause"], source["is_done"])


def outgoing_fields(one: Outgoing) -> list[Any]:
    """A record that has to be sent."""
    replay = None if one.replay is None else text_of(one.replay)
    return [list(one.position), text_of(one.key), text_of(one.value), replay]


def outgoing_of(fields: list[Any]) -> Outgoing:
    """The record of `outgoing_fields`."""
    position, key, value, replay = fields
    return Outgoing(Position(*position), bytes_of(key), bytes_of(value), None if replay is None else bytes_of(replay))


def counter_source(key: CounterKey, counts: Counts, number: int) -> Fields:
    """What one batch has added to a counter."""
    return {
        "table": COUNTERS,
        "at": number,
        "number": number,
        "epoch": key.epoch,
        "partition": key.partition,
        "source": key.source,
        "minute": key.minute,
        "received": counts.received,
        "stored": counts.stored,
        "duplicate": counts.duplicate,
        "dropped": counts.dropped,
        "dead": counts.dead,
        "off": counts.difference != 0,
    }
