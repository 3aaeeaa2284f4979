"""All that the hub knows of a person, as a ZIP file that is made while it is sent."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import RawIOBase
from typing import Any, Final, Protocol

import msgspec

from hub.api.flow_runs import whole
from hub.conditions.ast import Constant
from hub.conditions.written import written_operand
from hub.pipeline.documents import iso
from hub.pipeline.letter_owner import Looking, is_about
from hub.store.documents import body_view
from hub.store.port import FlowRuns, Kind, Reading
from hub.store.stays import is_theirs, way_of

PAGE: Final = 200
"""Documents in memory at once."""
CHUNK_BYTES: Final = 65_536
QUERY_CHARS: Final = 8_000
"""Of ids in one query: less than half of what it may have, as some characters are written as two."""
_SAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_README: Final = """\
All that this hub knows of one person, as of {at}.

profile.json          the profile, with all fields and how each came about
identity.json         its ids, identifiers (hashes: the values themselves are not kept apart) and merges
sessions.ndjson       visits, one JSON document a line
events.ndjson         every event, with what was sent and what it changed, one JSON document a line
flow-runs.ndjson      what flows did because of the person, with their traces, one JSON document a line
dead-letters.ndjson   what could not be taken and names the person, with the original bytes
manifest.json         when this was made, and how many documents are in each file

What is not in here: what the hub has sent to other systems (its destinations), what lies in its Kafka topics until they
delete it (docs/privacy.md says how long), and events that came without a profile in no session of the person's.
"""


class Store(Reading, FlowRuns, Protocol):
    """What is asked of the store."""


class _Pipe(RawIOBase):
    """What a ZIP writer writes to, and takes nothing back from."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self.size += len(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts, self.size = self._parts, [], 0
        return b"".join(parts)


class Export:
    """Iterate once, on one thread: the file in pieces. Holds a page of documents, whatever there are."""

    def __init__(
        self, store: Store, profile: dict[str, Any], identity: dict[str, Any], by: Looking, now_ms: int
    ) -> None:
        """Args: profile: its document. identity: as `/profiles/{id}/identity` gives it. now_ms: for the manifest."""
        self._store = store
        self._profile = profile
        self._identity = identity
        self._by = by
        self._now_ms = now_ms

    def __iter__(self) -> Iterator[bytes]:
        """Raises Unavailable: in the middle of it, so that the file is cut off and cannot be opened."""
        pipe = _Pipe()
        counts: dict[str, int] = {}
        at = iso(self._now_ms)
        with zipfile.ZipFile(pipe, "w") as file:
            file.writestr(self._member("README.txt"), _README.format(at=at))
            file.writestr(self._member("profile.json"), _pretty(self._profile))
            file.writestr(self._member("identity.json"), _pretty(self._identity))
            for name, documents in self._lists().items():
                counts[name] = 0
                with file.open(self._member(f"{name}.ndjson"), "w", force_zip64=True) as member:
                    for document in documents:
                        member.write(msgspec.json.encode(document) + b"\n")
                        counts[name] += 1
                        if pipe.size >= CHUNK_BYTES:
                            yield pipe.take()
            manifest = {"made_at": at, "profile": self._profile["id"], "ids": self._profile["ids"], "documents": counts}
            file.writestr(self._member("manifest.json"), _pretty(manifest))
        yield pipe.take()

    def _member(self, name: str) -> zipfile.ZipInfo:
        at = datetime.fromtimestamp(self._now_ms / 1000, UTC)
        info = zipfile.ZipInfo(name, (at.year, at.month, at.day, at.hour, at.minute, at.second))
        info.compress_type = zipfile.ZIP_DEFLATED
        return info

    def _lists(self) -> Mapping[str, Iterable[dict[str, Any]]]:
        return {
            "sessions": self._found("sessions", f"profile.id = {_value(self._profile['id'])}"),
            "events": self._events(),
            "flow-runs": self._runs(),
            "dead-letters": self._letters(),
        }

    def _events(self) -> Iterator[dict[str, Any]]:
        """Wherever they lie, without those of others that lie under the person's ids; and those of their sessions."""
        person = self._store.person(self._profile["id"])
        hosts = dict.fromkeys(self._store.survivor(id) for id in person.hosts)
        for id in (self._profile["id"], *hosts):
            for one in self._found("events", f"profile.id = {_value(id)}"):
                if is_theirs(person, one["profile"]["id"], *way_of(one)):
                    yield one
        for some in _few(person.sessions):
            yield from self._found("events", f"session.id IN [{', '.join(map(_value, some))}] AND profile.id IS NULL")

    def _runs(self) -> Iterator[dict[str, Any]]:
        yield from self._runs_of(profile_id=self._profile["id"])
        for some in _few(self._store.person(self._profile["id"]).sessions):
            yield from self._runs_of(sessions=some)

    def _runs_of(self, *, profile_id: str = "", sessions: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        before: int | None = None
        while True:
            runs, before = self._store.list_flow_runs(PAGE, before, profile_id=profile_id, sessions=sessions)
            yield from (whole(run) for run in runs)
            if before is None:
                return

    def _found(self, kind: Kind, query: str) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = self._store.search(kind, query, PAGE, cursor)
            yield from page.items
            cursor = page.next
            if cursor is None:
                return

    def _letters(self) -> Iterator[dict[str, Any]]:
        person = self._store.person(self._profile["id"])
        seq = 0
        while letters := self._store.letters_after(seq, PAGE):
            seq = letters[-1].seq
            for one in letters:
                if is_about(person, stage=one.stage, key=one.key, body=one.body, by=self._by):
                    document = self._store.get("dead-letters", one.id)
                    if document is not None:
                        yield {**document, **body_view(one.body, document["body_size"], most=len(one.body))}


def file_name(id: str) -> str:
    """Of the export of a profile: nothing in it that a header or a shell would stumble over."""
    return f"{_SAFE.sub('-', id)[:64] or 'profile'}.zip"


def _few(ids: Iterable[str]) -> Iterator[list[str]]:
    """As many of them at a time as one query may name, and its text hold."""
    some: list[str] = []
    chars = 0
    for id in filter(None, ids):
        if some and (len(some) == PAGE or chars + len(id) > QUERY_CHARS):
            yield some
            some, chars = [], 0
        some.append(id)
        chars += len(id)
    if some:
        yield some


def _value(id: str) -> str:
    """As a query has it: a star in an id stands for itself."""
    return written_operand(Constant(id, id))


def _pretty(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2)
