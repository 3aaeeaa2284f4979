"""
Which indices are in force. A large change of the schema makes all of them anew beside the old ones: a generation.

The first generation has the namespace in front of its names (`hub-rows`), later ones `hub-schema.2.NONCE`, which is no
namespace of anybody's. One document, in the index `hub-schema`, says which one is in force, which schema it has, and
who is at it: each change of that is a compare-and-set of this document, and nothing else decides. Without it there is
the first generation alone, with schema 1.

Writers are kept away from all other generations by the engine (`index.blocks.write`), so also those that know nothing
of this. Whoever upgrades, or goes back, holds a lease in the document, which it renews; of one that is dead the next
one finds that it does not change any more, and puts right what it has left (`put_right`).
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import msgspec
from elastic_transport import ObjectApiResponse, TransportError
from elasticsearch import ApiError, BadRequestError, NotFoundError
from msgspec.structs import replace

from hub.errors import Fenced, PortError, Refused, Unavailable
from hub.search_engine import Layout
from hub.store.elastic import indices, schema
from hub.store.elastic.client import LINE, Engine, Found

BEAT_S: Final = 2.0
"""Whoever is at it says so this often."""
STALE_S: Final = 15.0
"""Who has not done so for this long, by the clock of whoever looks, is dead."""
_LOOK_S: Final = 0.25
_ID: Final = "line"

Role: TypeAlias = Literal["in force", "kept", "given up"]
"""`kept`: of before an upgrade; one can go back to the last. `given up`: out of force by a rollback."""


class Generation(msgspec.Struct, frozen=True):
    """`name`: what its indices begin with. `at_ms`: when it went out of force, since 1970; 0: it did not."""

    name: str
    schema: int
    role: Role
    at_ms: int = 0


class Lease(msgspec.Struct, frozen=True):
    """Somebody is at it. `beat`: rises while they live."""

    id: str
    beat: int = 0


class Line(msgspec.Struct, frozen=True):
    """All generations, in the order in which they were made."""

    generations: list[Generation]
    lease: Lease | None = None

    @property
    def in_force(self) -> Generation:
        """There is always one."""
        return next(one for one in self.generations if one.role == "in force")


class LineDocument:
    """The line of one namespace."""

    def __init__(self, engine: Engine) -> None:
        """Args: engine: at whatever generation."""
        self._engine = engine

    def read(self) -> Line:
        """As it is now. Raises Unavailable, Refused; so do all below."""
        return self._read()[0]

    def change(self, change: Callable[[Line], Line | None]) -> Line:
        """
        Change it, whoever else does so meanwhile. Returns: as it is then.

        Args: change: from the line as it is to what it shall be; None: as it is. Called again after a conflict.
        """
        while True:
            line, found = self._read()
            wanted = change(line)
            if wanted is None:
                return line
            source = msgspec.json.encode(wanted)
            if found is None:
                self._make()
                is_done = self._engine.create(LINE, _ID, source)
            else:
                is_done = self._engine.put(LINE, _ID, source, if_=found)
            if is_done:
                return wanted

    def _read(self) -> tuple[Line, Found | None]:
        found = self._engine.asked(self._asked)
        if not found.get("found"):
            return Line([Generation(self._engine.namespace, 1, "in force")]), None
        source = found["_source"]
        return msgspec.convert(source, Line), Found(source, found["_seq_no"], found["_primary_term"], found["_version"])

    def _asked(self) -> ObjectApiResponse[Any]:
        """Often the first thing that a cluster is asked, so by a GET, whose answers say best what is wrong."""
        try:
            return self._engine.finders.get(index=self._engine.index(LINE), id=_ID)
        except NotFoundError as exc:
            # neither the document nor its index has to be there; another page that is not found is no answer
            if isinstance(exc.body, dict) and ("found" in exc.body or exc.message == "index_not_found_exception"):
                return ObjectApiResponse(body={}, meta=exc.meta)
            raise

    def _make(self) -> None:
        """Its index, as safe as the head's."""
        engine = self._engine
        try:
            copies = engine.client.indices.get_settings(
                index=engine.at(engine.namespace).index(indices.BATCHES),
                filter_path="*.settings.index.number_of_replicas",
            ).body
            (settings,) = (one["settings"]["index"] for one in copies.values())
        except NotFoundError:
            settings = {}
        except (TransportError, ApiError) as exc:
            raise engine.translated(exc) from exc
        try:
            engine.layouts.indices.create(
                index=engine.index(LINE),
                mappings={"enabled": False},
                settings={"index": {"number_of_shards": 1, **settings}},
            )
        except BadRequestError:
            pass  # it is there; if it is not, the write says so
        except (TransportError, ApiError) as exc:
            raise engine.translated(exc) from exc


