"""`hub chaos` as its user sees it: runs, one a seed, a report of each."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from hub.chaos import report
from hub.chaos.engine import SearchEngine, patiently
from hub.chaos.here import LEDGER, run_here
from hub.chaos.plan import Options
from hub.chaos.report import Result
from hub.chaos.there import run_there
from hub.settings import Store

FORGET_S: Final = 60.0


class Wanted(NamedTuple):
    """What the command line says. `store`: a search engine; `store_pid`: the file with its process id."""

    seconds: float
    faults: int
    seeds: Sequence[int]
    rate: float
    report: Path | None
    data: Path | None
    keep: bool
    url: str
    key: str
    bootstrap: str
    commands: Sequence[str]
    store: Store | None = None
    store_pid: Path | None = None


def show(wanted: Wanted, environment: Mapping[str, str], say: Callable[[str], None]) -> bool:
    """
    Run each seed and print its report. Returns whether every promise was kept.

    Args: environment: of the processes that are started.

    Raises: Unavailable and others, as hub.chaos.run.run.
    """
    base = (wanted.data or Path(tempfile.mkdtemp(prefix="hub-chaos-"))).absolute()
    results: list[Result] = []
    try:
        for seed in wanted.seeds:
            folder = base if len(wanted.seeds) == 1 else base / f"seed-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            results.append(_one(wanted, seed, folder, environment, say))
            for line in report.as_text(results[-1]):
                say(line)
            if wanted.report is not None:
                report.write(results, wanted.report)
    finally:
        good = len(results) == len(wanted.seeds) and all(result.good for result in results)
        if good and not wanted.keep and wanted.data is None:
            shutil.rmtree(base)
        else:
            say(f"ledger and logs are in {base}")
    if len(results) > 1:
        kept = sum(result.good for result in results)
        say(f"{kept} of {len(results)} seeds kept every promise")
    return good


def _one(wanted: Wanted, seed: int, folder: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> Result:
    if not wanted.url:
        options = Options(seed, f"s{seed}", wanted.seconds, wanted.faults, wanted.rate)
        if wanted.store is None:
            return asyncio.run(_stoppable(run_here(folder, options, environment, say, commands=wanted.commands)))
        # indices of its own: what an earlier run has left, or anybody else has there, is not touched
        namespace = f"chaos-{options.run}-{secrets.token_hex(4)}"
        with closing(SearchEngine(wanted.store, namespace, wanted.store_pid)) as engine:
            work = run_here(folder, options, environment, say, engine=engine, commands=wanted.commands)
            return _on(engine, work, wanted, say)
    # a name of its own: what an earlier run has left there must not be taken for this one's
    options = Options(seed, f"s{seed}-{secrets.token_hex(4)}", wanted.seconds, wanted.faults, wanted.rate)
    there = run_there(
        options,
        folder / LEDGER,
        say,
        url=wanted.url,
        key=wanted.key,
        bootstrap=wanted.bootstrap,
        commands=wanted.commands,
    )
    return asyncio.run(_stoppable(there))


def _on(engine: SearchEngine, work: Coroutine[Any, Any, Result], wanted: Wanted, say: Callable[[str], None]) -> Result:
    """Run it; what it leaves in the engine goes by the same rule as its ledger and logs."""
    is_kept = True
    try:
        result = asyncio.run(_stoppable(work))
        is_kept = wanted.keep or not result.good
    finally:
        if is_kept:
            say(f"what is stored is in the indices {engine.namespace}-* of {engine.place}")
        else:
            patiently(engine.forget, FORGET_S)  # it may be on its way back from the last fault
    return result


async def _stoppable(work: Coroutine[Any, Any, Result]) -> Result:
    """SIGTERM ends it as Ctrl-C does: with everything cleaned up."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work
