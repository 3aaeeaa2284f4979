"""Back to the generation of before an upgrade, and away with what is not needed any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from hub.errors import Refused
from hub.store.elastic import generations
from hub.store.elastic.beside import pages, size_of
from hub.store.elastic.blobs import INDEX as BLOBS
from hub.store.elastic.client import Action, Engine, Key
from hub.store.elastic.generations import Line, LineDocument
from hub.store.elastic.rows import INDEX as ROWS
from schemas.topics import EVENTS

ON_NO_LOG: Final = ("tasks", "slices", "runs", "versions", "segment-sizes", "numbers")
"""
Tables of rows that nobody can read from Kafka again, and the running numbers of tables: the older generation gets those
that were written since, and all blobs. All else the collector applies again, from the position that the older one has.
"""

Role: TypeAlias = Literal["in force", "kept", "given up", "unused"]
"""Of `generations.Role`. `unused`: of an upgrade that was cut off, or is under way."""
Point: TypeAlias = Literal["held", "carried", "done"]
POINTS: Final[tuple[Point, ...]] = ("held", "carried", "done")


class Kept(NamedTuple):
    """One generation. `path`: what its indices begin with. `at_ms`: when it went out of force, since 1970; 0: no."""

    path: str
    role: Role
    schema: int
    bytes: int
    at_ms: int


class RolledBack(NamedTuple):
    """`path`: what is in force again. `left`: the other one. `carried`: by table, rows written since."""

    path: str
    schema: int
    left: str
    carried: dict[str, int]


def files(engine: Engine) -> list[Kept]:
    """All generations, in the order in which they were made. Raises Unavailable, Refused."""
    line = LineDocument(engine).read()
    listed = [
        Kept(f"{one.name}-*", one.role, one.schema, size_of(engine.at(one.name)), one.at_ms) for one in line.generations
    ]
    unused = sorted(generations.left(engine, line))
    return listed + [Kept(f"{name}-*", "unused", 0, size_of(engine.at(name)), 0) for name in unused]


def roll_back(
    engine: Engine, *, now_ms: Callable[[], int], is_forced: bool = False, at: Callable[[Point], None] = lambda _: None
) -> RolledBack:
    """
    Put the generation of before the last upgrade in force again, by one compare-and-set.

    What was stored since then is in the one that goes; the collector applies it again from the log. What is on no log
    is written to the older one here (ON_NO_LOG).

    Args: is_forced: also if the log does not reach back so far. at: called at each of POINTS.

    Raises: Refused: nothing to go back to, or the log does not reach back so far. Unavailable: nothing has changed.
    """
    with generations.leased(engine, lambda _: None) as held:
        line = held.line.read()
        newer = line.in_force
        older = next((one for one in reversed(line.generations) if one.role == "kept"), None)
        if older is None:
            raise Refused("store", f"of {newer.name}-* none is kept from before: there is nothing to go back to")
        kept_ms = int(EVENTS.retention.total_seconds() * 1000) if EVENTS.retention else None
        if kept_ms is not None and now_ms() - older.at_ms > kept_ms and not is_forced:
            raise Refused(
                "store",
                f"{older.name}-* is of {(now_ms() - older.at_ms) // 86_400_000} days ago, and Kafka keeps events for "
                f"{kept_ms // 86_400_000} unless you have told it otherwise: what is gone from the log would be "
                "missing after it. --force goes back all the same",
            )
        generations.block(engine.at(newer.name))
        generations.unblock(engine.at(older.name))
        at("held")
        carried = _carry(engine.at(newer.name), engine.at(older.name))
        at("carried")
        at_ms = now_ms()

        def flipped(line: Line) -> Line:
            roles = {
                older.name: replace(older, role="in force", at_ms=0),
                newer.name: replace(newer, role="given up", at_ms=at_ms),
            }
            return Line([roles.get(one.name, one) for one in line.generations])

        held.change(flipped)
        at("done")
    return RolledBack(f"{older.name}-*", older.schema, f"{newer.name}-*", carried)


def discard(engine: Engine) -> list[Kept]:
    """
    Remove all generations that are not in force; after it there is no way back.

    Returns: what was removed. Raises: Unavailable: some may be left, and the next one removes those.
    """
    with generations.leased(engine, lambda _: None) as held:
        going = [one for one in files(engine) if one.role != "in force"]
        # the end of the lease removes what is in no generation; so nobody goes back to what is half removed
        held.change(lambda line: replace(line, generations=[one for one in line.generations if one.role == "in force"]))
    return going


def _carry(newer: Engine, older: Engine) -> dict[str, int]:
    """Documents that the newer generation has and the older one has not, or in an earlier version."""
    carried: dict[str, int] = {}
    tables: dict[str, Any] = {"terms": {"table": list(ON_NO_LOG)}}
    for name, query in ((ROWS, tables), (BLOBS, None)):
        newer.refresh(name)
        for page in pages(newer, name, query):
            # an upgrade keeps versions, and each change raises them
            actions = [Action("index", name, Key(hit["_id"]), hit["_source"], version=hit["_version"]) for hit in page]
            known = {action.id for action in older.bulk(actions)}
            for hit in page:
                if hit["_id"] not in known:
                    table = hit["_source"].get("table", name)
                    carried[table] = carried.get(table, 0) + 1
        older.refresh(name)
    carried.pop("numbers", None)  # no rows of anybody's
    return carried
