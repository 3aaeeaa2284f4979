"""
Runs as they are made: read, run, saved, done, settled, many at once.

Whoever is killed anywhere and begins again comes to the same: what nodes gave is saved before anything goes out, and
what may have gone out already goes out again under the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec
import structlog

from hub.errors import Refused, Unavailable
from hub.flows.compiled import CompiledFlow
from hub.flows.effects import Answer, Ask, CallHttp, LookUp, SendMessage
from hub.flows.ended import Resumed as Ended
from hub.flows.kept import OVER, KeptRun, Order, RunDocuments, begun, ended, failed, unsettled
from hub.flows.metrics import LEFT, RUNS, SECONDS
from hub.flows.node import LONGEST_S
from hub.flows.outward import Answers, Elsewhere, LongTurn, Outward, waited_for
from hub.flows.records import ran_ms, records
from hub.flows.run import NOTHING, Documents, run, run_id
from hub.flows.scheduled import Scheduled, second
from hub.flows.trace import Run, settled
from hub.flows.traced import RunTraces
from hub.flows.triggers import fired_by
from hub.flows.versions import FlowVersions, NotKnown, Off, Unusable
from schemas.codec import encode_inbound
from schemas.topics import MAX_RECORD_BYTES

log: Final = structlog.get_logger()

PATIENCE_MS: Final = 60_000
"""A run whose flow or profile is not known yet is asked for again for so long."""
SKEW_MS: Final = 10_000
"""So far apart the clocks of two machines may be. One that was further ahead makes no pause longer than it says."""
REFUSALS: Final = 20
"""So often somebody else may save the same run meanwhile."""
GIVE_UP_MS: Final = 3_600_000
"""A run that should go on, and of a version that nobody can run, fails after so long."""
CALLERS: Final = 16
"""Runs whose calls are made at a time."""
TURN_NS: Final = 900_000_000_000
"""After so long a run goes on behind a long node in a job of its own, which has time for the next one."""
ROOM_BYTES: Final = 65_536
"""Of a record on Kafka, for what is around it, and for the seal."""

Records: TypeAlias = Sequence[tuple[str, bytes]]
Put: TypeAlias = Callable[[Records], Any]
"""Writes records of events.v1, each with its key; all are durable when it returns. Raises Unavailable, Refused."""
Resumed: TypeAlias = Mapping[str, Mapping[str, Any] | None]
"""By node whose pause ends, the event that ends it, or None."""
_NOTHING: Final = Documents()
_decode: Final = msgspec.json.decode


class Store(Protocol):
    """What is asked of the store: see `hub.store.port.FlowRuns`."""

    def flow_runs(self, ids: Sequence[str]) -> dict[str, KeptRun]:
        """Those that are there."""
        ...

    def run_documents(
        self, events: Sequence[tuple[str, str]], profiles: Sequence[str], sessions: Sequence[str]
    ) -> RunDocuments:
        """What runs are about."""
        ...

    def save_flow_runs(self, runs: Sequence[KeptRun], *, durable: bool = False) -> list[str]:
        """Returns ids of those that were refused."""
        ...


class Begun(NamedTuple):
    """
    Of orders.

    Attributes:
        runs: Those that were made, or had been before.
        later: Those that have to be given again, in a moment.
        left: Those that are not made, and why.
    """

    runs: list[KeptRun]
    later: list[Order]
    left: list[tuple[Order, str]]


class _Work:
    """A run that is being made."""

    def __init__(self, kept: KeptRun, flow: CompiledFlow, read: RunDocuments, now_ms: int, resumed: Resumed) -> None:
        self.kept = kept
        self.flow = flow
        self.read = read
        self.now_ms = now_ms
        self.ran_ms = now_ms  # as of when what it sends counts: see `hub.flows.records.ran_ms`
        self.resumed = resumed
        self.refusals = 0
        self.documents = _NOTHING
        self.found = Run(kept.id, "waiting", "", [], [], {}, NOTHING, {})
        self.answers: dict[str, Answer] = {}
        self.records: list[tuple[str, bytes]] = []
        self.messages: list[SendMessage] = []


class Runner:
    """Makes runs. Blocks; for one thread."""

    def __init__(
        self,
        flows: FlowVersions,
        store: Store,
        *,
        put: Put,
        look: Callable[[LookUp], Answer],
        elsewhere: Elsewhere,
        scheduled: Scheduled,
        answers: Answers,
        outward: Outward | None = None,
        long_turn: LongTurn = lambda _: nullcontext(True),
        traces: RunTraces | None = None,
        meanwhile: Callable[[Sequence[KeptRun]], Ended] = lambda _: {},
        now_ms: Callable[[], int],
        clock_ns: Callable[[], int] = int,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            look: Answers look-ups. May raise Unavailable.
            meanwhile: Which pauses of runs that were just saved have ended since (`hub.flows.ended.by_then`). May raise
                Unavailable.
            outward: None: what goes to other systems is for others to do (`elsewhere`), whatever is said of blocking.
            long_turn: Which runs may be at long nodes.
            traces: None: nobody wants any.
            now_ms: The clock, milliseconds since 1970.
            clock_ns: As of `run`; without one, what is not known yet is asked for for ever.
            beat: Called with each step forward.
        """
        self._flows = flows
        self._store = store
        self._put = put
        self._look = look
        self._elsewhere = elsewhere
        self._scheduled = scheduled
        self._answers = answers
        self._outward = outward
        self._long_turn = long_turn
        self._traces = traces
        self._meanwhile = meanwhile
        self._now_ms = now_ms
        self._clock_ns = clock_ns
        self._beat = beat
        self._missing_since: dict[str, int] = {}

    def begin(self, orders: Sequence[Order], *, may_block: bool = False) -> list[KeptRun]:
        """
        As `begin_some`, for whoever has nothing else to do.

        Raises: Unavailable: also when a part of them has to be given again.
        """
        found = self.begin_some(orders, may_block=may_block)
        if found.later:
            raise Unavailable("flows", f"{len(found.later)} runs wait for what is not here yet")
        return found.runs

    def begin_some(self, orders: Sequence[Order], *, may_block: bool = False) -> Begun:
        """
        Make runs, many at once. One that was made before is not made again; one that was begun and did not come to its
        end goes on. A run of a flow that is deleted or switched off, of an event or a person that is gone, is not made.

        Args: may_block: whether calls of other systems are made, and long nodes are run; else such a run is kept, and
            goes on elsewhere.

        Raises: Unavailable: the same again.
        """
        wanted = {run_id(order.flow, order.version, order.fired): order for order in orders}
        there = self._store.flow_runs(list(wanted))
        runs, later = [], []
        left: dict[str, str] = {}
        fresh: list[tuple[KeptRun, CompiledFlow]] = []
        for id, order in wanted.items():
            kept = there.get(id)
            if kept is not None and kept.state != "waiting":
                runs.append(kept)
                continue
            try:
                fresh.append(self._to_make(id, order, kept))
            except NotKnown as exc:
                if self._is_late(id):
                    left[id] = "no_version"
                    log.error("flow.version_not_there", flow=order.flow, version=order.version, why=str(exc))
                else:
                    later.append(order)
            except Off:
                left[id] = "off"
            except Unusable as exc:
                left[id] = "unusable"
                log.error("flow.unusable", flow=order.flow, version=order.version, why=str(exc))
        self._remind(runs)
        works, gone, moving = self._works(fresh, {})
        left |= gone
        for id in moving:
            if self._is_late(id):
                left[id] = "no_profile"
            else:
                later.append(wanted[id])
        waits = {run_id(order.flow, order.version, order.fired) for order in later}
        for id in wanted.keys() - waits:
            self._missing_since.pop(id, None)
        for id, why in left.items():
            LEFT.labels(wanted[id].flow, why).inc()
        made = self._make(works, may_block=may_block)
        return Begun([*runs, *made], later, [(wanted[id], why) for id, why in left.items()])

    def go_on(
        self, ids: Sequence[str], *, resumed: Mapping[str, Resumed] = {}, may_block: bool = True
    ) -> list[KeptRun]:
        """
        Go on with runs that were kept: those that wait, and paused ones of which a pause ends.

        Args:
            resumed: By run, pauses that end because of an event (or None: because somebody says so). Those whose time
                has come end anyway.

        Returns: those that are there, as they are then; one that is `waiting` yet has to be given again.

        Raises: Unavailable: the same again.
        """
        there = self._store.flow_runs(ids)
        found, some = [], []
        ending: dict[str, Resumed] = {}
        for kept in there.values():
            ends = _ending(kept, resumed.get(kept.id, {}), self._now_ms())
            if kept.state in OVER or (kept.state == "paused" and not ends):
                self._remind([kept])
                found.append(kept)
                continue
            try:
                some.append((kept, self._flows.get(kept.flow, kept.version)))
                ending[kept.id] = ends
            except (NotKnown, Unusable) as exc:
                found.append(self._without_flow(kept, str(exc)))
        works, gone, moving = self._works(some, ending)
        found += (there[id] for id in moving)
        for id, why in gone.items():
            LEFT.labels(there[id].flow, why).inc()
        return [*found, *self._make(works, may_block=may_block)]

    def concurrency(self, run: KeptRun) -> int:
        """How many runs of its flow may ask other systems at once; 0: any number. Raises Unavailable."""
        try:
            return self._flows.get(run.flow, run.version).limits.concurrency
        except (NotKnown, Unusable):
            return 0  # it asks nobody

    def _without_flow(self, kept: KeptRun, why: str) -> KeptRun:
        """A run whose version cannot be run here: another process may be able to, or this one once it is mended."""
        late_ms = self._now_ms() - (kept.changed_ms if kept.due_ms is None else max(kept.due_ms, kept.changed_ms))
        if late_ms < GIVE_UP_MS:
            log.warning("flow.cannot_go_on", flow=kept.flow, version=kept.version, run=kept.id, why=why)
            return kept
        over = failed(kept, f"it could not go on for {GIVE_UP_MS // 60_000} minutes: {why}", self._now_ms())
        if self._store.save_flow_runs([over]):
            return kept  # somebody else has gone on with it just now
        log.error("flow.run_failed", flow=kept.flow, run=kept.id, error=over.error)
        RUNS.labels(kept.flow, over.state).inc()
        return over

    def _to_make(self, id: str, order: Order, kept: KeptRun | None) -> tuple[KeptRun, CompiledFlow]:
        """Raises Off, NotKnown, Unusable, Unavailable."""
        if kept is not None:
            return kept, self._flows.get(order.flow, order.version)
        return begun(id, order, self._now_ms()), self._flows.to_begin(order.flow, order.version)

    def _works(
        self, some: Sequence[tuple[KeptRun, CompiledFlow]], ending: Mapping[str, Resumed]
    ) -> tuple[list[_Work], dict[str, str], list[str]]:
        """
        With what they are about, in one read.

        Returns: also, by id, those that cannot be made and why; and those that cannot be made yet.
        """
        if not some:
            return [], {}, []
        now_ms = self._now_ms()  # before it is read: what is erased after that is erased with what the runs do, too
        read = self._store.run_documents(
            list(dict.fromkeys(kept.event for kept, _ in some if kept.event is not None)),
            list(dict.fromkeys(kept.profile_id for kept, _ in some if kept.profile_id)),
            list(dict.fromkeys(kept.session_id for kept, _ in some if kept.session_id)),
        )
        works: list[_Work] = []
        gone: dict[str, str] = {}
        moving: list[str] = []
        for kept, flow in some:
            if kept.profile_id and kept.profile_id not in read.profiles:
                if kept.profile_id in read.moving:
                    moving.append(kept.id)
                else:
                    gone[kept.id] = "no_profile"
            elif not kept.turn and kept.event is not None and kept.event[1] not in read.events:
                gone[kept.id] = "no_event"
            else:
                works.append(_Work(kept, flow, read, now_ms, ending.get(kept.id, kept.resumed)))
        return works, gone, moving

    def _make(self, works: list[_Work], *, may_block: bool) -> list[KeptRun]:
        """All of them, as far as they go."""
        if self._traces is None or not works:
            return self._made(works, may_block=may_block)
        with self._traces.legs([work.kept for work in works]):
            return self._made(works, may_block=may_block)

    def _made(self, works: list[_Work], *, may_block: bool) -> list[KeptRun]:
        may_block = may_block and self._outward is not None
        made: list[KeptRun] = []
        until_ns = self._clock_ns() + TURN_NS
        while works:
            if any(work.refusals > REFUSALS for work in works):
                raise Unavailable("flows", "somebody else makes the same runs all the time")
            for work in works:
                self._run(work, may_block=may_block)
                self._beat()
            works, over = self._round(works, may_block=may_block)
            made += over
            works, over = self._anew(works, is_late=self._clock_ns() > until_ns)
            made += over
            self._beat()
        return self._with_meanwhile(made, may_block=may_block)

    def _with_meanwhile(self, made: list[KeptRun], *, may_block: bool) -> list[KeptRun]:
        """Also those whose pauses have ended before anybody could know that they had begun."""
        waiting = [one for one in made if one.state == "paused" and one.waits]
        resumed = self._meanwhile(waiting) if waiting else {}
        if not resumed:
            return made
        again = {one.id: one for one in self.go_on(list(resumed), resumed=resumed, may_block=may_block)}
        return [again.get(one.id, one) for one in made]

    def _run(self, work: _Work, *, may_block: bool) -> None:
        """As far as it goes without others; look-ups are answered here. Raises Unavailable: the store is."""
        began_ns = self._clock_ns()
        work.records, work.messages = [], []
        try:
            if work.documents is _NOTHING:
                self._open(work)
            while True:
                work.found = self._found(work)
                lookups = {node: ask for node, ask in work.found.wanted.items() if isinstance(ask, LookUp)}
                if not lookups:
                    break
                work.answers = {**work.answers, **{node: self._look(ask) for node, ask in lookups.items()}}
            if may_block and _is_before_long(work.found):
                with self._long_turn(work.kept.id) as is_mine:
                    if is_mine:
                        work.found = self._found(work, LONGEST_S)
            if work.found.state not in ("waiting", "stopped"):
                self._prepare(work)
        except Unavailable:
            raise
        except Exception as exc:
            # nobody else shall wait because of it, and it shall be found: among those that were stopped
            log.exception("flow.run_raised", flow=work.kept.flow, run=work.kept.id)
            self._stop(work, f"{type(exc).__name__}: {exc}")
        SECONDS.labels(work.kept.flow).observe((self._clock_ns() - began_ns) / 1e9)

    def _open(self, work: _Work) -> None:
        """Its documents; each run has its own, so that a node that changes what it sees does so to no other run."""
        kept, read = work.kept, work.read
        event = read.events.get(kept.event[1]) if kept.event is not None else None
        work.documents = Documents(
            _decode(event) if event is not None else {},
            _decode(read.profiles[kept.profile_id]) if kept.profile_id else {},
            _decode(read.sessions[kept.session_id]) if kept.session_id in read.sessions else {},
        )
        work.ran_ms = ran_ms(work.now_ms, work.documents.profile)
        if work.ran_ms - work.now_ms <= SKEW_MS:
            work.now_ms = work.ran_ms
        if not kept.turn:
            fired = kept.fired if event is None else fired_by(work.documents.event, kept.fired.at_ms)
            work.kept = msgspec.structs.replace(kept, fired=fired, began_ms=work.now_ms)

    def _found(self, work: _Work, long_s: float = 0.0) -> Run:
        kept = work.kept
        return run(
            work.flow,
            kept.fired,
            work.documents,
            now_ms=work.now_ms,
            saved=kept.saved,
            answers=work.answers,
            resumed=work.resumed,
            clock_ns=self._clock_ns,
            long_s=long_s,
        )

    def _prepare(self, work: _Work) -> None:
        """What goes out, as bytes."""
        kept, found = work.kept, work.found
        work.messages = [effect for _, effect in found.effects if isinstance(effect, SendMessage)]
        work.records = [
            (key, encode_inbound(record))
            for key, record in records(
                kept.id,
                kept.flow,
                kept.version,
                kept.profile_id,
                kept.session_id,
                found.effects,
                now_ms=work.ran_ms,
                definitions_offset=self._flows.offset,
                depth=kept.fired.depth,
            )
        ]
        largest = max((len(value) for _, value in work.records), default=0)
        if largest > MAX_RECORD_BYTES - ROOM_BYTES:
            self._stop(work, f"what it wants done is {largest:,} bytes; a record has at most {MAX_RECORD_BYTES:,}")

    def _round(self, works: list[_Work], *, may_block: bool) -> tuple[list[_Work], list[KeptRun]]:
        """
        Save, do, save.

        Returns: those that have to be run again, as their calls are answered or somebody else has saved them; and those
        that are as far as they go.
        """
        handed = [work for work in works if _is_before_long(work.found) or (_is_outward(work) and not may_block)]
        calling = [work for work in works if work.found.state == "waiting" and work not in handed]
        ready = [work for work in works if work not in handed and work not in calling]
        # what does nothing that can be seen needs no note of what it was about to do
        doing = [work for work in ready if work.records or work.messages]
        refused = self._save(
            [unsettled(work.kept, work.found, work.resumed, work.now_ms) for work in (*handed, *calling, *doing)],
            (*handed, *calling, *doing),
            durable=bool(handed),
        )
        undone = self._do([work for work in doing if work.kept.id not in refused])
        over = [work for work in ready if work.kept.id not in refused and work.kept.id not in undone]
        refused |= self._settle(over)
        made = [work.kept for work in (*over, *handed) if work.kept.id not in refused]
        made += (work.kept for work in doing if work.kept.id in undone)
        self._remind(made)
        for work in over:
            self._tell(work)
        again = [work for work in calling if work.kept.id not in refused]
        self._call(again)
        return [*again, *self._reread([work for work in works if work.kept.id in refused], made)], made

    def _anew(self, works: Sequence[_Work], *, is_late: bool) -> tuple[list[_Work], list[KeptRun]]:
        """
        Those that come from a long node go on with what there is by now.

        Args: is_late: they go on elsewhere.

        Returns: those that have to be run again; and those that are as far as they go.
        """
        behind = [work for work in works if work.found.steps and not work.found.wanted]
        if not behind:
            return list(works), []
        others = [work for work in works if work not in behind]
        if is_late:
            return others, [work.kept for work in behind]
        ending = {work.kept.id: work.resumed for work in behind}
        fresh, gone, moving = self._works([(work.kept, work.flow) for work in behind], ending)
        for work in behind:
            if work.kept.id in gone:
                LEFT.labels(work.kept.flow, gone[work.kept.id]).inc()
        return [*others, *fresh], [work.kept for work in behind if work.kept.id in moving]

    def _save(self, runs: list[KeptRun], works: Sequence[_Work], *, durable: bool) -> set[str]:
        """Returns ids of those that were refused; the others are as they were saved from now on."""
        if not runs:
            return set()
        refused = set(self._store.save_flow_runs(runs, durable=durable))
        for work, kept in zip(works, runs, strict=True):
            if kept.id not in refused:
                work.kept = kept
        return refused

    def _settle(self, works: Sequence[_Work]) -> set[str]:
        kept = [ended(work.kept, work.found, settled(work.found.saved), work.now_ms) for work in works]
        refused = self._save(kept, works, durable=any(one.state == "paused" for one in kept))
        for work in works:
            if work.kept.id not in refused:
                RUNS.labels(work.kept.flow, work.kept.state).inc()
        return refused

    def _do(self, works: Sequence[_Work]) -> set[str]:
        """All that these want. Returns ids of those of which something is left to do."""
        out = [pair for work in works for pair in work.records]
        if out:
            try:
                self._put(out)
            except Refused:
                for work in works:  # one of them is at fault
                    try:
                        self._put(work.records)
                    except Refused as exc:
                        work.messages = []
                        self._stop(work, str(exc))
        senders = [work for work in works if work.messages]
        if not senders or self._outward is None:
            return set()
        try:
            self._outward.send([message for work in senders for message in work.messages])
        except Unavailable:
            return {work.kept.id for work in senders if not self._has_sent(work)}
        return set()

    def _has_sent(self, work: _Work) -> bool:
        """One at a time, so that nobody waits for another's destination."""
        try:
            if self._outward is not None:
                self._outward.send(work.messages)
        except Unavailable as exc:
            log.warning("flow.not_sent", flow=work.kept.flow, run=work.kept.id, why=str(exc))
            return False
        return True

    def _call(self, works: Sequence[_Work]) -> None:
        """Make the calls of these, several at a time."""
        asks = [(work, node, ask) for work in works for node, ask in work.found.wanted.items()]
        if len(asks) > 1:
            with ThreadPoolExecutor(min(CALLERS, len(asks)), thread_name_prefix="calls") as pool:
                answers = list(pool.map(self._answer, [(work.kept, ask) for work, _, ask in asks]))
        else:
            answers = [self._answer((work.kept, ask)) for work, _, ask in asks]
        for (work, node, _), answer in zip(asks, answers, strict=True):
            work.answers = {**work.answers, node: answer}

    def _answer(self, asked: tuple[KeptRun, Ask]) -> Answer:
        run, ask = asked
        if self._outward is None or not isinstance(ask, CallHttp):
            raise TypeError(f"nobody here makes {ask!r:.200}")
        if self._traces is not None:
            return self._traces.call(run, ask, self._outward.call)
        return self._outward.call(ask)

    def _reread(self, works: Sequence[_Work], made: list[KeptRun]) -> list[_Work]:
        """Those that somebody else has saved meanwhile: from there, if anything is left of them."""
        if not works:
            return []
        there = self._store.flow_runs([work.kept.id for work in works])
        again = []
        for work in works:
            kept = there.get(work.kept.id)
            if kept is None:
                LEFT.labels(work.kept.flow, "erased").inc()
            elif kept.state == "waiting":
                again.append(_Work(kept, work.flow, work.read, work.now_ms, {**work.resumed, **kept.resumed}))
                again[-1].refusals = work.refusals + 1
            else:
                made.append(kept)
        return again

    def _remind(self, runs: Collection[KeptRun]) -> None:
        """Whoever has to know of these does; twice does no harm. Raises Unavailable."""
        waiting = [one.id for one in runs if one.state == "waiting"]
        if waiting:
            self._elsewhere.go_on(waiting)
        due = {second(one.due_ms) for one in runs if one.due_ms is not None}
        if due:
            self._scheduled.at(sorted(due))

    def nothing(self, event_ids: Sequence[str]) -> None:
        """These events let no flow run, and somebody waits to hear what flows answer."""
        for id in event_ids:
            self._answers.nothing(id)

    def _tell(self, work: _Work) -> None:
        """Whoever waits for it."""
        kept = work.kept
        flows = waited_for(work.documents.event)
        if flows and kept.event is not None:
            self._answers.put(kept.event[1], kept.flow, kept.response, flows)

    def _stop(self, work: _Work, why: str) -> None:
        """Nothing that it wants is done."""
        work.records, work.messages = [], []
        work.found = work.found._replace(state="stopped", error=why, effects=[], response={}, wanted={})

    def _is_late(self, id: str) -> bool:
        """
        Whether it was asked for in vain for long enough. That it was triggered long ago says nothing: this process may
        have been away, and the clock of who received the event may be another.
        """
        now_ms = self._clock_ns() // 1_000_000
        return now_ms - self._missing_since.setdefault(id, now_ms) > PATIENCE_MS


def _is_outward(work: _Work) -> bool:
    """Whether others have to be asked or told."""
    return work.found.state == "waiting" or bool(work.messages)


def _is_before_long(found: Run) -> bool:
    """Whether it stands in front of a long node, which somebody else may run."""
    return found.state == "waiting" and not found.wanted and found.steps[-1].state == "waiting"


def _ending(kept: KeptRun, given: Resumed, now_ms: int) -> dict[str, Any]:
    """Pauses of a run that end."""
    paused = kept.saved.paused
    due = {node: None for node, pause in paused.items() if pause.until_ms <= now_ms}
    return {**due, **kept.resumed, **{node: event for node, event in given.items() if node in paused}}
