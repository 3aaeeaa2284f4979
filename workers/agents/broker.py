"""How Faust reaches the hub's Kafka."""

from __future__ import annotations

import faust
from faust.types.auth import CredentialsT

from hub.log.aio import access
from hub.settings import Kafka


def broker_url(kafka: Kafka) -> str:
    """Of all brokers, as Faust takes them."""
    return ";".join(f"aiokafka://{one.strip()}" for one in kafka.bootstrap.split(",") if one.strip())


def credentials(kafka: Kafka) -> CredentialsT | None:
    """
    Who the agents are for the brokers; None: nobody asks.

    Raises: Refused: Faust cannot do what `HUB_KAFKA__OPTIONS` asks for.
    """
    found = access(kafka)
    if found.mechanism:
        return faust.SASLCredentials(
            mechanism=found.mechanism, username=found.username, password=found.password, ssl_context=found.context
        )
    return None if found.context is None else faust.SSLCredentials(context=found.context)
