"""Values that nobody shall know: a hash that only this hub can make goes onto the log in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, cast

import msgspec

from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Pseudonym
from hub.edge.identifiers import ANY, PSEUDONYM, NotIdentifying, identifier_hash
from schemas.records import Event, Track

TEXT: Final = "text"
"""Label of a value that is none of the wanted kind: it is hashed as it is."""
_PARTS: Final[tuple[Literal["properties", "context"], ...]] = ("properties", "context")
_EMPTY: Final = b"{}"


class Place(NamedTuple):
    """Where in an event, and how the value there is normalised."""

    source: str
    path: tuple[str, ...]
    kind: str
    name: str
    region: str


class Pseudonyms:
    """The definitions, by event type. Compiled once per change."""

    def __init__(self, definitions: Mapping[str, Pseudonym]) -> None:
        """Args: definitions: by id; disabled ones count for nothing."""
        enabled = [definitions[id] for id in sorted(definitions) if definitions[id].enabled]
        self._any = _places(enabled, ANY)
        types = {one.event_type for one in enabled}
        self._by_type = {type: _places(enabled, type, ANY) for type in types}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._by_type)

    def apply(self, track: Track, source: str, key: bytes) -> None:
        """
        Change its events in place, and what it says around them: that counts for each of them, and for its session.

        Args: source: event source id. key: as `identifiers` takes it.
        """
        around: dict[Place, None] = {}
        for event in track["events"]:
            places = [place for place in self._by_type.get(event["type"], self._any) if place.source in ("", source)]
            _hide(event, places, key)
            around.update(dict.fromkeys(places))
        _hide(track, around, key)


def compiled_pseudonyms(entries: Mapping[str, Entry]) -> Pseudonyms:
    """Those of a catalogue."""
    return Pseudonyms({id: cast("Pseudonym", entry.spec) for id, entry in entries.items()})


def _places(definitions: Sequence[Pseudonym], *types: str) -> list[Place]:
    return [
        Place(one.source, tuple(field.event.split(".")), field.kind, field.name, field.region)
        for one in definitions
        if one.event_type in types
        for field in one.fields
    ]


def _hide(parts: Event | Track, places: Iterable[Place], key: bytes) -> None:
    """What is at the places in `properties` and `context`."""
    for part in _PARTS:
        own = [place for place in places if place.path[0] == part]
        if own and parts[part] != _EMPTY:
            document = msgspec.json.decode(parts[part])
            for place in own:
                _replace(document, place, key)
            parts[part] = msgspec.json.encode(document)


def _replace(document: Any, place: Place, key: bytes) -> None:
    """What is at the place, if there is something."""
    *way, last = place.path[1:]
    for step in way:
        document = _below(document, step)
    value = _below(document, last)
    if value is None:
        return
    token = _token(value, place, key)
    if isinstance(document, MutableMapping):
        document[last] = token
    else:
        document[int(last)] = token


def _below(document: Any, step: str) -> Any:
    if isinstance(document, MutableMapping):
        return document.get(step)
    if isinstance(document, MutableSequence) and step.isdecimal() and int(step) < len(document):
        return document[int(step)]
    return None


def _token(value: Any, place: Place, key: bytes) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if text.startswith(PSEUDONYM):
        return text  # it is one already: the message came a second time, or from another hub with the same key
    try:
        label = f"{place.kind}:{place.name}" if place.name else place.kind
        return f"{PSEUDONYM}{label}:{identifier_hash(place.kind, place.name, place.region, text, key)}"
    except NotIdentifying:
        return f"{PSEUDONYM}{TEXT}:{identifier_hash('id', TEXT, '', _short(text), key)}"


def _short(text: str) -> str:
    """What can be hashed as an id: neither empty nor very long."""
    return blake2b(text.encode(), digest_size=32).hexdigest()
