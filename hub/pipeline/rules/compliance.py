"""Data compliance: what may not be kept of an event without its customer's consent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple, cast

import msgspec

from hub.definitions.kinds import DataCompliance
from hub.edge.paths import found_at
from hub.pipeline.rules.hand import NO_CONSENT, Did, Hand, Part
from hub.pipeline.rules.scope import scope

KIND: Final = "data-compliance"
HASHED: Final = "hash:"
"""How a value begins that stands in the place of another."""
_HASH: Final = re.compile(f"{HASHED}[0-9a-f]{{32}}")


class Guarded(NamedTuple):
    """One field: part of the event and the keys below it."""

    name: str
    part: Part
    path: tuple[str, ...]
    consents: tuple[str, ...]
    is_hashed: bool


class ComplianceStep:
    """A definition of what needs consent, compiled."""

    def __init__(self, id: str, definition: DataCompliance, key: bytes) -> None:
        """Once per change of the definition. Args: key: what values are hashed with, 64 bytes at most."""
        self.scope = scope(KIND, id, definition)
        self._key = key
        self._fields = []
        for field in definition.fields:
            part, *path = field.event.split(".")
            self._fields.append(
                Guarded(field.event, cast("Part", part), tuple(path), tuple(field.consents), field.action == "hash")
            )

    def guard(self, hand: Hand) -> None:
        """Take out of the event what its profile has not agreed to."""
        if not self.scope.covers(hand):
            return
        given = {} if hand.profile is None else hand.profile.get("consents", {})
        for field in self._fields:
            missing: Sequence[str] = field.consents
            if given:
                missing = [id for id in missing if not is_given(given.get(id), hand.received_at)]
            if missing:
                self._take_out(field, hand, missing)

    def _take_out(self, field: Guarded, hand: Hand, missing: Sequence[str]) -> None:
        said = Did(
            self.scope.rule,
            "hashed" if field.is_hashed else "removed",
            field.name,
            f"no consent: {', '.join(missing)}",
        )
        without = self._without(_part(hand, field.part), field)
        if without is not None:
            hand.put(field.part, without)
            hand.note(said, NO_CONSENT)
        around = self._without(hand.around, field) if field.part == "context" else None
        if around is not None:
            hand.around = around
            hand.note(msgspec.structs.replace(said, field=f"payload.{field.name}"), NO_CONSENT)

    def _without(self, whole: Mapping[str, Any], field: Guarded) -> Any:
        """The same without the field's value, or with its hash; None if there is nothing to take out."""
        value = found_at(whole, field.path)
        if value is None or (field.is_hashed and _is_hashed(value)):
            return None
        return _replaced(whole, field.path, f"{HASHED}{_hash(value, self._key)}" if field.is_hashed else None)


def as_sent(document: Mapping[str, Any]) -> dict[str, Any]:
    """`properties` and `context` of a stored event before it was reshaped, without what was hashed or taken out."""
    sent: dict[str, Any] = {part: document[part] for part in ("properties", "context")}
    sent.update(document.get("raw", {}))
    for did in document["outcome"].get("rules", ()):
        if did["did"] == "hashed":
            part, *path = did["field"].split(".")
            if part in sent:
                sent[part] = _replaced(sent[part], tuple(path), None)
    return sent


def is_given(consent: Any, at: str) -> bool:
    """
    Whether a consent holds. What is not understood is none.

    Args:
        consent: What the profile has: true, or an object, with `granted` and, in `revoke`, the time when it ends.
        at: RFC 3339.
    """
    if type(consent) is not dict:
        return consent is True
    if consent.get("granted", True) is not True:
        return False
    end = consent.get("revoke")
    if end is None:
        return True
    try:
        return datetime.fromisoformat(at) < datetime.fromisoformat(end)
    except (TypeError, ValueError):
        return False


def _part(hand: Hand, part: Part) -> Mapping[str, Any]:
    if part == "properties":
        return hand.properties
    return hand.context if part == "context" else hand.client.document


def _is_hashed(value: Any) -> bool:
    return type(value) is str and value.startswith(HASHED) and _HASH.fullmatch(value) is not None


def _hash(value: Any, key: bytes) -> str:
    text = value.encode() if type(value) is str else msgspec.json.encode(value, order="sorted")
    return blake2b(text, digest_size=16, key=key).hexdigest()


def _replaced(value: Any, path: tuple[str, ...], new: str | None) -> Any:
    """The same with another value at a path, where there is one; None takes it out, out of a list puts null there."""
    key, rest = path[0], path[1:]
    copy: Any
    if isinstance(value, list):
        copy, place = list(value), int(key)
        copy[place] = _replaced(value[place], rest, new) if rest else new
        return copy
    copy = dict(value)
    if rest:
        copy[key] = _replaced(value[key], rest, new)
    elif new is None:
        del copy[key]
    else:
        copy[key] = new
    return copy
