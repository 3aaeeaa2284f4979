"""A message of RabbitMQ as a delivery: its properties, its time, its headers. Pure."""

from __future__ import annotations

from typing import Any, Final

from bridges.amqp import Arrived, Properties
from bridges.base import Delivery, Headers
from bridges.encoding import inflated
from bridges.rabbitmq_link import OFFSET

LAST_MS: Final = 253_402_300_799_000
SECONDS_BELOW: Final = 100_000_000_000
"""A larger timestamp (from the year 5138 on) is one in milliseconds: senders mistake the unit."""
BROKERS_TIME: Final = "timestamp_in_ms"
"""Header of RabbitMQ's message timestamp plugin and interceptor."""
NOT_KEPT: Final = frozenset({OFFSET, "x-delivery-count", "x-acquired-count"})
"""Headers that the broker adds, and that change."""
KEPT: Final = (
    ("message-id", "message_id"),
    ("correlation-id", "correlation_id"),
    ("content-type", "content_type"),
    ("type", "type"),
    ("app-id", "app_id"),
    ("user-id", "user_id"),
    ("reply-to", "reply_to"),
)
"""Properties that stay with the message as headers."""


class RabbitmqDelivery(Delivery):
    """A message of RabbitMQ. `offset`: of a stream."""

    queue: str = ""
    exchange: str = ""
    redelivered: bool = False
    properties: Properties | None = None
    offset: int | None = None

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: queue, exchange, routing_key, offset, redelivered, and the properties."""
        found = self.properties or Properties()
        return {
            **super().meta(),
            "queue": self.queue,
            "exchange": self.exchange,
            "routing_key": None if self.key is None else self.key.decode(errors="replace"),
            "offset": self.offset,
            "redelivered": self.redelivered,
            "priority": found.priority,
            "content_encoding": found.content_encoding,
            **{attribute: getattr(found, attribute) for _, attribute in KEPT},
        }


def delivery(queue: str, position: str, arrived: Arrived, found: Properties, offset: int | None) -> RabbitmqDelivery:
    """Args: found: the properties of `arrived`. offset: of a stream."""
    body = arrived.body if found.content_encoding is None else inflated(arrived.body, found.content_encoding)
    return RabbitmqDelivery(
        body,
        position,
        _time_ms(found),
        arrived.routing_key,
        _headers(found),
        queue=queue,
        exchange=arrived.exchange.decode(errors="replace"),
        redelivered=arrived.redelivered,
        properties=found,
        offset=offset,
    )


def _time_ms(found: Properties) -> int | None:
    """The broker's time if it adds one, else the sender's; None: neither, or one that no calendar has."""
    time_ms = found.numbers.get(BROKERS_TIME)
    if time_ms is None and found.timestamp is not None:
        time_ms = found.timestamp * 1000 if found.timestamp < SECONDS_BELOW else found.timestamp
    return time_ms if time_ms is not None and 0 < time_ms <= LAST_MS else None


def _headers(found: Properties) -> Headers:
    headers = [header for header in found.headers if header[0] not in NOT_KEPT]
    for name, attribute in KEPT:
        value = getattr(found, attribute)
        if value is not None:
            headers.append((name, value.encode(errors="replace")))
    return headers
