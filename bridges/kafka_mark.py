"""Which topic a committed offset is of: one that is deleted and made again has the old one's name, and another id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

PREFIX: Final = "topic:"
NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""What a broker has for an id that does not know any: sixteen zeros. Source: KIP-516."""
QUIET: Final = 3
"""librdkafka's log level of errors: it warns of each option that is a consumer's."""


def marks(config: Mapping[str, Any], topics: Sequence[str], timeout_s: float = 10.0) -> dict[str, str]:
    """
    What to commit beside an offset of each of these topics: `topic:<cluster>:<id>`. Blocks.

    A topic whose id the broker does not know or tell is left out.

    Args: config: of the consumer. timeout_s: of each of two requests. Raises: KafkaException: no broker answers.
    """
    options = {name: value for name, value in config.items() if not callable(value)}
    client = AdminClient({**options, "log_level": QUIET})
    cluster = client.list_topics(topics[0], timeout=timeout_s).cluster_id
    found: dict[str, str] = {}
    for topic, future in client.describe_topics(TopicCollection([*topics]), request_timeout=timeout_s).items():
        try:
            id = str(future.result().topic_id)
        except KafkaException:
            continue  # gone again, or not ours to describe
        if id != NO_ID:
            found[topic] = f"{PREFIX}{cluster}:{id}"
    return found


def is_of_another(committed: str | None, mark: str | None) -> bool:
    """
    Whether an offset was committed in a topic of this name that is no more.

    Never of one that somebody else has committed, such as a tool that sets groups back, nor of one of another cluster,
    whose offsets a mirror may have brought along.

    Args: committed: beside the offset. mark: of the topic that is there, as of `marks`.
    """
    if committed is None or mark is None or not committed.startswith(PREFIX):
        return False
    cluster, _, _ = mark.rpartition(":")
    said, _, _ = committed.partition(" ")  # a destination that writes spans has its plan behind it
    return said != mark and said.startswith(f"{cluster}:")
