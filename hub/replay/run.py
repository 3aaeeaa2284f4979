"""One replay: decides what to read, sends it, and for a shadow compares what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from hub.log.admin import LogAdmin
from hub.log.bulk import BulkWindow
from hub.log.partitions import partition_of_key
from hub.log.progress import Progress
from hub.model import OFFSET_BITS
from hub.pipeline.documents import iso
from hub.replay.bounds import SLACK_MS, At, Bound, Selection, select
from hub.replay.definitions import Files, read_folder
from hub.replay.diff import Diff, Profiles, compare
from hub.replay.matching import Filter, make_filter
from hub.replay.sender import Sender, Unhurried
from hub.replay.shadow import Shadow, wait_level
from hub.replay.source import Original, Originals, ReplayStore, Step
from hub.settings import Bulk, Kafka
from hub.store.factory import open_store
from hub.store.port import Walking
from schemas.codec import encode_inbound
from schemas.replays import copy_header
from schemas.topics import EVENTS

PROFILES: Final = 500
"""Profiles of one store read at once."""
LOOK_EVERY: Final = 1_000
"""Records between two looks at whether the shadow's collector lives."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to replay, and where to."""

    kafka: Kafka
    namespace: str
    store_url: str
    data: Path
    """Folder of a shadow's store."""
    since: Bound
    until: Bound | None = None
    query: str = ""
    into: str | None = None
    """The shadow namespace; None: into live."""
    definitions: Path | None = None
    """Of the shadow: `hub.replay.definitions.read_folder`."""
    dry_run: bool = False
    samples: int = 3
    bulk: Bulk
    environment: Mapping[str, str]
    """Of the shadow's collector."""


class Partition(msgspec.Struct):
    """Which offsets of a partition were wanted; before `log_begin` they are read from the store."""

    partition: int
    first: int
    last: int
    log_begin: int


class Report(msgspec.Struct):
    """
    How it went.

    `whole`: all that was ever taken was wanted. `read`: records, `log` and `store`. `skipped`: records read and not
    sent, by why. `shadow`: events of the shadow: received, stored, duplicate, dropped, dead.
    """

    namespace: str
    into: str
    dry_run: bool
    whole: bool
    partitions: list[Partition]
    read: dict[str, int]
    skipped: dict[str, int]
    records: int = 0
    events: int = 0
    took_s: float = 0.0
    shadow: dict[str, int] | None = None
    diff: Diff | None = None


def replay(options: Options, now_ms: int, on_step: Callable[[Step], None] = lambda _: None) -> Report:
    """
    Send records of events.v1 again, in their order. Call it from the main thread; blocks.

    Args: now_ms: the clock, for the shadow's definitions. on_step: called for every record.

    Raises:
        QueryError, BoundError, DefinitionError: what was asked for makes no sense; nothing was sent.
        Unavailable: the same replay may be started again: ids are the same, so what was sent counts once.
        Refused: a person has to act.
    """
    keep = make_filter(options.query)
    files = None if options.definitions is None else read_folder(options.definitions)
    started = time.monotonic()
    with closing(open_store(options.store_url, readonly=True)) as store:
        run = _Run(options, store, keep, on_step)
        if options.dry_run:
            run.count()
        elif options.into is None:
            run.into_live()
        else:
            run.into_shadow(options.into, files, now_ms)
    run.report.took_s = round(time.monotonic() - started, 3)
    return run.report


