"""MQTT as a target: one topic, QoS 1 or 2."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import AfterValidator, Field

from bridges.base import Context
from bridges.mqtt_link import CONNECT_S, PORTS, Dialer, MqttServer
from bridges.network import connect_error, tls_context
from bridges.outward.base import Denied, Later, Message, Rejected, TargetSpec, before
from bridges.outward.blocking import BlockingTarget
from hub.definitions.secrets import resolve
from hub.errors import Refused

IN_FLIGHT: Final = 100
"""Published and not acknowledged: more than the usual 20 of paho's, of which a broker may allow fewer."""
LOOK_S: Final = 0.05
TOO_LARGE: Final = 0x95
NEVER: Final = frozenset({TOO_LARGE, 0x90, 0x99})
"""Reasons that are one message's: packet too large, topic name invalid, payload format invalid."""
NOT_NOW: Final = frozenset({0x80, 0x83, 0x88, 0x89, 0x97})
"""Reasons of MQTT 5 that pass: unspecified, implementation specific, unavailable, busy, quota exceeded."""


def _topic(topic: str) -> str:
    if "+" in topic or "#" in topic or "\0" in topic:
        raise ValueError("write a topic without wildcards, such as hub/events")
    return topic


class MqttSettings(MqttServer, frozen=True, extra="forbid"):
    """Settings of a destination of type `mqtt`."""

    topic: Annotated[str, AfterValidator(_topic), Field(min_length=1, description="Topic to publish to.")]
    qos: Annotated[Literal[1, 2], Field(description="Quality of service.")] = 1
    retain: Annotated[bool, Field(description="Whether the broker keeps the newest message for new subscribers.")] = (
        False
    )
    client_id: Annotated[str, Field(description="Empty: <namespace>.destination.<id>.")] = ""
    timeout_s: Annotated[float, Field(ge=0.1, le=300, description="How long the broker may take to have it.")] = 15.0


class MqttTarget(BlockingTarget):
    """
    A message counts as sent when the broker has acknowledged it; in the order in which they were published.

    An acknowledgement of MQTT says that the broker has it, not that anybody is subscribed.
    """

    def __init__(self, settings: MqttSettings, context: Context) -> None:
        """Does not connect yet."""
        super().__init__(context)
        self._settings = settings
        self._client: Client | None = None
        self._answered = threading.Event()
        self._answer: ReasonCode | None = None
        self._lost = ""
        self._reasons: dict[int, ReasonCode] = {}
        parts = urlsplit(settings.url)
        self._tls = parts.scheme == "mqtts"
        self._host, self._port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._address = f"{self._host}:{self._port}"

    # everything below runs on the target's own thread; the callbacks on paho's

    def _connect(self) -> None:
        settings = self._settings
        five = settings.version == "5"
        name = settings.client_id or f"{self._context.namespace}.destination.{self._context.bridge}"
        client = Dialer(
            CallbackAPIVersion.VERSION2,
            name,
            None if five else True,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(IN_FLIGHT)
        if self._tls:
            client.tls = tls_context(settings)
        if settings.username:
            client.username_pw_set(settings.username, resolve(settings.password, self._context.environ) or None)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        try:
            client.connect(self._host, self._port, settings.keepalive_s)
        except (OSError, ValueError) as exc:
            raise connect_error(exc, self._address, "settings.url") from exc
        self._client = client
        client.loop_start()
        if not self._answered.wait(CONNECT_S):
            raise connect_error(TimeoutError(), self._address, "settings.url")
        if self._answer is None:
            raise Later(
                f"{self._address} breaks the connection off. Is it an MQTT port, with TLS as settings.url says?"
            )
        if self._answer.is_failure:
            words = f"{self._address} does not let us in: {self._answer}"
            if self._answer.value in NOT_NOW:
                raise Later(words)
            raise Refused("target", f"{words}. Correct settings.username, settings.password or settings.client_id")

    def _send(self, batch: Sequence[Message]) -> list[Rejected]:
        client = self._client
        if client is None:
            raise Later("the destination is closed")
        self._reasons.clear()
        settings = self._settings
        five = settings.version == "5"
        sent = [
            client.publish(
                settings.topic,
                message.body,
                settings.qos,
                settings.retain,
                self._properties(message) if five else None,
            )
            for message in batch
        ]
        deadline = time.monotonic() + self._settings.timeout_s
        rejected: list[Rejected] = []
        for place, info in enumerate(sent):
            if not self._wait(info, deadline):
                raise self._failure(place, before(place, rejected))
            reason = self._reasons.get(info.mid)
            if reason is None or not reason.is_failure:
                continue
            words = f"{self._address} does not take a message for {self._settings.topic}: {reason}"
            if reason.value in NEVER:
                rejected.append(Rejected(place, words))
            elif reason.value in NOT_NOW:
                raise Later(words, sent=before(place, rejected), stuck=place)
            else:
                words += ". Let the user publish there, or correct settings.topic"
                raise Denied(words, sent=before(place, rejected), stuck=place)
        return rejected

    def _wait(self, info: MQTTMessageInfo, deadline: float) -> bool:
        """Whether the broker has said something to it."""
        while info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            left_s, lost = deadline - time.monotonic(), self._lost
            if info.is_published():  # what it said before the connection was lost counts
                return True
            if lost or left_s <= 0:
                return False
            info.wait_for_publish(min(left_s, LOOK_S))
        return False

    def _failure(self, place: int, sent: frozenset[int]) -> Later:
        """All before that place are there; those behind it are sent again, or they would stand in front of it."""
        if self._lost:
            words = f"the connection to {self._address} is lost: {self._lost}"
        else:
            words = f"{self._address} acknowledges nothing within {self._settings.timeout_s:g} s"
        words += f". May this user publish to {self._settings.topic}?"
        return Later(words, sent=sent, stuck=place)

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    @staticmethod
    def _properties(message: Message) -> Properties:
        made: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        made.ContentType = "application/json"
        made.UserProperty = [(name, value) for name, value in message.headers().items()]
        return made  # type: ignore[no-any-return]

    def _on_connect(self, _: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
        self._answer = reason
        self._answered.set()

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
        self._lost = str(reason)
        self._answered.set()

    def _on_publish(self, _: Any, __: Any, mid: int, reason: ReasonCode, ___: Any) -> None:
        self._reasons[mid] = reason


SPEC: Final = TargetSpec("mqtt", "Publish to a topic of an MQTT broker.", MqttSettings, MqttTarget)
