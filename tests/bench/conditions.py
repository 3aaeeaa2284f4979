"""The machine, the versions and the commit under which something was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

from hub.stack.jars import locked

ROOT: Final = Path(__file__).parents[2]
CALLS: Final = 100_000


def machine() -> str:
    """What stays the same between two commits on one machine."""
    kafka = next(jar.version for jar in locked() if jar.artifact.startswith("kafka_2."))
    libraries = ", ".join(f"{name} {version(name)}" for name in ("confluent-kafka", "uvicorn", "uvloop", "msgspec"))
    return (
        f"{psutil.cpu_count()} cores ({_cpu_model()}), {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, Kafka {kafka} on the same "
        f"machine ({'external' if os.environ.get('HUB_TEST_KAFKA_URL') else 'embedded, one broker'}), {libraries}"
    )


def moment() -> str:
    """When, of what, how busy the machine was with other things, and how fast: a virtual one is so only at times."""
    busy = psutil.cpu_percent(interval=1.0)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}, machine {busy:.0f} % busy before the start, "
        f"{_call_ns():.0f} ns a call in Python"
    )


def _call_ns() -> float:
    """What calling a function that does nothing takes, in nanoseconds of processor time; the least of some tries."""

    def nothing() -> None:
        pass

    def once() -> float:
        began = time.process_time_ns()
        for _ in range(CALLS):
            nothing()
        return (time.process_time_ns() - began) / CALLS

    return min(once() for _ in range(10))


def _commit() -> str:
    try:
        name = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "hub", "bridges", "schemas")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git here)"
    return f"{name} with changes" if changed else name


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
