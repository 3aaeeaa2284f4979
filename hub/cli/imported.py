"""What `hub import` does with its options: finds the hub, imports, shows how far it is, prints the report."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from hub.cli.brokers import kafka_of
from hub.definitions.catalogue import Catalogue
from hub.definitions.secrets import KEY
from hub.imports import local
from hub.imports import run as imports
from hub.imports.checkpoint import Checkpoint, Saved, after, begin
from hub.imports.importer import Bad, Counts
from hub.imports.outlet import Outlet
from hub.imports.rows import Shape
from hub.imports.sources import Reach
from hub.imports.spec import ImportSpec
from hub.log.admin import LogAdmin
from hub.log.bulk import BulkWindow
from hub.log.follower import Follower
from hub.log.progress import Progress as Committed
from hub.settings import Settings
from hub.stack import state
from hub.stack.keys import identity_key, secret_key
from hub.stack.sealing import sealing_of
from hub.store.factory import open_store
from hub.store.port import Store

SAVE_EVERY_S: Final = 0.2
SHOW_EVERY_S: Final = 0.1
LINE_EVERY_S: Final = 5.0
SHOWN_BAD: Final = 10
SHOWN_COLUMNS: Final = 50
SHOWN_CHARS: Final = 2_000


class Place(NamedTuple):
    """The hub that gets the rows. `settings`: with its brokers, namespace and data folder filled in."""

    settings: Settings
    environ: Mapping[str, str]
    now_ms: Callable[[], int]

    @property
    def checkpoints(self) -> Path:
        """Where those of imports lie."""
        return self.settings.data / "imports"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How it went. `resumed_at`: rows that earlier runs had read."""

    id: str
    location: str
    finished: bool
    read: int
    sent: int
    dead: int
    dropped: int
    events: int
    resumed_at: int
    misfits: dict[str, int]
    took_s: float
    bad: list[dict[str, str]]


def place(
    settings: Settings, data: Path | None, bootstrap: str, environ: Mapping[str, str], now_ms: Callable[[], int]
) -> Place:
    """The hub that runs here, or that settings name. Raises typer.BadParameter."""
    folder = (data or settings.data).absolute()
    running = state.read(folder) if folder.is_dir() else None
    kafka = kafka_of(settings.kafka, running, bootstrap)
    found = {"kafka": kafka, "data": folder, "namespace": running.namespace if running else settings.namespace}
    return Place(settings.model_copy(update=found), environ, now_ms)


