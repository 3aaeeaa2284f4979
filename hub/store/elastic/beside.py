"""The next schema of a store, made beside it: copied, changed, compared, and then in force, by one compare-and-set."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

import msgspec
from msgspec.structs import replace

from hub.errors import Refused, Unavailable
from hub.search_engine import Layout
from hub.store.elastic import generations, indices, schema
from hub.store.elastic.client import LINE, Action, Engine, Key
from hub.store.elastic.facts import facts
from hub.store.elastic.generations import Generation, Held, Line, LineDocument
from hub.store.elastic.store import ElasticStore
from hub.store.port import Kind
from hub.store.sqlite.beside import Step, Tell
from hub.store.sqlite.verify import Differs, check_answers

ROOM: Final = 1.5
"""So many times the size of the old indices is what the new ones may need while they are made."""
ROOM_BYTES: Final = 16 * 1024 * 1024
PAGE_BYTES: Final = 4 * 1024 * 1024
"""About so many bytes of documents are read at once."""
_MOST: Final = 1_000
_MASK: Final = 2**64 - 1
_encode: Final = msgspec.json.Encoder(order="deterministic").encode

Point: TypeAlias = Literal["made", "held", "copied", "compared", "flipped"]
POINTS: Final[tuple[Point, ...]] = (
    "made",  # the new indices are there, and empty
    "held",  # nobody writes the old ones any more
    "copied",  # the new ones have all of it, in the new schema
    "compared",  # and are the same store
    "flipped",  # done
)


class Outlook(NamedTuple):
    """
    What an upgrade would be about.

    `path`: the generation in force. `schema`, `wanted`: its version and the hub's. `is_instant`: whether the hub does
    it by itself, in place, when it starts. `needs_bytes`, `free_bytes`: on all data nodes together.
    """

    path: str
    schema: int
    wanted: int
    is_instant: bool
    bytes: int
    needs_bytes: int
    free_bytes: int


class Upgraded(NamedTuple):
    """
    What an upgrade has done.

    `old`, `new`: the generations. `rows`: by index without the generation, documents of the new one. `bytes`: its size.
    `held_s`: how long writers had to wait, seconds.
    """

    old: str
    new: str
    from_schema: int
    to_schema: int
    rows: dict[str, int]
    bytes: int
    took_s: float
    held_s: float


def look(engine: Engine, steps: schema.Steps = schema.STEPS) -> Outlook:
    """
    What there is to do. Changes nothing.

    Raises: Unavailable: there is no store, or no answer. Refused: it is newer than this hub.
    """
    now = LineDocument(engine).read().in_force
    wanted = schema.wanted(steps)
    if now.schema > wanted:
        generations.require(engine, now, steps)  # raises
    old = engine.at(now.name)
    if not indices.aliases(old):
        raise Unavailable("store", f"{now.name}-* is not there yet: the collector makes it when it starts")
    size = size_of(old)
    return Outlook(
        path=now.name,
        schema=now.schema,
        wanted=wanted,
        is_instant=schema.is_instant(steps[now.schema - 1 :]),
        bytes=size,
        needs_bytes=int(size * ROOM) + ROOM_BYTES,
        free_bytes=_free(engine),
    )


def is_due(engine: Engine, steps: schema.Steps = schema.STEPS) -> bool:
    """
    Whether an upgrade has to come before somebody writes; also, whether somebody is at it, or was and is dead.

    Raises: Unavailable. Refused: the store is newer.
    """
    line = LineDocument(engine).read()
    if line.lease is not None:
        return True
    if line.in_force.schema > schema.wanted(steps):
        generations.require(engine, line.in_force, steps)
    if schema.is_instant(steps[line.in_force.schema - 1 :]):
        return False
    return bool(indices.aliases(engine.at(line.in_force.name)))  # else it is new


def upgrade(
    url: str,
    engine: Engine,
    layout: Layout,
    *,
    now_ms: Callable[[], int],
    tell: Tell = lambda _: None,
    steps: schema.Steps = schema.STEPS,
    is_trial: bool = False,
    at: Callable[[Point], None] = lambda _: None,
) -> Upgraded | None:
    """
    Bring the store to this schema, in a generation of its own beside the old one, which is kept.

    Whoever else writes the store waits from the beginning to the end, and can write it no more after it; whoever reads
    it does so all along. A process that dies leaves indices that are in no generation; the next one removes them and
    begins again, or whoever waits for it goes on with the old ones. Several at once: one does it, the others wait.

    Args:
        layout: of the new indices. now_ms: the clock. at: called at each of POINTS.
        is_trial: do all but the last step, keep nobody waiting, and remove the new indices.

    Returns: None: there was nothing to do.

    Raises:
        Unavailable: no store, no room, the cluster takes nothing, or somebody wrote meanwhile. Nothing has changed.
        Refused: newer than this hub; or the new indices were not the same.
    """
    wanted = schema.wanted(steps)
    if is_trial:
        before = look(engine, steps)
        if before.schema == wanted:
            return None
        return _Making(url, engine, before, steps, _Watch(tell, at)).make(layout, None, now_ms)
    with generations.leased(engine, lambda what: tell(Step(what))) as held:
        before = look(engine, steps)
        if before.schema == wanted:
            return None
        return _Making(url, engine, before, steps, _Watch(tell, at)).make(layout, held, now_ms)


class _Watch(NamedTuple):
    """As of `upgrade`."""

    tell: Tell
    at: Callable[[Point], None]


class _Making:
    """One new generation."""

    def __init__(
        self,
        url: str,
        engine: Engine,
        before: Outlook,
        steps: schema.Steps,
        watch: _Watch,
    ) -> None:
        self._url = url
        self._before = before
        self._steps = steps
        self._tell, self._at = watch
        self._old = engine.at(before.path)
        # of each try its own: whoever was taken for dead and is not spoils nothing
        name = f"{engine.namespace}-{LINE}.{before.wanted}.{secrets.token_hex(3)}"
        self._new = engine.at(name)

    def make(self, layout: Layout, held: Held | None, now_ms: Callable[[], int]) -> Upgraded:
        """Args: held: None: it is a trial. Raises as `upgrade` does; then nothing is left of it."""
        require_room(self._before)
        began = time.monotonic()
        is_done = False
        try:
            indices.prepare(self._new, layout)
            self._at("made")
            if held is not None:
                self._tell(Step("waiting for what is being written"))
                generations.block(self._old)
            self._at("held")
            marks = _marks(self._old)
            copies = [self._copy(name, marks, held) for name in self._names()]
            self._at("copied")
            for one in copies:
                self._compare(one, is_exact=held is not None)
            self._ask()
            self._at("compared")
            size = size_of(self._new)
            if held is not None:
                self._require_same(marks)
                held.change(partial(self._flipped, at_ms=now_ms()))
                is_done = True
                self._at("flipped")
        except Differs as exc:
            raise Refused(
                "store",
                f"what was made of {self._before.path}-* is not the same ({exc}), so it was thrown away, and "
                f"{self._before.path}-* stays as it was. This is a fault of the hub's, or of the cluster's: please "
                "report it, and go on with the release before",
            ) from exc
        finally:
            if not is_done:
                indices.remove(self._new)
        took_s = time.monotonic() - began
        return Upgraded(
            old=self._before.path,
            new=self._new.generation,
            from_schema=self._before.schema,
            to_schema=self._before.wanted,
            rows={one.name: one.written for one in copies},
            bytes=size,
            took_s=took_s,
            held_s=0.0 if held is None else took_s,
        )

    def _names(self) -> list[str]:
        """Of the old indices, without the generation."""
        return sorted(name.removeprefix(f"{self._old.generation}-") for name in indices.aliases(self._old))

    def _copy(self, name: str, marks: Mapping[str, int], held: Held | None) -> _Copy:
        self._old.refresh(name)  # what was written is found by searches
        if name not in indices.FIXED:
            self._new.make_index(name)
        kind = indices.EVENTS if name.startswith(f"{indices.EVENTS}-") else name
        changes = schema.changes(self._steps[self._before.schema - 1 :], kind)
        has_facts = "facts" in indices.COLUMNS.get(kind, {})
        total, copy = self._old.count(name, {"match_all": {}}), _Copy(name)
        for page in pages(self._old, name, until=marks):
            actions = []
            for hit in page:
                copy.read += 1
                source: dict[str, Any] | None = hit["_source"]
                for change in changes:
                    source = change(source) if source is not None else None
                if source is None:
                    continue
                copy.add(hit["_id"], source)
                if has_facts and "doc" in source:
                    # no source has them: they are made of the document, as for every write
                    source = {**source, "facts": facts(msgspec.json.decode(source["doc"]), cast("Kind", kind))}
                actions.append(Action("index", name, Key(hit["_id"]), source, version=hit["_version"]))
            if conflicts := self._new.bulk(actions):
                raise Differs(f"{name}/{conflicts[0].id} was there already")
            if held is not None:
                held.check()
            self._tell(Step(f"copying {name}", copy.read, max(total, copy.read)))
        return copy

    def _compare(self, copy: _Copy, *, is_exact: bool) -> None:
        """Args: is_exact: nobody has written the old one since it was copied."""
        self._tell(Step(f"comparing {copy.name}"))
        if is_exact:
            _same(f"documents of {copy.name}", self._old.count(copy.name, {"match_all": {}}), copy.read)
        self._new.refresh(copy.name)
        _same(f"documents of the new {copy.name}", copy.written, self._new.count(copy.name, {"match_all": {}}))
        found = _Copy(copy.name)
        for page in pages(self._new, copy.name):
            for hit in page:
                found.add(hit["_id"], hit["_source"])
            self._tell(Step(f"comparing {copy.name}", found.written, max(copy.written, found.written)))
        _same(f"ids and contents of {copy.name}", copy.digest, found.digest)

    def _ask(self) -> None:
        self._tell(Step("asking the new indices"))
        new, readonly = self._new, True
        with closing(ElasticStore(self._url, new.namespace, readonly=readonly, generation=new.generation)) as store:
            check_answers(store)

    def _require_same(self, marks: dict[str, int]) -> None:
        """Raises Unavailable: something was written, though nobody could."""
        generations.block(self._old)
        if _marks(self._old) != marks:
            raise Unavailable(
                "store",
                f"somebody took index.blocks.write from {self._old.generation}-* and wrote there while it was copied: "
                "nothing was changed. Run it again",
            )

    def _flipped(self, line: Line, at_ms: int) -> Line:
        before = line.in_force
        if (before.name, before.schema) != (self._before.path, self._before.schema):
            raise Unavailable("store", "another process has upgraded the store meanwhile")
        after = [replace(one, role="kept", at_ms=at_ms) if one is before else one for one in line.generations]
        new = Generation(self._new.generation, self._before.wanted, "in force")
        return Line([*after, new])


class _Copy:
    """What was read, and what was written of it; `digest`: over ids and contents, in whatever order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.read = self.written = self.digest = 0

    def add(self, id: str, source: dict[str, Any]) -> None:
        self.written += 1
        raw = blake2b(_encode([id, source]), digest_size=8).digest()
        self.digest = (self.digest + int.from_bytes(raw)) & _MASK


