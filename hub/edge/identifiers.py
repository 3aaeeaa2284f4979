"""Which identifiers does an event carry? Normalised, then hashed under the hub's own key."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from hub.definitions.kinds import IdentificationPoint
from hub.edge.paths import value_at

ANY: Final = "*"
PSEUDONYM: Final = "pseudonym:"
"""How a value begins that `hub.edge.pseudonyms` has put in the place of another; then its label, and its hash."""
MAILTO: Final = "mailto:"
_HASHED: Final = re.compile(rf"{PSEUDONYM}(?P<label>.+):(?P<hash>[0-9a-f]{{32}})")
MAX_CHARS: Final = 1_024
"""Longest identifier: beyond, it is some text, and hashing it would join nobody."""


class Identifier(NamedTuple):
    """What tells one person. `hash`: 32 hex digits, of the normalised value. `label`: `email`, `phone`, `id:crm`."""

    hash: str
    label: str


class Line(NamedTuple):
    """One identifier of an identification point, its path cut into keys. `point` is the definition's id."""

    point: str
    source: str
    path: tuple[str, ...]
    kind: str
    name: str
    region: str

    @property
    def written(self) -> str:
        """The path as people write it."""
        return ".".join(self.path)


class Fault(NamedTuple):
    """Why a value is no identifier."""

    point: str
    field: str
    detail: str


class NotIdentifying(ValueError):
    """The value identifies nobody; the message says why, without the value."""


class Points:
    """The identification points, by event type. Compiled once per change of a definition."""

    def __init__(self, definitions: Iterable[tuple[str, IdentificationPoint]] = ()) -> None:
        """Args: definitions: (id, definition); disabled ones count for nothing."""
        enabled = sorted((id, point) for id, point in definitions if point.enabled)
        self._any = _lines(enabled, ANY)
        types = {point.event_type for _, point in enabled}
        self._by_type = {type: _lines(enabled, type, ANY) for type in types}
        self.regions = sorted({field.region for _, point in enabled for field in point.identifiers if field.region})
        """Whose phone numbers come without a +, as ISO 3166-1 alpha-2."""

    def of(self, event_type: str) -> Sequence[Line]:
        """The lines that apply to events of a type."""
        return self._by_type.get(event_type, self._any)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._by_type)


def identifiers(
    lines: Iterable[Line], source: str, event: Mapping[str, Any], key: bytes
) -> tuple[list[Identifier], list[Fault]]:
    """
    The identifiers of an event, each once, in the order of the lines; a value that is missing or null is none.

    Args:
        source: Event source id.
        event: `properties` and `context`.
        key: Secret of 16 to 64 bytes: without it nobody can find out by trying which address a hash is of.
    """
    found: dict[Identifier, None] = {}
    faults: list[Fault] = []
    for line in lines:
        value = None if line.source and line.source != source else value_at(event, line.path)
        if value is None:
            continue
        try:
            found[_identifier(line.kind, line.name, line.region, _text(value), key)] = None
        except NotIdentifying as exc:
            faults.append(Fault(line.point, line.written, str(exc)))
    return list(found), faults


def identifier_hash(kind: str, name: str, region: str, text: str, key: bytes) -> str:
    """The hash of one value, as `identifiers` has it. Raises NotIdentifying."""
    return _identifier(kind, name, region, text, key).hash


def normalise(kind: str, region: str, text: str) -> str:
    """
    The one spelling of an identifier.

    Args: kind: email, phone or id. region: of a phone, as ISO 3166-1 alpha-2, or empty.

    Raises: NotIdentifying.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    if not text or len(text) > MAX_CHARS:
        raise NotIdentifying("an identifier has 1 to 1,024 characters")
    if kind == "email":
        return _email(text)
    return _phone(text, region) if kind == "phone" else text


def _email(text: str) -> str:
    scheme = text[: len(MAILTO)]
    name, at, domain = (text[len(MAILTO) :] if scheme.lower() == MAILTO else text).rpartition("@")
    if not (name and at and domain) or any(character.isspace() for character in text) or "@" in name:
        raise NotIdentifying("not an e-mail address")
    try:
        domain = domain.rstrip(".").encode("idna").decode().lower()
    except UnicodeError as exc:
        raise NotIdentifying("not an e-mail address: its domain is no domain") from exc
    # in theory upper and lower case are two mailboxes; no provider has that
    return f"{name.lower()}@{domain}"


def _phone(text: str, region: str) -> str:
    import phonenumbers  # noqa: PLC0415 - sixty modules, which most processes never need

    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException as exc:
        raise NotIdentifying("not a phone number, or one without + and no region is set") from exc
    if not phonenumbers.is_possible_number(number):
        raise NotIdentifying("not a possible phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@lru_cache(maxsize=65_536)
def _identifier(kind: str, name: str, region: str, text: str, key: bytes) -> Identifier:
    label = f"{kind}:{name}" if name else kind
    if text.startswith(PSEUDONYM):
        hashed = _HASHED.fullmatch(text)
        if hashed is None or hashed["label"] != label:
            raise NotIdentifying("a pseudonym of another kind")
        return Identifier(hashed["hash"], label)
    value = normalise(kind, region, text)
    digest = blake2b(f"{label}\x1f{value}".encode(), key=key, digest_size=16).hexdigest()
    return Identifier(digest, label)


def _lines(points: Sequence[tuple[str, IdentificationPoint]], *types: str) -> list[Line]:
    return [
        Line(id, point.source, tuple(field.event.split(".")), field.kind, field.name, field.region)
        for id, point in points
        if point.event_type in types
        for field in point.identifiers
    ]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise NotIdentifying("an identifier is a text or a whole number")