def follow(engine: Engine, *, steps: schema.Steps | None = None) -> None:
    """
    From now on the engine asks the generation in force.

    Args: steps: whoever does not know the schema is refused; None: whatever it is.
    """
    engine.locate = partial(_locate, engine, steps)
    engine.why_blocked = _Blocked(engine)


def opened(engine: Engine, layout: Layout, steps: schema.Steps) -> None:
    """
    Make what is missing, for somebody who writes: a new store, or small changes of an old one.

    Raises: Refused: the store is newer. Unavailable: it has to be upgraded first, or somebody is at it.
    """
    document = LineDocument(engine)
    line = document.read()
    if line.lease is not None:
        raise Unavailable("store", f"the store in {engine.place} is being upgraded: it goes on by itself")
    now = line.in_force
    wanted = schema.wanted(steps)
    is_new = line.generations == [Generation(engine.namespace, 1, "in force")] and not indices.aliases(
        engine.at(engine.namespace)
    )
    if is_new and wanted > 1:
        now = document.change(partial(_with_schema, name=now.name, number=wanted)).in_force
    require(engine, now, steps, is_writer=True)
    indices.prepare(engine.at(now.name), layout)
    if now.schema < wanted:
        document.change(partial(_with_schema, name=now.name, number=wanted))


def require(engine: Engine, now: Generation, steps: schema.Steps, *, is_writer: bool = False) -> None:
    """Raises Refused: it is newer. Unavailable: it is older, and whoever asks cannot change that."""
    wanted = schema.wanted(steps)
    if now.schema > wanted:
        raise Refused(
            "store",
            f"the store in {engine.place} was made by a newer hub (schema {now.schema}, this one knows {wanted}): "
            "install that version again",
        )
    if now.schema < wanted and not (is_writer and schema.is_instant(steps[now.schema - 1 :])):
        raise Unavailable(
            "store",
            f"the store in {engine.place} has schema {now.schema}, not yet {wanted}: start the collector, it "
            "upgrades; or run `hub migrate store`",
        )


@contextmanager
def leased(engine: Engine, tell: Callable[[str], None]) -> Iterator[Held]:
    """
    Nobody else is at it in this block. Who comes second waits; what was left by somebody who is dead is removed.

    When it ends the generation in force takes writes, all others do not, and what is in no generation is gone.
    """
    held = Held(engine)
    held.take(tell)
    beating = threading.Thread(target=held.beat, daemon=True, name="lease")
    beating.start()
    try:
        yield held
    finally:
        held.over.set()
        beating.join()
        held.release()


class Held:
    """The lease. `over`: it ends."""

    def __init__(self, engine: Engine) -> None:
        """Not taken yet."""
        self._engine = engine
        self.line = LineDocument(engine)
        self.id = secrets.token_hex(4)
        self.over = threading.Event()

    def take(self, tell: Callable[[str], None]) -> None:
        """Wait for it."""
        seen = _Seen()
        while True:
            dead: list[Lease | None] = [None]

            def take(line: Line, dead: list[Lease | None] = dead) -> Line | None:
                dead[0] = line.lease
                if line.lease is not None and not seen.is_stale(line.lease):
                    return None
                return replace(line, lease=Lease(self.id))

            line = self.line.change(take)
            if line.lease is not None and line.lease.id == self.id:
                if dead[0] is not None:
                    put_right(self._engine, line)
                return
            tell("another process upgrades the store: waiting")
            time.sleep(_LOOK_S)

    def beat(self) -> None:
        """Until it is over."""
        while not self.over.wait(BEAT_S):
            try:
                self.line.change(self._risen)
            except PortError:
                continue  # whoever finds that it does not rise any more takes it away

    def change(self, change: Callable[[Line], Line]) -> Line:
        """Change the line. Raises also Unavailable: somebody has taken the lease away, and nothing was changed."""

        def mine(line: Line) -> Line:
            if line.lease is None or line.lease.id != self.id:
                raise _lost(self._engine)
            return change(line)

        return self.line.change(mine)

    def check(self) -> None:
        """Raises Unavailable: it was taken away."""
        lease = self.line.read().lease
        if lease is None or lease.id != self.id:
            raise _lost(self._engine)

    def release(self) -> None:
        """Put right what is left, if it is still held."""
        line = self.line.read()
        if line.lease is not None and line.lease.id == self.id:
            put_right(self._engine, line)
            self.line.change(
                lambda now: replace(now, lease=None) if now.lease is not None and now.lease.id == self.id else None
            )

    def _risen(self, line: Line) -> Line | None:
        if line.lease is None or line.lease.id != self.id:
            return None
        return replace(line, lease=Lease(self.id, line.lease.beat + 1))


