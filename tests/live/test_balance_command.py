"""`hub balance`: what it shows, and how it ends when something is off."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.model import Batch, CounterKey, Counts
from hub.settings import Kafka
from tests.live.api import KEY, Running, running
from tests.live.whole_hub import HUB, ROOT, environment


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        yield hub


def count(hub: Running, **counts: int) -> None:
    """In this minute, of a source whose name is no markup."""
    key = CounterKey(1, 0, "[bold]shop", int(time.time()) // 60)
    counters = {key: Counts(**counts)}
    hub.store.write(
        Batch(epoch=1, progress={}, events=[], profiles=[], sessions=[], dead_letters=[], counters=counters)
    )


def start(hub: Running, folder: Path, *arguments: str, key: str = KEY) -> subprocess.Popen[str]:
    variables = environment(HUB_ADMIN_KEY=key, HUB_DATA=str(folder))
    command = [*HUB, "balance", *arguments, "--url", str(hub.admin.base_url)]
    return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def ask(hub: Running, folder: Path, *arguments: str, key: str = KEY) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    process = start(hub, folder, *arguments, key=key)
    out, err = await asyncio.to_thread(process.communicate, None, 60)
    return process.returncode, out, err


async def test_a_balance_that_adds_up(hub: Running, tmp_path: Path) -> None:
    count(hub, received=1200, stored=1199, dead=1)
    code, out, _ = await ask(hub, tmp_path)
    assert code == 0
    assert "It adds up." in out
    assert [part.strip() for part in next(line for line in out.splitlines() if "[bold]shop" in line).split("│")][
        1:-1
    ] == ["[bold]shop", "1,200", "1,199", "0", "0", "1", ""]
    assert out.count("[bold]shop") == 1
    code, out, _ = await ask(hub, tmp_path, "--minutes", "5")
    assert out.count("[bold]shop") == 2
    code, out, _ = await ask(hub, tmp_path, "--json", "--minutes", "5")
    sheet = json.loads(out)
    assert (code, sheet["balanced"], len(sheet["rows"])) == (0, True, 1)


async def test_a_difference_is_named_and_is_the_exit_code(hub: Running, tmp_path: Path) -> None:
    count(hub, received=2, stored=1)
    code, out, _ = await ask(hub, tmp_path, "--verify")
    flat = " ".join(out.split())
    assert code == 1
    assert "IT DOES NOT ADD UP" in flat
    assert "2 received, but 1 stored + 0 duplicate + 0 dropped + 0 dead: 1 event unaccounted for" in flat
    assert "1 event counted as stored, but the store has 0: 1 missing" in flat
    assert "0 events counted in the store." in flat
    code, out, _ = await ask(hub, tmp_path, "--json")
    assert (code, json.loads(out)["balanced"]) == (1, False)


async def test_watching_shows_it_anew_until_it_is_stopped(hub: Running, tmp_path: Path) -> None:
    """The last look decides how it ends."""
    process = start(hub, tmp_path, "--watch", "--json")
    assert process.stdout is not None
    first = json.loads(await asyncio.to_thread(process.stdout.readline))
    count(hub, received=1)
    while True:
        later = json.loads(await asyncio.to_thread(process.stdout.readline))
        if later["totals"] != first["totals"]:
            break
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(process.communicate, None, 30)
    assert (first["balanced"], later["balanced"], process.returncode) == (True, False, 1)


async def test_without_an_answer_it_ends_with_2(hub: Running, tmp_path: Path) -> None:
    code, out, err = await ask(hub, tmp_path, key="wrong")
    assert (code, out) == (2, "")
    assert "401" in err
