"""A shadow namespace: topics, definitions and a store of its own, and the collector that fills it."""

from __future__ import annotations

import contextlib
import fcntl
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from hub.definitions.catalogue import Catalogue
from hub.errors import Refused, Unavailable
from hub.log.admin import LogAdmin
from hub.log.follower import Follower
from hub.log.progress import Progress
from hub.replay.defining import ACK_S, write_definitions
from hub.replay.definitions import Files, Specs, changes, specs_of, wanted_specs
from hub.search_engine import elsewhere, is_engine
from hub.settings import Kafka
from hub.stack.files import write_atomically
from hub.stack.process import Child, Program
from hub.store.factory import has_store, open_store, remove_store
from schemas.topics import DEFINITIONS, EVENTS

NAMESPACE: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
STILL_S: Final = 60.0
"""How long a collector may store nothing before that is a failure."""
POLL_S: Final = 0.02
COMMITTED_S: Final = 2.0


class _Marker(msgspec.Struct):
    """That a replay has made the namespace. `topic_id`: of its definitions.v1; "" until that is made."""

    topic_id: str = ""


class Defined(NamedTuple):
    """The definitions of a shadow: offset of the newest, -1 for none; those of live at that moment; and its own."""

    newest: int
    live: Specs
    wanted: Specs


