"""Which Kafka do commands mean that read or write it themselves?"""

from __future__ import annotations

import typer

from hub.errors import Refused
from hub.log.reaching import admin_client
from hub.settings import Kafka
from hub.stack.state import RunState


def kafka_of(kafka: Kafka, running: RunState | None, bootstrap: str) -> Kafka:
    """
    With its brokers: those of `--bootstrap`, else of the settings, else of the hub that runs here.

    Raises: typer.BadParameter: there are none, or options that there cannot be.
    """
    brokers = bootstrap or kafka.bootstrap or (running.kafka if running else "")
    if not brokers:
        raise typer.BadParameter(
            "no hub runs here, so say where Kafka is; or start one: `hub up`", param_hint="--bootstrap"
        )
    found = kafka.model_copy(update={"bootstrap": brokers})
    try:
        admin_client(found)
    except Refused as exc:
        raise typer.BadParameter(str(exc)) from exc
    return found
