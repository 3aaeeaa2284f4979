"""A Kafka cluster as bridges and destinations reach it: settings, and librdkafka's errors in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from confluent_kafka import KafkaError
from pydantic import BaseModel, Field

from hub.definitions.secrets import ClientOptions, resolve
from hub.errors import PortError, Refused, Unavailable

REFUSALS: Final = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
"""Codes of errors that somebody has to mend: it does not let us in."""
AWAY: Final = {KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT}


class KafkaServer(BaseModel, frozen=True, extra="forbid"):
    """Settings that say where a cluster is, and who we are there."""

    bootstrap: Annotated[str, Field(min_length=1, description="Brokers, host:port with commas between.")]
    options: Annotated[
        ClientOptions,
        Field(description="Further librdkafka options, such as security.protocol and sasl.*. Secrets as env:NAME."),
    ] = {}

    def resolved(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """The options with their secrets. Raises Refused: a variable is not there."""
        return {name: resolve(value, environ) for name, value in self.options.items()}


def words(exc: BaseException) -> str:
    """What an error of the client says."""
    error: object = exc.args[0] if exc.args else exc
    return error.str() if isinstance(error, KafkaError) else str(error)


def not_taken(exc: BaseException) -> str:
    """Why no client can be made."""
    mend = "Correct settings.options; files are those of the machine of `hub bridges`"
    return f"librdkafka does not take these settings: {words(exc)}. {mend}"


def port_error(error: KafkaError, bootstrap: str, port: str, right: str) -> PortError:
    """
    What an error of librdkafka's means, and what to do.

    Args:
        port: `source` or `target`.
        right: What the user may have to be let do, such as `read there`.
    """
    words = f"{error.str()} (brokers {bootstrap})"
    # now and then librdkafka tells of the same refusal as of a connection that broke
    if error.code() == KafkaError._SSL or "certificate verify failed" in error.str():
        return Refused(port, f"{words}. Correct security.protocol and ssl.ca.location in settings.options")
    if error.code() in REFUSALS:
        return Refused(port, f"{words}. Correct settings.options, or let the user {right}")
    if error.code() in AWAY:
        return Unavailable(
            port, f"{words}. Do they run, is settings.bootstrap right, and does security.protocol say TLS or not?"
        )
    return Unavailable(port, words)
