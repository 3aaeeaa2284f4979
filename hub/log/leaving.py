"""Takes a member out of a consumer group in its stead, as it would by itself if it ended well."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from hub.errors import Unavailable
from hub.log.aio import access
from hub.settings import Kafka

ANSWER_S: Final = 10.0
_LEFT: Final = -1
"""The epoch by which a member says that it leaves."""
_GONE: Final = (0, 25, 69)
"""It is out, or the group does not know it (UNKNOWN_MEMBER_ID), or there is no such group (GROUP_ID_NOT_FOUND)."""


class _Heartbeat(Response):  # type: ignore[misc]
    API_KEY = 68
    API_VERSION = 0
    # what follows is of no interest
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16), ("error_message", CompactString("utf-8")))


class _HeartbeatV0(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 68
    API_VERSION = 0
    RESPONSE_TYPE = _Heartbeat
    SCHEMA = Schema(
        ("group_id", CompactString("utf-8")),
        ("member_id", CompactString("utf-8")),
        ("member_epoch", Int32),
        ("instance_id", CompactString("utf-8")),
        ("rack_id", CompactString("utf-8")),
        ("rebalance_timeout_ms", Int32),
        ("subscribed_topic_names", CompactArray(CompactString("utf-8"))),
        ("server_assignor", CompactString("utf-8")),
        ("topic_partitions", CompactArray(Int32)),  # never any
        ("tags", TaggedFields),
    )


class _Leave(Request[_HeartbeatV0]):  # type: ignore[misc]
    """`ConsumerGroupHeartbeat` of KIP-848, for its farewell alone: no client has a call for another member's."""

    API_KEY = 68

    def __init__(self, group: str, member: str) -> None:
        self._group = group
        self._member = member

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._group, self._member, _LEFT, None, None, -1, None, None, None, {})


def leave_for(kafka: Kafka, group: str, member: str) -> None:
    """
    Take `member` out of `group`: its partitions go to others at once. One that lives after all joins again by itself.

    Blocks for some 20 ms. Raises: Unavailable: Kafka does not answer, or does not let us.
    """
    try:
        asyncio.run(asyncio.wait_for(_leave(kafka, group, member), ANSWER_S))
    except (KafkaError, OSError, TimeoutError) as exc:
        why = str(exc) or type(exc).__name__
        raise Unavailable("kafka", f"cannot take {member} out of the group {group}: {why}") from exc


async def _leave(kafka: Kafka, group: str, member: str) -> None:
    may = access(kafka)
    client = AIOKafkaClient(
        bootstrap_servers=kafka.bootstrap,
        security_protocol=may.protocol,
        ssl_context=may.context,
        sasl_mechanism=may.mechanism or "PLAIN",
        sasl_plain_username=may.username or None,
        sasl_plain_password=may.password or None,
        request_timeout_ms=int(ANSWER_S * 1000),
    )
    try:
        await client.bootstrap()
        node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        answer = await client.send(node, _Leave(group, member))
    finally:
        await client.close()
    if answer.error_code not in _GONE:
        raise Unavailable(
            "kafka", f"cannot take {member} out of the group {group}: {answer.error_message or answer.error_code}"
        )