def put_right(engine: Engine, line: Line) -> None:
    """Of whoever was at it: remove what is in no generation, keep writers away from all but the one in force."""
    remove_left(engine, line)
    for one in line.generations:
        if one.role != "in force":
            block(engine.at(one.name))
    unblock(engine.at(line.in_force.name))


def remove_left(engine: Engine, line: Line) -> None:
    """Remove indices that are in no generation: of upgrades that were cut off, or that were discarded."""
    for name in left(engine, line):
        indices.remove(engine.at(name))


def remove_all(engine: Engine) -> None:
    """Remove the namespace: every generation, and at last what says which there are. As `indices.remove`."""
    line = LineDocument(engine).read()
    for name in {*left(engine, line), *(one.name for one in line.generations)}:
        indices.remove(engine.at(name))
    indices.asked_or_gone(engine, partial(engine.layouts.indices.delete, index=engine.index(LINE)))


def block(engine: Engine) -> None:
    """Nobody writes to this generation any more when it returns; what was on its way is through."""
    there, first = set(indices.aliases(engine)), {engine.index(indices.BATCHES)}
    for names in (there & first, there - first):  # so nothing begins of which the rest would be missing
        indices.asked_of(engine, names, lambda some, client: client.indices.add_block(index=some, block="write"))


def unblock(engine: Engine) -> None:
    """It may be written again."""
    off = {"index.blocks.write": None}
    there = indices.aliases(engine)
    indices.asked_of(engine, there, lambda some, client: client.indices.put_settings(index=some, settings=off))


def _with_schema(line: Line, name: str, number: int) -> Line | None:
    """The generation has come to this schema in place."""
    if line.in_force.name != name or line.in_force.schema >= number:
        return None
    return replace(
        line, generations=[replace(one, schema=number) if one.name == name else one for one in line.generations]
    )


def _locate(engine: Engine, steps: schema.Steps | None) -> str:
    now = LineDocument(engine).read().in_force
    if steps is not None:
        require(engine, now, steps)
    return now.name


def left(engine: Engine, line: Line) -> set[str]:
    """What there is of generations that are not in the line. A component template is the last thing to go."""
    pattern = f"{engine.namespace}-{LINE}.*"
    names = list(indices.asked_or_gone(engine, partial(engine.layouts.indices.get_alias, index=pattern)))
    found = indices.asked_or_gone(engine, partial(engine.layouts.cluster.get_component_template, name=pattern))
    names += [one["name"] for one in found.get("component_templates", ())]
    name_of = re.compile(rf"{re.escape(engine.namespace)}-{LINE}\.[0-9a-z.]+(?=-)")
    later = {match[0] for name in names if (match := name_of.match(name))}
    first = {engine.namespace} if indices.aliases(engine.at(engine.namespace)) else set()
    return (later | first) - {one.name for one in line.generations}


class _Seen:
    """A lease, and since when it has not risen."""

    def __init__(self) -> None:
        self._seen: Lease | None = None
        self._since = 0.0

    def is_stale(self, lease: Lease) -> bool:
        if lease != self._seen:
            self._seen, self._since = lease, time.monotonic()
        return time.monotonic() - self._since > STALE_S


class _Blocked:
    """Why writers are kept away, if it is for an upgrade. Of one that is dead it puts right what is left."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen = _Seen()

    def __call__(self) -> PortError | None:
        engine = self._engine
        try:
            line = LineDocument(engine).read()
            if line.in_force.name != engine.generation:
                return Fenced(
                    "store", f"the store in {engine.place} was upgraded or rolled back by another hub: start again"
                )
            if line.lease is None:
                return None
            if self._seen.is_stale(line.lease):
                with leased(engine, lambda _: None):
                    """Whoever was at it is dead."""
        except PortError as exc:
            return exc
        return Unavailable("store", f"the store in {engine.place} is being upgraded: it goes on by itself")


def _lost(engine: Engine) -> Unavailable:
    return Unavailable(
        "store", f"another process upgrades the store in {engine.place}: this one was silent for too long. Try again"
    )
