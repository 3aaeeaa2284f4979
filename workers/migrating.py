"""Tasks on the RQ queue `migration:worker`: documents of the predecessor's Elasticsearch, index by index."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec

from hub.definitions.secrets import KEY
from hub.egress import check
from hub.errors import Refused
from hub.imports import rows
from hub.imports.convert import Converted
from hub.imports.elastic import Asked, Cluster, Elastic
from hub.imports.outlet import Outlet, Shipment
from hub.jobs.kind import Failed
from hub.migration import look
from hub.migration.fates import Fate, converted, counts, hide, judged, shown
from hub.migration.installation import TIMED, Index, Installation, chosen
from hub.migration.made import Document, Takeover
from hub.migration.spec import TakeoverSpec, cluster_of
from hub.model import EventKey, Wanted
from hub.pipeline.privacy import PROFILE, mark
from hub.pipeline.records import lookup_partitions
from hub.stack.keys import secret_key
from hub.stack.sealing import sealing_of
from hub.task import MOST_SAMPLES, Page, Planned, Slice, Task
from schemas.codec import encode_inbound
from workers.jobs.desk import Desk

SAVE_EVERY_S: Final = 0.25
"""Between two checkpoints: each is a transaction of the store's."""
PAGES_AHEAD: Final = 4
"""That are under way while the next one is read."""


class _Sent(NamedTuple):
    page: rows.Page
    fates: list[Fate]
    shipment: Shipment | None


