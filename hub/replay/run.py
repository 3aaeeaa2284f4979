"""One replay: decides what to read, sends it, and for a shadow compares what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from hub.errors import HubError, Refused
from hub.log.admin import LogAdmin
from hub.log.bulk import BulkWindow
from hub.log.keys import KeyLog, Opener
from hub.log.partitions import partition_of_key
from hub.log.progress import Progress
from hub.log.window import Unhurried
from hub.model import OFFSET_BITS
from hub.pipeline.documents import iso
from hub.replay.bounds import SLACK_MS, At, select
from hub.replay.definitions import Files, changes, read_folder
from hub.replay.diff import compare
from hub.replay.feed import Feed
from hub.replay.matching import Filter, make_filter
from hub.replay.options import Options, check_promotion
from hub.replay.privacy import keep_privacy
from hub.replay.profiles import all_profiles
from hub.replay.promotion import Level, Promotion, is_stored
from hub.replay.report import Partition, Report
from hub.replay.sender import Sender
from hub.replay.shadow import Defined, Shadow, wait_level
from hub.replay.source import Original, Originals, ReplayStore, Step
from hub.store.factory import open_store
from hub.store.fences import older_log
from hub.store.port import Store
from schemas.topics import EVENTS


def replay(options: Options, now_ms: int, on_step: Callable[[Step], None] = lambda _: None) -> Report:
    """
    Send records of events.v1 again, in their order. Call it from the main thread; blocks.

    Args: now_ms: the time, for definitions. on_step: called for every record.

    Raises:
        QueryError, BoundError, DefinitionError: what was asked for makes no sense; nothing was sent.
        Unavailable: the same replay may be started again: ids are the same, so what was sent counts once.
        Refused: a person has to act.
    """
    check_promotion(options)
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
            run.into_shadow(options.into, files, lambda: now_ms + int((time.monotonic() - started) * 1000))
    run.report.took_s = round(time.monotonic() - started, 3)
    return run.report


class _Run:
    """What was asked for, as of one moment of the log."""

    def __init__(self, options: Options, store: ReplayStore, keep: Filter, on_step: Callable[[Step], None]) -> None:
        self._options = options
        self._store = store
        self._on_step = on_step
        self._admin = LogAdmin(options.kafka, options.namespace)
        topic_id = self._admin.topic_id(EVENTS)
        epoch = store.known_epoch(topic_id)
        offsets = since_numbered(store, topic_id, epoch, self._admin.offsets(EVENTS))
        self._ends = {number: end for number, (_, end) in offsets.items()}
        since = options.since
        self._selection = select(
            since,
            options.until,
            ends=offsets,
            by_time=self._admin.time_offsets(since.ms - SLACK_MS, EVENTS) if isinstance(since, At) else {},
            epoch=epoch,
            newest_epoch=store.latest_progress()[0],
        )
        self._originals = Originals(
            kafka=options.kafka,
            namespace=options.namespace,
            store=store,
            selection=self._selection,
            keep=keep,
            on_step=on_step,
            opener=_opener(options, store),
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
            Sender(options.kafka, options.namespace, window, options.sealer) as sender,
        ):
            self._feed(sender, -1, lambda: None).begin()

    def into_shadow(self, name: str, files: Files | None, clock: Callable[[], int]) -> None:
        """Into an empty shadow; then compare it with live, and put it in live's place if that is wanted."""
        options = self._options
        kafka = options.kafka.model_copy(update={"partitions": len(self._ends)})
        shadow = Shadow(kafka, options.namespace, name, options.data, options.store_url)
        with shadow.held():
            shadow.empty()
            defined = shadow.define(files, clock())
            self._originals.orders_from = keep_privacy(self._store, shadow.store_url)
            if options.promote and files is None:
                _check_same(name, defined)
            with (
                shadow.collecting(options.environment) as child,
                Sender(kafka, name, Unhurried(), options.sealer) as sender,
                closing(open_store(shadow.store_url, readonly=True)) as store,
            ):
                feed = self._feed(sender, defined.newest, lambda: shadow.check(child))
                feed.begin()
                self._on_step(Step("waiting for the shadow's collector", 0, 0))
                shadow.catch_up(child)
                wait_level(options.store_url, self._ends, "the live collector")

                def level(ends: Mapping[int, int], still: bool) -> int:
                    left = feed.go_on(ends, partial(is_stored, self._store), still=still)
                    shadow.catch_up(child)
                    return left

                if options.promote:
                    self._promote(store, defined, level, feed, clock)
                else:
                    self._compare(store, feed.ends)

    def _promote(
        self,
        store: Store,
        defined: Defined,
        level: Level,
        feed: Feed,
        clock: Callable[[], int],
    ) -> None:
        options = self._options
        promotion = Promotion(
            kafka=options.kafka,
            namespace=options.namespace,
            store_url=options.store_url,
            live=self._store,
            shadow=store,
            name=self.report.into,
            before=defined.live,
            wanted=defined.wanted,
            level=level,
            most_s=options.most_pause_s,
            now_ms=clock,
            on_step=self._on_step,
        )
        alike = promotion.catch_up()
        self._compare(store, feed.ends)
        try:
            self.report.promoted = promotion.promote(alike)
        except HubError as exc:
            self.report.not_promoted = str(exc)
        for partition in self.report.partitions:
            partition.last = feed.ends[partition.partition]

    def _feed(self, sender: Sender, definitions_offset: int, check: Callable[[], None]) -> Feed:
        return Feed(
            self._originals,
            sender,
            self._selection.parts,
            definitions_offset=definitions_offset,
            check=check,
            counted=self._counted,
        )

    def _counted(self, original: Original) -> None:
        self.report.records += 1
        self.report.events += original.events

    def _compare(self, shadow: Store, ends: Mapping[int, int]) -> None:
        """Args: ends: up to which offsets of live's partitions the shadow has everything."""
        self._on_step(Step("comparing profiles", 0, 0))
        epoch = self._store.known_epoch(self._admin.topic_id(EVENTS)) or 0
        later = _later({**self._ends, **ends}, self._selection.until_ms, epoch)
        self.report.diff = compare(all_profiles(self._store), all_profiles(shadow), later, self._options.samples)
        totals = dict.fromkeys(("received", "stored", "duplicate", "dropped", "dead"), 0)
        for counts in shadow.books(0, 0).totals.values():
            for name in totals:
                totals[name] += getattr(counts, name)
        self.report.shadow = totals


