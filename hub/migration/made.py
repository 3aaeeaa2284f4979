"""What becomes of one document: records for events.v1, or why there are none; and what was changed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from hub.edge.admit import clean_id
from hub.edge.repeatable import LARGEST_BYTES
from hub.errors import HubError, InvalidPayload
from hub.ids import derived
from hub.pipeline.past import ANEW, DONE
from hub.pipeline.taken_over import SOURCE
from schemas.codec import CodecError, encode_inbound
from schemas.records import TRACK, Event, Inbound, Track

ID_CHARS: Final = 256
OWN_SOURCE: Final = SOURCE
THEIR_SOURCE: Final = "@predecessor"
"""Event source of events that the predecessor made itself, such as visit-started."""
PREDECESSOR: Final = "predecessor"
"""In the context of events, and of sessions: what the predecessor made of them and this hub makes otherwise."""
EMPTY: Final = b"{}"
MISSHAPEN: Final = (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError)
"""What reading a document raises that is not shaped as its kind is: it is left, and keeps no other from being taken."""
_LONGEST_KEY: Final = 256
_encode: Final = msgspec.json.Encoder().encode


class Left(HubError):
    """A document cannot be taken; the words are the same for all of its kind, as they are counted."""


class Takeover(NamedTuple):
    """
    What all conversions of one takeover have in common.

    Attributes:
        installation: Its id, from which ids are made.
        task: Id of the task, which stands in the origin of its records.
        is_anew: Whether events are applied to profiles as new ones are.
        definitions_offset: Of the newest definition that this process has seen.
    """

    installation: str
    task: str
    is_anew: bool
    definitions_offset: int = -1


class Document(NamedTuple):
    """One as it was found. `within`: its index. `source`: its JSON object."""

    within: str
    id: str
    source: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As people find it again."""
        return f"{self.within}/{self.id}"


class Made(NamedTuple):
    """
    What becomes of a document.

    Attributes:
        event_id, time_ms: Of the event that is there once it is taken: by these it is known again.
        records: Each with its key, that of the event first.
        changed: What is another one here, in words that are the same for all of its kind.
    """

    event_id: str
    time_ms: int
    records: Sequence[tuple[str, Inbound]]
    changed: Sequence[str] = ()


def origin(takeover: Takeover, document: Document, *, is_anew: bool) -> str:
    """Of its records."""
    return f"{ANEW if is_anew else DONE}{takeover.task}:{document.name}"


def track(
    takeover: Takeover,
    document: Document,
    event: Event,
    *,
    source: str,
    profile_id: str,
    session_id: str,
    now_ms: int,
    request: Mapping[str, Any] | None = None,
    is_anew: bool = False,
) -> tuple[str, Inbound]:
    """
    The record of one event, with its key. It belongs to the profile that it names, whoever holds its session.

    Raises: Left: it is too large, or nobody can write it.
    """
    body: Track = {
        "session_id": session_id or None,
        "profile_less": not profile_id,
        "context": EMPTY,
        "properties": EMPTY,
        "options": b'{"static_profile_id":true}' if profile_id else EMPTY,
        "request": _encode(request) if request else EMPTY,
        "events": [event],
    }
    record: Inbound = {
        "id": derived("takeover", takeover.installation, event["id"]),
        "source": source,
        "profile_id": profile_id,
        "received_at_ms": now_ms,
        "definitions_offset": takeover.definitions_offset,
        "origin": origin(takeover, document, is_anew=is_anew),
        "body": (TRACK, body),
    }
    try:
        size = len(encode_inbound(record))
    except CodecError as exc:
        raise Left("it holds what no record can") from exc
    if size > LARGEST_BYTES:
        raise Left("it is larger than a record may be")
    return profile_id or record["id"], record


def event(id: str, type: str, time_ms: int, properties: Any, *, context: Any = None, tags: Sequence[str] = ()) -> Event:
    """An event of that id. Raises Left."""
    try:
        return {
            "id": id,
            "client_id": None,
            "type": type,
            "time_ms": time_ms,
            "properties": _encode(properties),
            "context": _encode(context) if context else EMPTY,
            "options": EMPTY,
            "tags": list(tags),
        }
    except (TypeError, OverflowError, UnicodeEncodeError) as exc:
        raise Left("it holds what is no JSON") from exc


def document_event(takeover: Takeover, document: Document, type: str, time_ms: int, properties: Any) -> Event:
    """The event that tells of a profile or session: another one as soon as the document is another one."""
    digest = hashlib.blake2b(_encode(document.source), digest_size=16).hexdigest()
    id = derived("takeover", takeover.installation, type, document_id(document), digest)
    return event(id, type, time_ms, properties)


def document_id(document: Document) -> str:
    """Raises Left: it has none that can be one here."""
    return usable_id(document.source.get("id") or document.id, "id")


def usable_id(found: Any, what: str) -> str:
    """Raises Left. Args: what: such as `profile id`, for people."""
    if not isinstance(found, str) or not found.strip():
        raise Left(f"it has no {what}")
    try:
        return clean_id(found, what, ID_CHARS)
    except InvalidPayload as exc:
        # in the same words whatever it is: they are counted
        raise Left(f"its {what} cannot be one here: it is too long, or has control characters") from exc


def ref(document: Mapping[str, Any], name: str) -> str:
    """The id of what a document refers to as `{"id": …}`; empty: nothing."""
    found = document.get(name)
    id = found.get("id") if isinstance(found, dict) else found
    return id.strip() if isinstance(id, str) else ""


def at(document: Any, *path: str) -> Any:
    """What is at a path; None: nothing."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def object_at(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object there; an empty one, if there is none."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def pruned(value: Any) -> Any:
    """Without what says nothing: null, empty objects, empty lists; None, if nothing is left."""
    if isinstance(value, dict):
        made = {key: below for key, item in value.items() if (below := pruned(item)) is not None}
        return made or None
    return None if value is None or value == [] else value


def plain_keys(value: Any) -> tuple[Any, bool]:
    """Objects whose keys can be fields here, and whether one was changed: no dots, none too long, none empty."""
    if not isinstance(value, dict):
        return value, False
    made, is_changed = {}, False
    for key, item in value.items():
        name = str(key).replace(".", "_")[:_LONGEST_KEY] or "_"
        below, is_other = plain_keys(item)
        is_changed |= is_other or name != key
        made[name] = below
    return made, is_changed