def pages(
    engine: Engine, name: str, query: dict[str, Any] | None = None, until: Mapping[str, int] | None = None
) -> Iterator[list[dict[str, Any]]]:
    """
    All documents of an index that match, with their versions, shard by shard in the order of their last change.

    No scroll or point in time: those are other calls in each engine, and end when a node does.

    Args: until: as `_marks` gives it: what is changed later is left out, so that no document comes twice.

    Raises: Unavailable.
    """
    of = engine.index(name)
    found = indices.asked(
        engine, lambda client: client.indices.get_settings(index=of, filter_path="*.settings.index.number_of_shards")
    )
    shards = int(found[of]["settings"]["index"]["number_of_shards"])
    size = 10
    for shard in range(shards):
        body: dict[str, Any] = {
            "query": query or {"match_all": {}},
            "sort": [{"_seq_no": "asc"}],
            "version": True,
            "preference": f"_shards:{shard}",
        }
        last = None if until is None else until.get(f"{of}/{shard}", -1)
        while hits := engine.hits(name, {**body, "size": size}):
            if last is not None and hits[-1]["sort"][0] > last:
                yield [hit for hit in hits if hit["sort"][0] <= last]
                break
            yield hits
            body["search_after"] = hits[-1]["sort"]
            each = sum(len(_encode(hit["_source"])) for hit in hits[:10]) // len(hits[:10])
            size = max(1, min(_MOST, 2 * size, PAGE_BYTES // max(1, each)))


def size_of(engine: Engine) -> int:
    """Bytes of a generation on disk, with all copies. Raises Unavailable."""
    found = indices.asked_of(
        engine,
        indices.aliases(engine),
        lambda some, client: client.indices.stats(
            index=some, metric="store", filter_path="_all.total.store.size_in_bytes"
        ),
    )
    return sum(int(one["_all"]["total"]["store"]["size_in_bytes"]) for one in found)


def require_room(before: Outlook) -> None:
    """Raises Unavailable."""
    if before.free_bytes < before.needs_bytes:
        raise Unavailable(
            "store",
            f"{before.path}-* has schema {before.schema}; the next one is made beside it, which may need "
            f"{before.needs_bytes / 1e9:,.2f} GB, and {before.free_bytes / 1e9:,.2f} GB are free in the cluster: free "
            "disk space or add a node. Nothing was changed",
        )


def _free(engine: Engine) -> int:
    found = indices.asked(
        engine,
        lambda client: client.nodes.stats(metric="fs", filter_path="nodes.*.roles,nodes.*.fs.total.available_in_bytes"),
    )
    nodes = [
        one for one in found["nodes"].values() if any(role.startswith("data") for role in one.get("roles", ["data"]))
    ]
    return sum(int(one["fs"]["total"]["available_in_bytes"]) for one in nodes)


def _marks(engine: Engine) -> dict[str, int]:
    """By index and shard, the number of its last change. Raises Unavailable."""
    marks = {}
    for found in indices.asked_of(
        engine,
        indices.aliases(engine),
        lambda some, client: client.indices.stats(
            index=some, level="shards", filter_path="indices.*.shards.*.seq_no.max_seq_no"
        ),
    ):
        for name, one in found["indices"].items():
            for shard, copies in one["shards"].items():
                marks[f"{name}/{shard}"] = max(int(copy["seq_no"]["max_seq_no"]) for copy in copies)
    return {place: number for place, number in marks.items() if number >= 0}  # empty ones: none


def _same(what: str, one: int, other: int) -> None:
    if one != other:
        raise Differs(f"{what}: {one} and {other}")
