"""What a Kafka bridge says of an error of librdkafka's: whether it is for a human to mend."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from bridges.kafka_link import port_error
from hub.errors import PortError, Refused, Unavailable

UNTRUSTED = "sasl_ssl://kafka:9093/bootstrap: error:0A000086:SSL routines::certificate verify failed"


@pytest.mark.parametrize(
    ("code", "told", "kind"),
    [
        pytest.param(KafkaError._SSL, UNTRUSTED, Refused, id="untrusted"),
        pytest.param(KafkaError._TRANSPORT, UNTRUSTED, Refused, id="untrusted, told as of a broken connection"),
        pytest.param(KafkaError._TRANSPORT, "Disconnected", Unavailable, id="away"),
    ],
)
def test_what_only_a_human_can_mend_is_refused(code: int, told: str, kind: type[PortError]) -> None:
    error = port_error(KafkaError(code, told), "kafka:9093", "source", "read there")
    assert isinstance(error, kind)
    assert told in str(error)
