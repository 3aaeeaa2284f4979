"""What the processes load until they ask for Kafka, and what they do not: users wait for it, and the tests do."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import pytest

START: Final = """
import sys, typer
from hub.cli import serve
for process in sys.argv[1].split():
    try:
        getattr(serve, process)()
    except typer.Exit as exc:
        assert exc.exit_code == 78, process  # there is no Kafka in the settings
    else:
        raise AssertionError(process)
print(*sys.modules)
"""
RARE: Final = {
    "phonenumbers",  # for an identifier that is a phone number
    "opentelemetry.exporter",  # these three: telemetry is off
    "hub.telemetry.tracing",
    "hub.telemetry.export",
    "boto3",  # these: bridges, destinations and imports that are defined; stores
    "nats",
    "pika",
    "psycopg",
    "elasticsearch",
    "pyarrow",
}


@pytest.mark.parametrize(
    ("processes", "rare"),
    [
        ("api", {"httpx", "faust", "aiohttp"}),
        ("collector bridges worker", {"httpx", "faust", "aiohttp", "fastapi", "uvicorn"}),
        ("agents", {"httpx", "fastapi", "uvicorn"}),
    ],
)
def test_a_process_loads_what_it_runs(processes: str, rare: set[str]) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    done = subprocess.run(
        [sys.executable, "-c", START, processes], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert {name for name in RARE | rare for one in loaded if f"{one}.".startswith(f"{name}.")} == set()
