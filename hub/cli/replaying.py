"""What `hub replay` does with its options: finds the hub, shows how far it is, prints the report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

from hub.cli.brokers import kafka_of
from hub.cli.progress import Step, shown
from hub.pipeline.data_keys import Wrapping
from hub.pipeline.sealed import Sealer
from hub.replay.diff import Diff
from hub.replay.options import Options
from hub.replay.promotion import Promoted
from hub.replay.report import Report
from hub.replay.run import replay
from hub.replay.source import SKIPPED
from hub.settings import Settings
from hub.stack import state
from hub.stack.keys import identity_key, secret_key

SHOWN_CHARS: Final = 60
SHOWN_FIELDS: Final = 30


def options(
    settings: Settings, data: Path | None, bootstrap: str, environment: Mapping[str, str], **wanted: Any
) -> Options:
    """The options, with the hub that runs here filled in. Raises typer.BadParameter."""
    folder = (data or settings.data).absolute()
    running = state.read(folder) if folder.is_dir() else None
    kafka = kafka_of(settings.kafka, running, bootstrap)
    namespace = running.namespace if running else settings.namespace
    at = settings.model_copy(update={"data": folder, "namespace": namespace})
    wrapping = Wrapping(secret_key(settings.secret_key, folder))
    return Options(
        kafka=kafka,
        namespace=namespace,
        store_url=at.store_url,
        data=folder,
        bulk=settings.bulk,
        wrapping=wrapping,
        sealer=Sealer(wrapping, identity_key(settings.identity.key, folder)) if settings.privacy.shredding else None,
        environment={**environment, "HUB_DATA": str(folder)},
        **wanted,
    )


def run(wanted: Options, now_ms: int, *, as_json: bool) -> Report:
    """Replay, and print how it went. Raises what `hub.replay.run.replay` raises."""
    with shown(_figures) as show:
        report = replay(wanted, now_ms, show)
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        for line in lines(report):
            typer.echo(line)
    return report


def lines(report: Report) -> Iterator[str]:
    """The report, for people."""
    yield (
        f"{'would send' if report.dry_run else 'sent'} {report.events:,} events in {report.records:,} records "
        f"from {report.namespace} into {report.into}, in {report.took_s:,.1f} s"
    )
    yield f"  read {report.read['log']:,} records from the log, {report.read['store']:,} from the store"
    for why, count in report.skipped.items():
        if count:
            yield f"  skipped {count:,} records: {SKIPPED[why]}"
    if report.shadow is not None:
        figures = ", ".join(f"{count:,} {name}" for name, count in report.shadow.items())
        yield f"  events in {report.into}: {figures}"
    if report.diff is not None:
        yield from _diff(report.diff, report)
    if report.promoted is not None:
        yield ""
        yield from _promoted(report.promoted, report)


def _diff(diff: Diff, report: Report) -> Iterator[str]:
    yield ""
    yield f"profiles  {diff.live:,} in {report.namespace}, {diff.shadow:,} in {report.into}"
    for count, words, kind in (
        (diff.same, "are the same", ""),
        (diff.differ, "differ", "differ"),
        (diff.only_live, f"are only in {report.namespace}", "only_live"),
        (diff.only_shadow, f"are only in {report.into}", "only_shadow"),
        (diff.later, "were not compared: live has taken further events for them", ""),
    ):
        if count or words == "are the same":
            ids = diff.samples.get(kind, [])
            more = ["…"] if count > len(ids) else []
            yield f"  {count:,} {words}" + (f" ({', '.join([*ids, *more])})" if ids else "")
    if not report.whole:
        yield "  only a part was replayed: a profile of the shadow holds what that part has made of it"
    if diff.fields:
        yield ""
        yield "fields that differ"
    for field in diff.fields[:SHOWN_FIELDS]:
        yield f"  {field.path}: {field.profiles:,} profiles"
        for sample in field.samples:
            before, after = (_value(sample, side) for side in ("live", "shadow"))
            yield f"    {sample['profile']}: {before} -> {after}"
    left_out = len(diff.fields) - SHOWN_FIELDS
    if left_out > 0:
        yield f"  … and {left_out:,} more: see --json"


def _promoted(promoted: Promoted, report: Report) -> Iterator[str]:
    yield (
        f"promoted {report.into} into {report.namespace}: {promoted.profiles:,} profiles changed, "
        f"{len(promoted.definitions):,} definitions, paused for {promoted.paused_s:,.1f} s"
    )
    for name in promoted.definitions[:SHOWN_FIELDS]:
        yield f"  {name}"
    left_out = len(promoted.definitions) - SHOWN_FIELDS
    if left_out > 0:
        yield f"  … and {left_out:,} more: see --json"


def _value(sample: Mapping[str, Any], side: str) -> str:
    if side not in sample:
        return "nothing"
    text = json.dumps(sample[side], ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"


def _figures(step: Step) -> str:
    return f"{step.done:,}" + (f" of {step.total:,}" if step.total else "")