class Shadow:
    """
    One shadow namespace. What a replay before this one has left in it is thrown away, its definitions are kept.

    Only a namespace that a replay from this data folder has made is ever touched.
    """

    def __init__(self, kafka: Kafka, live: str, name: str, data: Path, live_url: str) -> None:
        """
        Does not connect yet.

        Args: live: the namespace that is replayed. data: folder of the shadow's store, log and marker. live_url: of
        live's store; a shadow of a search engine is in the same one.

        Raises: Refused: `name` cannot be a shadow of `live`.
        """
        if not NAMESPACE.fullmatch(name):
            raise Refused("shadow", f"{name!r} is no namespace: small letters, digits and -, 32 at most")
        if name == live:
            raise Refused("shadow", f"{name} is the live namespace itself: leave --into out, or name another one")
        self._live = live
        self._name = name
        self._kafka = kafka
        self._admin = LogAdmin(kafka, name)
        self._marker = data / f"shadow-{name}.json"
        self._lock = data / f"shadow-{name}.lock"
        self.log_file = data / f"shadow-{name}.log"
        file = data / f"shadow-{name}.sqlite"
        self.store_url = elsewhere(live_url, name) if is_engine(live_url) else f"sqlite:///{file.absolute()}"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else replays into it meanwhile. Raises Refused when somebody does."""
        with self._lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise Refused("shadow", f"another replay into {self._name} is running") from exc
            yield

    def empty(self) -> None:
        """
        Topics and a store with nothing in them. Interrupted at any point, it can be done again.

        Raises: Refused: the namespace is somebody else's. Unavailable.
        """
        there = self._admin.existing()
        self._check_ours(there=bool(there))
        if is_engine(self.store_url) and not self._marker.exists() and has_store(self.store_url):
            raise Refused(
                "shadow",
                f"the store has a namespace {self._name} that no replay from this data folder has made: what is in it "
                "would be thrown away. Choose another name for --into",
            )
        if not there:
            self._mark("")
        self._admin.ensure_topics()
        self._mark(self._admin.topic_id(DEFINITIONS))
        old = [topic for topic in there if topic.suffix != DEFINITIONS.suffix]
        if old:
            self._admin.empty_topics(old)
        remove_store(self.store_url)

    def define(self, files: Files | None, now_ms: int) -> Defined:
        """
        Its definitions: what it has, else live's; with `files`, live's with those in their place.

        Raises: Unavailable.
        """
        live, shadow = Catalogue(), Catalogue()
        with Follower(self._kafka, self._live, live), Follower(self._kafka, self._name, shadow):
            theirs, ours = specs_of(live), specs_of(shadow)
            wanted = wanted_specs(theirs, ours, files)
            write_definitions(self._kafka, self._name, changes(ours, wanted), now_ms)
            newest = self._admin.end_offsets(DEFINITIONS)[0] - 1
            if not shadow.wait_for(newest, ACK_S):
                raise Unavailable("kafka", f"the shadow's definitions were not read back within {ACK_S:g} s")
        return Defined(newest, theirs, wanted)

    @contextlib.contextmanager
    def collecting(self, environment: Mapping[str, str]) -> Iterator[Child]:
        """A collector of the namespace while the block runs; killed with this process, whatever ends it."""
        # a search engine is in the environment already, and the namespace says where in it
        own_file = {} if is_engine(self.store_url) else {"HUB_STORE__URL": self.store_url}
        env = {
            **environment,
            **own_file,
            "HUB_NAMESPACE": self._name,
            "HUB_KAFKA__BOOTSTRAP": self._kafka.bootstrap,
            "HUB_HEALTH__PORT": "0",
            "PYTHONUNBUFFERED": "1",
        }
        argv = (sys.executable, "-m", "hub", "collector")
        program = Program(name="collector", argv=argv, ready=lambda: True, env=env)
        with self.log_file.open("a", buffering=1) as log:

            def write(_: str, line: str) -> None:
                log.write(f"{line}\n")

            child = Child(program, write, lambda: None)
            try:
                yield child
            finally:
                child.stop()

    def catch_up(self, child: Child) -> None:
        """
        Return when everything on its log is in its store, also what its collector has sent itself (merges).

        Raises: Unavailable: its collector has ended, or stores nothing for 60 s.
        """
        ends: Mapping[int, int] = {}
        with closing(Progress(self._kafka, self._name)) as committed:
            while ends != (now := self._admin.end_offsets(EVENTS)):
                ends = now
                wait_level(self.store_url, ends, f"the collector of {self._name}", lambda: self.check(child))
                # it commits when it has sent what a batch has to send. A commit may get lost in a rebalance, and it
                # comes at once if it comes
                deadline = time.monotonic() + COMMITTED_S
                while any(committed()[number] < end for number, end in ends.items()) and time.monotonic() < deadline:
                    time.sleep(POLL_S)

    def check(self, child: Child) -> None:
        """Raises Unavailable when its collector has ended."""
        if child.code is not None:
            raise Unavailable("collector", f"that of {self._name} has ended: {child.last_words()}")

    def _check_ours(self, *, there: bool) -> None:
        if not there:
            return
        foreign = (
            f"there are topics of a namespace {self._name} that no replay from this data folder has made: what is in "
            "it would be thrown away. Choose another name for --into"
        )
        if not self._marker.exists():
            raise Refused("shadow", foreign)
        made = msgspec.json.decode(self._marker.read_bytes(), type=_Marker)
        if made.topic_id and made.topic_id != self._admin.topic_id(DEFINITIONS):
            raise Refused("shadow", foreign)

    def _mark(self, topic_id: str) -> None:
        write_atomically(self._marker, msgspec.json.encode(_Marker(topic_id)).decode() + "\n")


def wait_level(store_url: str, ends: Mapping[int, int], who: str, check: Callable[[], None] = lambda: None) -> None:
    """
    Return when the store has applied the log up to these offsets.

    Args: who: stores it, in words. check: called between two looks; raises when there is no use in waiting.

    Raises: Unavailable: nothing was stored for 60 s.
    """
    wanted = {number: end for number, end in ends.items() if end}
    with closing(open_store(store_url, readonly=True)) as store:
        reached, moved_at = -1, time.monotonic()
        while True:
            check()
            try:
                _, progress = store.latest_progress()
            except Unavailable:
                there, progress = False, {}  # the collector is about to make it
            else:
                there = True
            if there and all(progress.get(number, 0) >= end for number, end in wanted.items()):
                return
            now = sum(min(progress.get(number, 0), end) for number, end in wanted.items())
            if now != reached:
                reached, moved_at = now, time.monotonic()
            elif time.monotonic() - moved_at > STILL_S:
                missing = sum(wanted.values()) - now
                raise Unavailable(
                    "collector", f"{who} has stored nothing for {STILL_S:g} s, {missing} records are left"
                )
            time.sleep(POLL_S)
