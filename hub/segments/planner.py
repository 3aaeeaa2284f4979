"""Decides when all profiles are looked at: because a segment is new or has changed, and now and then in any case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

import structlog
from msgspec.structs import replace

from hub.definitions.catalogue import Catalogue
from hub.ids import derived
from hub.log.partitions import partition_of_key
from hub.pipeline.requests import reevaluate
from hub.segments.due import Sending
from hub.segments.rules import defined
from hub.segments.runs import Runs
from hub.segments.sizes import HourlySizes
from hub.store.port import Scanning, Segments
from schemas.records import Inbound
from schemas.segments import Run, SegmentRule, Slice

log: Final = structlog.get_logger()

BARRIER: Final = "@segments"
"""Beginning of profile ids that nobody has: records for them change nothing, but have to be passed."""


class Store(Segments, Scanning, Protocol):
    """What the planner needs of the store."""


class Jobs(Protocol):
    """`hub.segments.jobs.Jobs`."""

    def enqueue(self, run: str, numbers: Iterable[int]) -> None:
        """Have these slices done, unless they wait or are under way. Raises Unavailable."""
        ...


class Ways(NamedTuple):
    """To the others. `partitions`: of events.v1, how many there are; blocks, raises Unavailable."""

    store: Store
    runs: Runs
    jobs: Jobs
    sender: Sending
    partitions: Callable[[], int]


class Planner:
    """
    Plans runs, one step a tick. For one thread; of several processes one at a time plans, under a lock.

    A run that is about a new version begins when every collector knows it. Otherwise a collector could apply an event
    by the old version to a profile that the run has just left behind. A record on each partition, which names the
    definitions that it needs, tells when: once the store's progress is past it, whoever writes the partition has waited
    for these definitions. So nothing has to be reported, and no process counted.
    """

    def __init__(
        self,
        ways: Ways,
        catalogue: Catalogue,
        now_ms: Callable[[], int],
        *,
        check_every_s: float,
        slice_profiles: int,
    ) -> None:
        """
        Args:
            now_ms: the clock, milliseconds since 1970.
            check_every_s: Between two second opinions, seconds; 0: none.
            slice_profiles: Profiles of one job.
        """
        self._ways = ways
        self._catalogue = catalogue
        self._now_ms = now_ms
        self._check_every_ms = round(check_every_s * 1_000)
        self._slice_profiles = slice_profiles
        self._sizes = HourlySizes(ways.store)
        self._gone: set[str] = set()

    def tick(self) -> None:
        """One step of everything. Blocks. Raises Unavailable: call it again."""
        self._sizes.tick(self._catalogue.entries("segment"), self._now_ms())
        runs = self._ways.runs
        with runs.planning() as alone:
            if not alone:
                return
            under_way = [run for run in runs.open() if not self._is_overtaken(run)]
            # what is defined while all profiles are looked at is looked at together, afterwards
            if not any(run.kind == "backfill" for run in under_way):
                under_way += self._plan(is_idle=not under_way)
            for run in under_way:
                if run.state == "waiting":
                    self._wait(run)
                elif run.state == "running":
                    self._follow(run)

    def _is_overtaken(self, run: Run) -> bool:
        """Whether it is about old versions only; then it ends here, as a newer one will do its work."""
        rules = self._catalogue.compiled("segment", defined).rules
        if run.kind == "check" or any(rules.get(rule.id) == rule or rule.condition is None for rule in run.rules):
            return False
        self._ways.runs.save(replace(run, state="overtaken", ended_ms=self._now_ms()))
        log.info("segments.run_overtaken", run=run.id)
        return True

    def _plan(self, *, is_idle: bool) -> Iterator[Run]:
        runs, now_ms = self._ways.runs, self._now_ms()
        # the offset first: what is read afterwards may be newer, and asks for no more than is known
        offset = self._catalogue.offset
        entries = self._catalogue.entries("segment")
        rules, filled, wanted = self._catalogue.compiled("segment", defined).rules, runs.filled(), runs.wanted()
        new = [
            rule for id, rule in rules.items() if id in wanted or id not in filled or filled[id].version != rule.version
        ]
        # not before a second look: the first may be at a moment at which the offset does not tell of it yet
        gone, self._gone = self._gone, filled.keys() - entries.keys()
        away = [SegmentRule(id, filled[id].version, None) for id in sorted(gone & self._gone)]
        if new or away:
            every = [*new, *away]
            offset = max(offset, *(rule.version for rule in every))
            yield self._begin(Run(id=_id("backfill", now_ms), kind="backfill", rules=every, offset=offset))
        elif self._check_every_ms and now_ms - runs.checked_ms() >= self._check_every_ms and is_idle:
            every = [*rules.values(), *self._left(entries)]
            if every:
                yield self._begin(Run(id=_id("check", now_ms), kind="check", rules=every, offset=offset))

    def _left(self, entries: Mapping[str, Any]) -> list[SegmentRule]:
        """Segments that are not defined, and have members none the less."""
        return [SegmentRule(id, -1, None) for id in self._ways.store.segment_sizes() if id not in entries]

    def _begin(self, run: Run) -> Run:
        run = replace(run, asked_ms=self._now_ms())
        self._ways.runs.begin(run)
        log.info("segments.run_planned", run=run.id, kind=run.kind, segments=len(run.rules), offset=run.offset)
        return run

    def _wait(self, run: Run) -> None:
        epoch, progress = self._ways.store.latest_progress()
        if not run.barrier or run.epoch != epoch:
            run = replace(run, epoch=epoch, barrier=self._barrier(run))
            self._ways.runs.save(run)
        if all(progress.get(partition, 0) > offset for partition, offset in run.barrier.items()):
            self._start(run)

    def _barrier(self, run: Run) -> dict[int, int]:
        now_ms = self._now_ms()
        records = [_barrier_record(run, key, now_ms) for key in barrier_keys(self._ways.partitions())]
        return dict(self._ways.sender.send(records))

    def _start(self, run: Run) -> None:
        slices: dict[int, Slice] = {}
        profiles, after = 0, ""
        while True:
            until, size = self._ways.store.next_cut("profiles", after, self._slice_profiles)
            slices[len(slices)] = Slice(after=after, until=until, at=after)
            profiles += size
            if not until:
                break
            after = until
        self._ways.runs.cut(run.id, slices)
        run = replace(run, state="running", started_ms=self._now_ms(), slices=len(slices), profiles=profiles)
        self._ways.runs.save(run)
        self._ways.jobs.enqueue(run.id, slices)
        log.info("segments.run_started", run=run.id, kind=run.kind, profiles=profiles, slices=len(slices))

    def _follow(self, run: Run) -> None:
        slices = self._ways.runs.slices(run.id)
        left = [number for number, one in slices.items() if not one.is_done and not one.error]
        if left:
            # those that Redis has lost, or that nobody was there to enqueue, begin again where they were
            self._ways.jobs.enqueue(run.id, left)
            return
        error = next((one.error for one in slices.values() if one.error), "")
        if len(slices) < run.slices:
            error = error or "Redis has forgotten a part of it"
        run = replace(run, state="failed" if error else "done", ended_ms=self._now_ms(), error=error)
        self._ways.runs.save(run)
        asked, differed = (sum(getattr(one, name) for one in slices.values()) for name in ("asked", "differed"))
        write = log.error if error else log.info
        write("segments.run_ended", run=run.id, kind=run.kind, asked=asked, differed=differed, error=error)


def barrier_keys(partitions: int) -> list[str]:
    """A profile id that nobody has for each partition, by partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        key = f"{BARRIER}/{number}"
        found.setdefault(partition_of_key(key.encode(), partitions), key)
        number += 1
    return [found[partition] for partition in range(partitions)]


def _barrier_record(run: Run, key: str, now_ms: int) -> Inbound:
    return reevaluate(key, [], id=derived("segments-barrier", run.id, key), at_ms=now_ms, definitions_offset=run.offset)


def _id(kind: str, now_ms: int) -> str:
    return f"{kind}-{now_ms}"
