"""Definitions that are on the log and cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hub.api.definitions import Validator
from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Bridge
from hub.doctor.finding import FAIL, OK, WARN, Finding
from hub.errors import HubError
from hub.log.follower import Follower
from hub.settings import Kafka


class Noting(Catalogue):
    """A catalogue that knows what it could not read. Attributes: unread: kind/id and the version, by kind and id."""

    def __init__(self) -> None:
        super().__init__()
        self.unread: dict[tuple[str, str], int] = {}

    def apply(self, key: bytes, value: bytes | None, offset: int, at_ms: int = 0) -> None:
        """See Catalogue."""
        super().apply(key, value, offset, at_ms)
        kind, _, id = key.decode(errors="replace").partition("/")
        self.unread.pop((kind, id), None)
        if value and not self._has(kind, id, offset):
            self.unread[kind, id] = offset

    def _has(self, kind: str, id: str, offset: int) -> bool:
        try:
            entry = self.entry(kind, id)
        except KeyError:  # a kind of a newer version
            return False
        return entry is not None and entry.version == offset


def read(kafka: Kafka, namespace: str) -> Noting:
    """What is on definitions.v1. Raises Unavailable."""
    catalogue = Noting()
    with Follower(kafka, namespace, catalogue):
        return catalogue


def definitions(catalogue: Noting, kinds: list[str], validators: Mapping[str, Validator]) -> Iterator[Finding]:
    """Args: kinds: all there are. validators: by kind, what its types do not say."""
    broken = 0
    for (kind, id), version in sorted(catalogue.unread.items()):
        broken += 1
        why = f"version {version} cannot be read by this release; the one before is in force, if there is one"
        yield Finding(FAIL, f"{kind} {id}", why, "Save it anew, or update this process")
    total = 0
    for kind in kinds:
        for id, entry in catalogue.entries(kind).items():
            total += 1
            try:
                if kind in validators:
                    validators[kind](entry.spec)
            except (HubError, ValueError) as exc:
                broken += 1
                why = f"version {entry.version} cannot be used: {exc}"
                yield Finding(FAIL, f"{kind} {id}", why, f"Save it with what is right, or delete it (`hub {kind}`)")
                continue
            if isinstance(entry.spec, Bridge) and catalogue.entry("source", entry.spec.source) is None:
                broken += 1
                why = f"its event source {entry.spec.source!r} is not there: all that it takes is refused"
                yield Finding(WARN, f"{kind} {id}", why, "Save that source, or name another one")
    if not broken:
        yield Finding(OK, "definitions", f"{total} are there, and can be used")
