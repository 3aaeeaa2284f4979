"""The demo as a user sees it: a hub, the purchases, the report, where to look next."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import stamina.instrumentation
from rich.console import Console

from hub.demo.client import Client
from hub.demo.run import FILE, Report, dollars, run
from hub.demo.screen import Screen
from hub.errors import Unavailable
from hub.settings import Settings
from hub.stack import state
from hub.stack.keys import admin_key


def show(settings: Settings, folder: Path, port: int, file: Path = FILE) -> bool:
    """
    Run the demo on a data folder. Returns whether every customer is exact and the books balance.

    Args:
        port: Of the hub that is started, if none runs on the folder.
        file: Of purchases; a part of it, say.

    Raises: Unavailable: the hub did not start, or does not answer. SendError: rows could not be sent.
    """
    screen = Screen(Console())
    stamina.instrumentation.set_on_retry_hooks([])  # a line a retry would bury what the demo shows
    with _hub(folder, port, screen) as running:
        with closing(Client(running.url, admin_key(settings.admin_key, folder))) as client:
            report = run(client, settings.kafka.model_copy(update={"bootstrap": running.kafka}), screen, file)
        _print(report, screen)
    if report.exact:
        _print_next(folder, running, screen)
    return report.exact


@contextmanager
def _hub(folder: Path, port: int, screen: Screen) -> Iterator[state.RunState]:
    """The hub that runs on this folder, or one that runs as long as the block."""
    running = state.read(folder) if folder.is_dir() else None
    if running is not None:
        screen.say(f"using the hub that runs on {folder}")
        yield running
        return
    hub = [sys.executable, "-m", "hub"]
    screen.say(f"starting a hub on {folder}")
    where = ["--data", str(folder)]
    # nothing of it is due at a time
    variables = {**os.environ, "HUB_AGENTS__UP": "false"}
    up = [*hub, "up", "--detach", *where, "--port", str(port)]
    if subprocess.run(up, env=variables, check=False).returncode:
        raise Unavailable("hub", f"did not start; its logs are in {folder / 'logs'}")
    try:
        started = state.read(folder)
        if started is None:
            raise Unavailable("hub", f"has ended again; its logs are in {folder / 'logs'}")
        yield started
    finally:
        subprocess.run([*hub, "down", *where], check=True, stdout=subprocess.DEVNULL)


def _print(report: Report, screen: Screen) -> None:
    totals = report.totals
    if report.new == 0:
        screen.say(f"nothing changed: all {report.rows:,} purchases were here already, and are counted as duplicates")
    elif report.new < report.rows:
        screen.say(f"{report.new:,} purchases were new, the others were here already")
    screen.say("")
    screen.say("balance sheet")
    for name in ("received", "stored", "duplicate", "dropped", "dead", "in_flight"):
        screen.say(f"  {name.replace('_', ' '):<10} {totals[name]:>12,}")
    screen.say(f"  balanced   {'yes' if report.balance['balanced'] else 'NO'!s:>12}")
    screen.say("")
    whole = report.sum
    screen.say(
        f"profiles: {report.customers:,} customers, {whole.purchases:,} purchases, {whole.cds:,} CDs, "
        f"{dollars(whole.dollars)} dollars"
    )
    for profile_id, difference in list(report.wrong.items())[:10]:
        screen.say(f"  WRONG {profile_id}: {difference}")
    if report.wrong:
        screen.say(f"{len(report.wrong):,} customers are not what the file says")
    else:
        screen.say("every customer's purchases, CDs, dollars, first and last day are exactly what the file says")
    screen.say("")
    screen.say("the five best customers")
    for profile_id, customer in report.best:
        screen.say(
            f"  {profile_id}  {dollars(customer.dollars):>10} dollars  {customer.cds:>5,} CDs  "
            f"{customer.purchases:>4,} purchases"
        )
    screen.say(f"\ntook {report.took_s:.1f} s after the start of the hub")


def _print_next(folder: Path, running: state.RunState, screen: Screen) -> None:
    best = "cdnow-00001"
    screen.say(
        f"""
Where to look next:
  .venv/bin/hub up --data {folder}
  curl -H "Authorization: Bearer $(cat {folder}/admin-key)" {running.url}/profiles/{best}
  curl -H "Authorization: Bearer $(cat {folder}/admin-key)" '{running.url}/events?q=profile.id={best}'
  {running.url}/console in a browser, once it is up: log in with the key in {folder}/admin-key
  {running.url}/docs, and README.md: send events of your own, connect a queue"""
    )
