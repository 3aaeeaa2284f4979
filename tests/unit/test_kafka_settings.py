"""What the settings of Kafka's clients may be, the clients take; beyond it the setting is named."""

from __future__ import annotations

import math

import pytest
from confluent_kafka import Producer
from pydantic import ValidationError

from hub.log.config import producer_config
from hub.settings import Collector, Kafka


@pytest.mark.parametrize("delivery_timeout_s", [1e-9, 3_600])
@pytest.mark.parametrize("linger_ms", [0, 900_000])
def test_a_producer_can_be_made_of_any(delivery_timeout_s: float, linger_ms: float) -> None:
    settings = Kafka(bootstrap="127.0.0.1:1", delivery_timeout_s=delivery_timeout_s, linger_ms=linger_ms)
    Producer(producer_config(settings))  # or it raises


@pytest.mark.parametrize("value", [math.inf, math.nan, 1e9, -1])
def test_what_no_client_takes_is_refused_by_name(value: float) -> None:
    for name in ("delivery_timeout_s", "linger_ms"):
        with pytest.raises(ValidationError, match=name):
            Kafka.model_validate({"bootstrap": "127.0.0.1:1", name: value})
    with pytest.raises(ValidationError, match="batch_ms"):
        Collector.model_validate({"batch_ms": value})
