"""A promotion that kills itself: `python -m tests.crashing_replay KAFKA NAMESPACE FOLDER SHADOW DEFINITIONS STEP`."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from hub.replay.bounds import BEGINNING
from hub.replay.options import Options
from hub.replay.run import replay
from hub.replay.source import Step
from hub.settings import Bulk, Kafka, Settings

bootstrap, namespace, folder, shadow, definitions, what = sys.argv[1:]


def kill(step: Step) -> None:
    """SIGKILL at the wanted step: no handler runs, no transaction is rolled back."""
    if step.what == what:
        os.kill(os.getpid(), signal.SIGKILL)


replay(
    Options(
        kafka=Kafka(bootstrap=bootstrap),
        namespace=namespace,
        store_url=Settings(data=Path(folder), namespace=namespace).store_url,
        data=Path(folder),
        since=BEGINNING,
        into=shadow,
        definitions=Path(definitions),
        promote=True,
        bulk=Bulk(),
        environment={**os.environ, "HUB_DATA": folder},
    ),
    time.time_ns() // 1_000_000,
    kill,
)