class _Run:
    """What was asked for, as of one moment of the log."""

    def __init__(self, options: Options, store: ReplayStore, keep: Filter, on_step: Callable[[Step], None]) -> None:
        self._options = options
        self._store = store
        self._on_step = on_step
        self._admin = LogAdmin(options.kafka, options.namespace)
        offsets = self._admin.offsets(EVENTS)
        self._ends = {number: end for number, (_, end) in offsets.items()}
        since = options.since
        self._selection = select(
            since,
            options.until,
            ends=offsets,
            by_time=self._admin.time_offsets(since.ms - SLACK_MS, EVENTS) if isinstance(since, At) else {},
            epoch=store.known_epoch(self._admin.topic_id(EVENTS)),
            newest_epoch=store.latest_progress()[0],
        )
        self._originals = Originals(
            kafka=options.kafka,
            namespace=options.namespace,
            store=store,
            selection=self._selection,
            keep=keep,
            on_step=on_step,
        )
        self.report = Report(
            namespace=options.namespace,
            into=options.into or options.namespace,
            dry_run=options.dry_run,
            whole=self._selection.is_whole and not options.query,
            partitions=[
                Partition(number, part.first, part.last, part.begin)
                for number, part in sorted(self._selection.parts.items())
            ],
            read=self._originals.read,
            skipped=self._originals.skipped,
        )

    def count(self) -> None:
        """Read everything, send nothing."""
        for original in self._originals:
            self._counted(original)

    def into_live(self) -> None:
        """Behind the live events, at the pace of the live collector."""
        options = self._options
        with (
            closing(Progress(options.kafka, options.namespace)) as progress,
            BulkWindow(progress, options.bulk) as window,
            Sender(options.kafka, options.namespace, window) as sender,
        ):
            self._send(sender, -1, lambda: None)

    def into_shadow(self, name: str, files: Files | None, now_ms: int) -> None:
        """Into an empty shadow; then compare it with live."""
        options = self._options
        kafka = options.kafka.model_copy(update={"partitions": len(self._ends)})
        shadow = Shadow(kafka, options.namespace, name, options.data)
        with shadow.held():
            shadow.empty()
            newest = shadow.define(files, now_ms)
            with shadow.collecting(options.environment) as child:
                with Sender(kafka, name, Unhurried()) as sender:
                    self._send(sender, newest, lambda: shadow.check(child))
                self._on_step(Step("waiting for the shadow's collector", 0, 0))
                shadow.catch_up(child)
            self._on_step(Step("comparing profiles", 0, 0))
            wait_level(options.store_url, self._ends, "the live collector")
            self._compare(shadow)

    def _send(self, sender: Sender, definitions_offset: int, check: Callable[[], None]) -> None:
        for original in self._originals:
            if self.report.records % LOOK_EVERY == 0:
                check()
            value = encode_inbound({**original.inbound, "definitions_offset": definitions_offset})
            header = copy_header(original.partition, original.offset)
            sender.send(original.key, value, header, original.events)
            self._counted(original)
        sender.flush()

    def _counted(self, original: Original) -> None:
        self.report.records += 1
        self.report.events += original.events

    def _compare(self, shadow: Shadow) -> None:
        epoch = self._store.known_epoch(self._admin.topic_id(EVENTS)) or 0
        totals = dict.fromkeys(("received", "stored", "duplicate", "dropped", "dead"), 0)
        with closing(open_store(shadow.store_url, readonly=True)) as store:
            later = _later(self._selection, epoch, self._ends)
            self.report.diff = compare(_profiles(self._store), _profiles(store), later, self._options.samples)
            for counts in store.books(0, 0).totals.values():
                for name in totals:
                    totals[name] += getattr(counts, name)
        self.report.shadow = totals


def _later(selection: Selection, epoch: int, ends: Mapping[int, int]) -> Callable[[str, dict[str, Any]], bool]:
    """Whether live's profile has taken a record behind those that were replayed. Args: ends: of live, at the start."""
    lasts = {**ends, **{number: part.last for number, part in selection.parts.items()}}
    until = iso(selection.until_ms - 1)

    def later(id: str, profile: dict[str, Any]) -> bool:
        version: int = profile["metadata"]["version"]
        updated: str = profile["metadata"]["time"]["update"]
        offset = version & (1 << OFFSET_BITS) - 1
        behind = version >> OFFSET_BITS == epoch and offset >= lasts[partition_of_key(id.encode(), len(lasts))]
        return behind or updated > until

    return later


def _profiles(store: Walking) -> Profiles:
    def pages() -> Iterator[tuple[str, bytes]]:
        id = ""
        while page := store.profiles_after(id, PROFILES):
            yield from page
            id = page[-1][0]

    return pages()