class Migrating:
    """See Work."""

    def __init__(self, desk: Desk) -> None:
        """Opens nothing yet."""
        self._desk = desk
        settings = desk.settings
        self._environ = {**os.environ, KEY: secret_key(settings.secret_key, settings.data)}

    def plan(self, task: Task) -> Iterable[Planned]:
        """A slice for each index, also for those that are left: so the report has all of them."""
        spec = TakeoverSpec.model_validate(task.arguments)
        with self._failing(), Asked(self._cluster(spec)) as asked:
            one = _chosen(asked, spec)
            return [
                Planned({"what": index.name, "kind": index.kind, "installation": one.id}, look.count(asked, index))
                for index in one.indices
            ]

    def pages(self, task: Task, part: Slice) -> Iterator[Page]:
        """See Work."""
        spec, kind = TakeoverSpec.model_validate(task.arguments), part.spec["kind"]
        with self._failing():
            if kind in TIMED and spec.wants(kind):
                yield from self._documents(task, part, spec)
            elif part.total and not part.done:
                yield _left(part, spec)

    def _documents(self, task: Task, part: Slice, spec: TakeoverSpec) -> Iterator[Page]:
        cluster, kind, total = self._cluster(spec), part.spec["kind"], part.total
        takeover = Takeover(part.spec["installation"], task.id, spec.apply_events, self._desk.catalogue().offset)
        with ExitStack() as stack:
            asked = stack.enter_context(Asked(cluster))
            indices = _chosen(asked, spec).of(kind)
            source = stack.enter_context(Elastic(cluster._replace(name=part.spec["what"])))
            outlet = None if spec.dry_run else stack.enter_context(self._outlet(spec))
            mine = _Index(kind, indices, asked, takeover)
            under_way: deque[_Sent] = deque()
            landed: list[_Sent] = []
            done, saved_at = part.done, time.monotonic()
            for page in chain(source.pages(part.at and part.at["position"]), [None]):
                if page is not None:
                    under_way.append(self._sent(page, mine, outlet))
                while under_way and (page is None or len(under_way) > PAGES_AHEAD or _is_done(under_way[0])):
                    landed.append(_landed(under_way.popleft(), outlet))
                if landed and (page is None or time.monotonic() - saved_at >= SAVE_EVERY_S):
                    yield _page(kind, landed, done, total)
                    done, saved_at, landed = max(done, landed[-1].page.done), time.monotonic(), []

    def _sent(self, page: rows.Page, mine: _Index, outlet: Outlet | None) -> _Sent:
        now_ms = self._desk.now_ms()
        documents = [_document(row) for row in page.rows]
        copies = look.copies(mine.asked, mine.indices, [document.id for document in documents])
        fates = converted(mine.kind, documents, copies, mine.takeover, now_ms)
        fates = judged(fates, self._origins(fates, now_ms), self._erased(fates), mine.takeover)
        hide(fates, self._desk.catalogue())
        if outlet is None:
            return _Sent(page, fates, None)
        return _Sent(page, fates, outlet.send([*_records(fates)]))

    def _origins(self, fates: Iterable[Fate], now_ms: int) -> dict[str, str]:
        """By event id, the origins of those events that the hub has."""
        keys = [
            EventKey(fate.made.event_id, lookup_partitions(fate.made.time_ms, now_ms))
            for fate in fates
            if fate.made is not None
        ]
        store = self._desk.store
        known = store.known(Wanted([], [], keys)).events
        where = [(key.id, partition) for key in keys if key.id in known for partition in key.partitions]
        return {id: _origin(document) for id, document in store.outcomes(where).items()} if where else {}

    def _erased(self, fates: Iterable[Fate]) -> frozenset[str]:
        """Of the profiles of these, those of people who were erased here, or want nothing kept."""
        key = self._desk.catalogue().identity_key
        ids = {fate.made.records[0][1]["profile_id"] for fate in fates if fate.made is not None} - {""}
        marks = {mark(PROFILE, id, key): id for id in ids}
        return frozenset(marks[one] for one in self._desk.store.voids(list(marks)) if one in marks)

    def _outlet(self, spec: TakeoverSpec) -> Outlet:
        desk = self._desk
        window = None if spec.priority == "live" else desk.window
        sealing = sealing_of(desk.settings)
        return Outlet(desk.settings.kafka, desk.settings.namespace, window, sealing and sealing.sealer)

    def _cluster(self, spec: TakeoverSpec) -> Cluster:
        """Raises Refused."""
        cluster = cluster_of(spec, self._environ)
        check([cluster.url], self._desk.settings.egress, "import")
        return cluster

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Raises Failed where a person has to act."""
        try:
            yield
        except Refused as exc:
            raise Failed(exc.detail) from exc


class _Index(NamedTuple):
    """What the pages of a slice have in common. `indices`: all of the kind."""

    kind: str
    indices: Sequence[Index]
    asked: Asked
    takeover: Takeover


def opened(desk: Desk, _: ExitStack) -> Migrating:
    """For one process: each task opens what it needs."""
    return Migrating(desk)


def _chosen(asked: Asked, spec: TakeoverSpec) -> Installation:
    found = look.found_in(asked)
    return chosen(found, version=spec.version, tenant=spec.tenant, production=spec.production)


def _document(row: rows.Row) -> Document:
    meta: Mapping[str, Any] = row.meta or {}
    return Document(meta["index"], meta["id"], row.value)


def _records(fates: Iterable[Fate]) -> Iterator[Converted]:
    for fate in fates:
        for key, record in fate.records:
            yield Converted(key.encode(), encode_inbound(record), 1)


def _origin(document: bytes) -> str:
    found: str = msgspec.json.decode(document)["metadata"]["origin"]
    return found


def _is_done(sent: _Sent) -> bool:
    return sent.shipment is None or sent.shipment.is_done


def _landed(sent: _Sent, outlet: Outlet | None) -> _Sent:
    """Raises Unavailable, Refused."""
    if sent.shipment is not None and outlet is not None:
        outlet.wait(sent.shipment)
    return sent


def _page(kind: str, landed: Sequence[_Sent], done: int, total: int) -> Page:
    """Several pages as one. Args: done, total: of the slice, before it."""
    fates = [fate for sent in landed for fate in sent.fates]
    last = landed[-1].page
    more = last.done if last.done > total else None
    return Page(
        {"position": last.position}, max(0, last.done - done), counts(kind, fates), shown(fates)[:MOST_SAMPLES], more
    )


def _left(part: Slice, spec: TakeoverSpec) -> Page:
    """Of an index of which nothing is taken here."""
    index = Index(part.spec["what"], "", "", "", part.spec["kind"], "")
    why = look.what_of(index)
    if why == "taken":
        why = f"only {' and '.join(spec.only)} were asked for"
    elif why == "definitions":
        why = "`hub migrate takeover` takes definitions"
    total, kind = part.total, index.kind
    return Page({"position": None}, total, {f"{kind} read": total, f"{kind} left": total, f"{kind} left: {why}": total})
