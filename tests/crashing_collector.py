"""A collector that kills itself: `python -m tests.crashing_collector BOOTSTRAP NAMESPACE STORE_URL [POINT HIT]`."""

from __future__ import annotations

import os
import signal
import sys

from hub.collector.crash import CrashPoint
from hub.collector.run import Shredding, run_collector
from hub.pipeline.data_keys import Wrapping
from hub.settings import Collector, Health, Kafka

bootstrap, namespace, store_url, *crash = sys.argv[1:]
hits = 0


def at(point: CrashPoint) -> None:
    """SIGKILL at the wanted hit of the wanted point: no handler runs, no buffer is flushed."""
    global hits  # noqa: PLW0603 - one counter a process
    if crash and point == crash[0]:
        hits += 1
        if hits == int(crash[1]):
            os.kill(os.getpid(), signal.SIGKILL)


run_collector(
    kafka=Kafka(bootstrap=bootstrap),
    namespace=namespace,
    store_url=store_url,
    settings=Collector(batch_records=50),
    health=Health(),
    identity_key=b"",
    most_profiles=2_000,
    shredding=Shredding(Wrapping("secret"), seals=os.environ.get("HUB_PRIVACY__SHREDDING") == "true"),
    at=at,
)
