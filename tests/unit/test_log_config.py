"""The options that the promises rest on."""

from __future__ import annotations

from hub.log.config import producer_config
from hub.settings import Kafka


def test_a_producer_keeps_order_through_its_own_retries():
    """Idempotence: the broker takes a sequence of batches as it was sent, each once, with up to five in flight."""
    config = producer_config(Kafka())
    assert config["acks"] == "all"
    assert config["enable.idempotence"] is True
    assert config.get("max.in.flight", 5) <= 5