def since_numbered(
    store: ReplayStore, topic_id: str, epoch: int | None, offsets: dict[int, tuple[int, int]]
) -> dict[int, tuple[int, int]]:
    """
    The log as if it began where it was numbered anew, when it got more partitions: what was before is taken from the
    store, as a profile's records of then may lie on another partition. Args: offsets: by partition, begin and end.
    """
    before = None if epoch is None else store.known_epoch(older_log(topic_id, epoch - 1))
    if before is None:
        return offsets
    ends = store.progress(before)
    return {number: (max(begin, ends.get(number, 0)), end) for number, (begin, end) in offsets.items()}


def _opener(options: Options, store: ReplayStore) -> Opener | None:
    if options.wrapping is None:
        return None
    return Opener(KeyLog(options.kafka, options.namespace), store, options.wrapping)


def _check_same(name: str, defined: Defined) -> None:
    """Raises Refused: nobody has said which definitions are to be in force."""
    changed = changes(defined.live, defined.wanted)
    if changed:
        names = ", ".join("/".join(key) for key in sorted(changed))
        raise Refused(
            "replay",
            f"{name} has definitions of its own, from an earlier replay, that are not live's ({names}): say with "
            "--definitions which of live's are to be replaced",
        )


def _later(lasts: Mapping[int, int], until_ms: int, epoch: int) -> Callable[[str, dict[str, Any]], bool]:
    """Whether live's profile has taken a record behind those that were replayed. Args: lasts: their ends."""
    until = iso(until_ms - 1)

    def later(id: str, profile: dict[str, Any]) -> bool:
        version: int = profile["metadata"]["version"]
        updated: str = profile["metadata"]["time"]["update"]
        offset = version & (1 << OFFSET_BITS) - 1
        behind = version >> OFFSET_BITS == epoch and offset >= lasts[partition_of_key(id.encode(), len(lasts))]
        return behind or updated > until

    return later
