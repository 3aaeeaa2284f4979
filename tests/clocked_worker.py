"""A worker whose clock is ahead: `python -m tests.clocked_worker QUEUE MILLISECONDS`, set as `hub worker`."""

from __future__ import annotations

import sys

from hub.cli.settings import load
from hub.logs import configure
from workers.jobs.run import now_ms, run

queue, ahead = sys.argv[1:]
settings = load()
configure(settings.log)
run(settings, queue, now_ms=lambda: now_ms() + int(ahead))
