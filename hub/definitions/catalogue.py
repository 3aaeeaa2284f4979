"""The definitions that a process holds in memory, as of one offset of definitions.v1."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, NamedTuple, TypeVar, cast

import msgspec
import structlog
from pydantic import ValidationError

from hub.definitions.kinds import KINDS, Definition
from hub.model import FOREVER_MS

log: Final = structlog.get_logger()
T = TypeVar("T")
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, ValidationError, RecursionError)


class Entry(NamedTuple):
    """One definition and the offset of the record that set it, which is its version."""

    spec: Definition
    version: int
    updated_at_ms: int


class Applied(NamedTuple):
    """A record that was taken in. `spec`: its document, readable to this version or not; None: it deletes."""

    kind: str
    id: str
    version: int
    at_ms: int
    spec: Any


class _Document(msgspec.Struct):
    """What a record holds. `updated_at_ms`: milliseconds since 1970."""

    spec: Any
    updated_at_ms: Annotated[int, msgspec.Meta(ge=0, le=FOREVER_MS)]


_read: Final = msgspec.json.Decoder(_Document).decode


class Catalogue:
    """
    Definitions by kind and id. One thread applies records; any thread reads.

    A lookup is two dict reads on a snapshot that is replaced, never changed, so readers need no lock.
    """

    def __init__(self, identity_key: bytes = b"") -> None:
        """Starts empty, at offset -1. Args: identity_key: what this hub hashes identifiers with, 64 bytes at most."""
        self.identity_key = identity_key
        self._compiled: dict[tuple[str, Callable[..., Any]], tuple[object, Any]] = {}
        self._kinds: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        self._moved = threading.Condition()
        self._listeners: list[Callable[[], None]] = []
        self._recorders: list[Callable[[Applied], None]] = []
        self.offset = -1
        """Offset of the newest record that is in here; -1 for none."""

    def entry(self, kind: str, id: str) -> Entry | None:
        """One definition, or None."""
        return self._kinds[kind].get(id)

    def entries(self, kind: str) -> Mapping[str, Entry]:
        """All of a kind, by id."""
        return self._kinds[kind]

    def compiled(self, kind: str, compile: Callable[[Mapping[str, Entry]], T]) -> T:
        """
        What `compile` makes of all of a kind, made anew only when one of them has changed.

        Args: compile: a function of a module: what it gave is kept for as long as the catalogue.
        """
        entries = self._kinds[kind]
        seen = self._compiled.get((kind, compile))
        if seen is None or seen[0] is not entries:
            seen = self._compiled[kind, compile] = (entries, compile(entries))
        return cast("T", seen[1])

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` (on the applying thread) after each change."""
        self._listeners.append(listener)

    def on_record(self, recorder: Callable[[Applied], None]) -> None:
        """Call `recorder` (on the applying thread) with each record, before it is in force."""
        self._recorders.append(recorder)

    def apply(self, key: bytes, value: bytes | None, offset: int, at_ms: int = 0) -> None:
        """
        Take one record of definitions.v1 in; one that cannot be read is logged and leaves the old definition.

        Args: at_ms: when it was written, milliseconds since 1970, if it does not say so itself.
        """
        kind, _, id = key.decode(errors="replace").partition("/")
        if kind in KINDS and id:
            self._record(kind, id, value, offset, at_ms)
            self._set(kind, id, value, offset)
        else:
            log.warning("definition.unknown_kind", kind=kind, offset=offset)
        with self._moved:
            self.offset = offset
            self._moved.notify_all()
        for listener in self._listeners:
            listener()

    def wait_for(self, offset: int, timeout_s: float) -> bool:
        """Whether the record at `offset` is in here, after at most `timeout_s` seconds."""
        with self._moved:
            return self._moved.wait_for(lambda: self.offset >= offset, timeout_s)

    def _record(self, kind: str, id: str, value: bytes | None, offset: int, at_ms: int) -> None:
        if not self._recorders:
            return
        spec = None
        if value:
            try:
                document = _read(value)
            except _UNREADABLE:
                return  # it comes into force nowhere
            spec, at_ms = document.spec, document.updated_at_ms
        for recorder in self._recorders:
            recorder(Applied(kind, id, offset, at_ms, spec))

    def _set(self, kind: str, id: str, value: bytes | None, offset: int) -> None:
        changed = dict(self._kinds[kind])
        if not value:
            changed.pop(id, None)
        else:
            try:
                document = _read(value)
                spec = KINDS[kind].model_validate(document.spec)
                changed[id] = Entry(spec, offset, document.updated_at_ms)  # type: ignore[arg-type]
            except _UNREADABLE as exc:
                log.error("definition.unreadable", kind=kind, id=id, offset=offset, error=str(exc))
                return
        self._kinds = {**self._kinds, kind: changed}
