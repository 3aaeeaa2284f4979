"""`hub backup`: the data folder of one moment, in one file."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from hub.backup import archive, folder, place
from hub.backup import manifest as manifests
from hub.backup.manifest import Manifest
from hub.backup.moment import still
from hub.errors import Refused, Unavailable
from hub.stack import kafka, state
from hub.store.factory import file_of
from hub.store.sqlite.moved import Moved
from hub.store.sqlite.snapshot import Snapshot

ATTEMPTS: Final = 5
"""To see all files of one moment: Kafka is started again just then, say."""
LOCK: Final = "backup.lock"
REDIS: Final = "redis"


class Step(NamedTuple):
    """How far it is. `done` of `total`: bytes, or pages of the store; 0: no count."""

    what: str
    done: int = 0
    total: int = 0


Tell: TypeAlias = Callable[[Step], None]
Point: TypeAlias = Literal["still", "copied", "written", "verified"]
POINTS: Final[tuple[Point, ...]] = (
    "still",  # nobody writes; all files are open
    "copied",  # the store, into a file of its own
    "written",  # the draft is whole
    "verified",  # and was read again
)
At: TypeAlias = Callable[[Point], None]


class Site(NamedTuple):
    """What is backed up. `bootstrap`, `redis`: of servers that are not the hub's own; empty: they are."""

    data: Path
    store_url: str
    namespace: str
    bootstrap: str = ""
    redis: str = ""


class Made(NamedTuple):
    """`bytes`: size of the file."""

    path: Path
    bytes: int
    about: Manifest


class _Seen(NamedTuple):
    """At the moment: whether the hub ran; which of its servers were not its own."""

    was_running: bool
    left_out: list[str]


def back_up(
    site: Site,
    target: Path,
    *,
    now_ms: Callable[[], int],
    replace: bool = False,
    tell: Tell = lambda _: None,
    at: At = lambda _: None,
) -> Made:
    """
    Write it, read it again, and only then give it its name.

    Args: target: a file, or a folder that is there. replace: also if the file is there. at: called at each of POINTS.

    Raises:
        Refused: the servers are not the hub's own; the file is there; the store is damaged or newer than this hub.
        Unavailable: the hub is just starting; no room. OSError.
    """
    path = _store_file(site)
    folder.raise_limit()
    with ExitStack() as stack:
        stack.enter_context(_alone(site.data))
        parts = stack.enter_context(folder.Parts())
        source = stack.enter_context(ExitStack())
        snapshot, seen = _see(site, path, parts, source, at)
        made_at = datetime.fromtimestamp(now_ms() / 1000, UTC)
        target = place.target_of(target, f"{site.namespace}-{made_at:%Y%m%dT%H%M%SZ}.backup")
        draft = stack.enter_context(place.draft(target, replace=replace))
        copied = snapshot.copy(draft.store, lambda done, total: tell(Step("copying the store", done, total)))
        source.close()
        at("copied")
        size = draft.store.stat().st_size
        total, done = size + sum(part.size for part in parts.all), Counting(tell)
        with archive.writing(draft.descriptor) as writer:
            done.begin("writing", total)
            for part in parts.all:
                writer.add(part.name, part.chunks(), done)
            writer.add(manifests.STORE, _chunks(draft.store), done)
            about = Manifest(
                format=manifests.FORMAT,
                hub=version("thamesthrive-hub"),
                kafka=kafka.VERSION,
                schema=copied.schema,
                made_at=f"{made_at:%Y-%m-%dT%H:%M:%SZ}",
                namespace=site.namespace,
                was_running=seen.was_running,
                rows=copied.rows,
                keys=[part.name for part in parts.all if part.name in folder.KEYS],
                left_out=seen.left_out,
                files=writer.entries,
            )
            writer.end(about)
        parts.clear()
        at("written")
        done.begin("reading it again", total)
        if archive.verify(draft.path, done) != about:
            raise Refused("backup", f"{draft.path} is not what was written: check the disk. Nothing was kept")
        at("verified")
        place.keep(draft, target)
        return Made(target, target.stat().st_size, about)


def _store_file(site: Site) -> Path:
    path = file_of(site.store_url)
    if path is None:
        raise Refused(
            "backup",
            "the store is not a file of this hub: use snapshots of the search engine, and back its Kafka up by its own "
            "means (docs/operations.md)",
        )
    return path


def _see(site: Site, path: Path, parts: folder.Parts, stack: ExitStack, at: At) -> tuple[Snapshot, _Seen]:
    """The store, and all other files, of one moment. Raises: as `back_up`."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with ExitStack() as moment:
                run = state.read(site.data)
                if run is None:
                    moment.enter_context(state.lock(site.data))  # or it is just starting, and this says so
                    if site.bootstrap:
                        raise Refused("backup", "HUB_KAFKA__BOOTSTRAP names a Kafka that is not the hub's own")
                    servers, pids = [folder.KAFKA] if site.redis else [folder.KAFKA, folder.VALKEY], list[int]()
                else:
                    servers, pids = _servers(run)
                if folder.KAFKA in servers:
                    folder.require_kafka(site.data)
                snapshot = stack.enter_context(Snapshot(path))
                moment.enter_context(still(pids))
                snapshot.begin()
                parts.take(site.data, servers)
                at("still")
            return snapshot, _Seen(run is not None, [] if folder.VALKEY in servers else [REDIS])
        except (Unavailable, Moved):
            parts.clear()
            stack.close()
            if attempt == ATTEMPTS:
                raise
    raise AssertionError


def _servers(run: state.RunState) -> tuple[list[str], list[int]]:
    """Those that the hub runs itself, by name, and their processes. Raises Refused, Unavailable."""
    own = {process.name: process for process in run.processes if process.name in (folder.KAFKA, folder.VALKEY)}
    if folder.KAFKA not in own:
        raise Refused(
            "backup", f"the hub uses a Kafka of yours at {run.kafka}: back it up by its own means (docs/operations.md)"
        )
    for process in own.values():
        if process.pid is None or process.state != "ready":
            raise Unavailable("backup", f"{process.name} is {process.state}: try again when `hub status` says ready")
    return list(own), [process.pid for process in own.values() if process.pid is not None]


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One at a time: else one would let Kafka go on while the other still looks. Raises Refused."""
    if not data.is_dir():
        raise Refused("backup", f"there is no data folder {data}: name it with --data, or set HUB_DATA")
    with (data / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Refused("backup", f"another backup of {data} is being made") from exc
        yield


class Counting:
    """Bytes of a step, which are told of."""

    def __init__(self, tell: Tell) -> None:
        """Nothing yet."""
        self._tell = tell
        self._step = Step("")

    def begin(self, what: str, total: int) -> None:
        """A step of so many bytes."""
        self._step = Step(what, 0, total)
        self._tell(self._step)

    def __call__(self, count: int) -> None:
        """So many more."""
        self._step = self._step._replace(done=self._step.done + count)
        self._tell(self._step)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(archive.CHUNK):
            yield chunk