def rehearse(spec: ImportSpec, place: Place, rows: int, *, as_json: bool) -> bool:
    """Show what would be made of the first rows. Returns whether some are bad. Raises HubError."""
    with _site(place) as site:
        seen = imports.rehearse(spec, site, rows)
    if as_json:
        typer.echo(msgspec.json.encode(_as_object(seen)).decode())
        return bool(seen.counts.dead)
    for line in _shape(spec, seen.shape):
        typer.echo(line)
    for payload in seen.events:
        text = json.dumps(json.loads(bytes(payload)), indent=2, ensure_ascii=False)
        typer.echo(text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…")
    for line in _bad(seen.bad, seen.counts.dead):
        typer.echo(line)
    counts = seen.counts
    typer.echo(
        f"{'all' if seen.whole else 'the first'} {counts.read:,} rows: {counts.events:,} events, {counts.dead:,} dead "
        f"letters, {counts.dropped:,} dropped. Nothing was sent"
    )
    return bool(seen.counts.dead)


def run(spec: ImportSpec, place: Place, *, resume: bool, as_json: bool) -> bool:
    """Import, and say how it went. Returns whether some rows are dead letters. Raises HubError."""
    checkpoint = Checkpoint(place.checkpoints, spec.id)
    before = checkpoint.read()
    if before is not None and not resume and not before.finished and before.position is not None:
        typer.echo(
            f"the last import of {spec.id!r} stopped behind {before.counts.read:,} rows; this one begins anew, which "
            "stores nothing twice. --resume goes on there",
            err=True,
        )
    started = time.monotonic()
    # rows come and go by the thousand: what is imported by now stays, and the rest is looked through seldom
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    with ExitStack() as stack:
        site = stack.enter_context(_site(place))
        began_ms = place.now_ms() if before is None else before.began_ms
        one = stack.enter_context(imports.opened(spec, site, began_ms))
        saved = begin(before, id=spec.id, location=spec.location, source=one.source, resume=resume, now_ms=began_ms)
        first = saved
        bad: list[Bad] = []
        checkpoint.write(saved)
        outlet = stack.enter_context(_outlet(spec, place))
        show = stack.enter_context(_shown(spec.id, one.source.total))
        saved_at = started
        try:
            for step in one.importer(outlet).run(saved.position):
                saved = after(saved, step)
                bad += step.bad[: SHOWN_BAD - len(bad)]
                now = time.monotonic()
                if now - saved_at >= SAVE_EVERY_S:
                    saved_at = now
                    checkpoint.write(saved)
                show(saved.counts, step.done, saved.counts.read - first.counts.read)
            saved = msgspec.structs.replace(saved, finished=True)
        finally:
            checkpoint.write(saved)
            report = _report(spec, saved, first, bad, getattr(one.source, "misfits", {}), time.monotonic() - started)
            _print(report, as_json=as_json)
    return bool(saved.counts.dead)


def _report(
    spec: ImportSpec, saved: Saved, first: Saved, bad: list[Bad], misfits: Mapping[str, int], took_s: float
) -> Report:
    return Report(
        id=spec.id,
        location=spec.location,
        finished=saved.finished,
        resumed_at=first.counts.read,
        misfits=dict(misfits),
        took_s=round(took_s, 3),
        bad=[each._asdict() for each in bad],
        **saved.counts._asdict(),
    )


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
        return
    for line in _bad([Bad(**each) for each in report.bad], report.dead):
        typer.echo(line, err=True)
    for column, cells in report.misfits.items():
        typer.echo(
            f"{column}: {cells:,} cells are texts, unlike those of the first rows (--type {column}=text)", err=True
        )
    done = report.read - report.resumed_at
    rate = done / report.took_s if report.took_s else 0.0
    behind = f", {report.resumed_at:,} of them before" if report.resumed_at else ""
    typer.echo(
        f"{'imported' if report.finished else 'stopped:'} {report.read:,} rows{behind}: {report.events:,} events, "
        f"{report.dead:,} dead letters, {report.dropped:,} dropped; {report.took_s:,.1f} s ({rate:,.0f} rows/s)"
    )


@contextmanager
def _site(place: Place) -> Iterator[imports.Site]:
    """Raises Unavailable: Kafka is away, or the definitions cannot be read."""
    settings = place.settings
    LogAdmin(settings.kafka, settings.namespace).ping()  # who is away is to be said soon
    catalogue = Catalogue(identity_key(settings.identity.key, settings.data))
    environ = {**place.environ, KEY: secret_key(settings.secret_key, settings.data)}
    with Follower(settings.kafka, settings.namespace, catalogue), closing(_Blobs(settings.store_url)) as blobs:
        yield imports.Site(
            catalogue=catalogue,
            limits=settings.limits,
            blobs=blobs,
            settings=settings.imports,
            reach=Reach(local.anywhere, environ, settings.egress),
            now_ms=place.now_ms,
        )


@contextmanager
def _outlet(spec: ImportSpec, place: Place) -> Iterator[Outlet]:
    settings = place.settings
    sealing = sealing_of(settings)
    with ExitStack() as stack:
        window = None
        if spec.priority == "normal":
            committed = stack.enter_context(closing(Committed(settings.kafka, settings.namespace)))
            window = stack.enter_context(BulkWindow(committed, settings.bulk))
        yield stack.enter_context(Outlet(settings.kafka, settings.namespace, window, sealing and sealing.sealer))


class _Blobs:
    """The store's, opened when the first row comes that is too large for a record: most never do."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: Store | None = None

    def put_blob(self, data: bytes) -> str:
        if self._store is None:
            self._store = open_store(self._url)
        return self._store.put_blob(data)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()


def _shape(spec: ImportSpec, shape: Shape) -> Iterator[str]:
    yield f"{spec.location} (import {spec.id})"
    for name, fact in shape.facts.items():
        yield f"  {name}: {fact}"
    for column in shape.columns[:SHOWN_COLUMNS]:
        yield f"    {column.name}: {column.type}"
    if len(shape.columns) > SHOWN_COLUMNS:
        yield f"    … and {len(shape.columns) - SHOWN_COLUMNS:,} more columns"


def _bad(bad: list[Bad], dead: int) -> Iterator[str]:
    for each in bad:
        yield f"{each.row}: {each.reason}: {each.detail}"
    if dead > len(bad):
        yield f"… and {dead - len(bad):,} more dead letters: hub dead-letters list"


def _as_object(seen: imports.Rehearsal) -> dict[str, Any]:
    return {
        "shape": {"facts": dict(seen.shape.facts), "columns": [each._asdict() for each in seen.shape.columns]},
        "counts": seen.counts._asdict(),
        "whole": seen.whole,
        "events": seen.events,
        "bad": [each._asdict() for each in seen.bad],
    }


@contextmanager
def _shown(label: str, total: int) -> Iterator[Callable[[Counts, int, int], None]]:
    """A progress bar on a terminal, a line every five seconds elsewhere; both on stderr."""
    console = Console(stderr=True)
    started = told_at = time.monotonic()
    every_s = SHOW_EVERY_S if console.is_terminal else LINE_EVERY_S
    columns = TextColumn(label), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[figures]}")
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("import", total=total or None, figures="")

        def show(counts: Counts, done: int, now_read: int) -> None:
            nonlocal told_at
            now = time.monotonic()
            if now - told_at < every_s:
                return
            told_at = now
            figures = f"{counts.read:,} rows, {now_read / (now - started):,.0f}/s"
            figures += f", {counts.dead:,} dead" if counts.dead else ""
            if console.is_terminal:
                bar.update(task, completed=done, figures=figures)
            else:
                part = f", {done / total:.0%}" if total else ""
                sys.stderr.write(f"{label}: {figures}{part}\n")

        yield show
