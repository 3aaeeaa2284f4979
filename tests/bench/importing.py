"""
One import as `hub import` does it: `python -m tests.bench.importing BOOTSTRAP NAMESPACE DATA FILE ID`.

A mapping of ten fields, at full speed (`--priority live`). Prints rows a second, processor time and the most memory as
JSON.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from pathlib import Path

import msgspec
import psutil

from hub.cli import imported
from hub.imports.spec import ImportSpec
from hub.settings import Kafka, Settings
from tests.bench.payloads import SOURCE, TEN_FIELDS


def main(bootstrap: str, namespace: str, data: Path, path: Path, id: str) -> None:
    """Import a file, and print what it took."""
    settings = Settings(kafka=Kafka(bootstrap=bootstrap), namespace=namespace, data=data)
    spec = ImportSpec(id=id, location=str(path), source=SOURCE, mapping=dict(TEN_FIELDS), priority="live")
    place = imported.place(settings, data, bootstrap, os.environ, lambda: time.time_ns() // 1_000_000)
    own = psutil.Process()
    used, at = own.cpu_times(), time.perf_counter()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        imported.run(spec, place, resume=False, as_json=True)
    wall_s = time.perf_counter() - at
    now = own.cpu_times()
    report = msgspec.json.decode(said.getvalue())
    assert report["finished"]
    assert report["dead"] == 0
    rows = report["read"]
    cpu_s = now.user + now.system - used.user - used.system
    status = Path("/proc/self/status").read_text()  # not ru_maxrss, which knows of whoever started us, too
    memory_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    figures = {"rate": rows / wall_s, "cpu_s_per_100k": cpu_s / rows * 100_000, "memory_mb": memory_mb}
    print(msgspec.json.encode(figures).decode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
