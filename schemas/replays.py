"""The Kafka headers of records that are sent again: a dead letter's next attempt, a copy that `hub replay` made."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

Headers: TypeAlias = "dict[str, str | bytes | None] | list[tuple[str, str | bytes | None]]"
"""As confluent_kafka types them; what it gives is the list."""

REPLAY_HEADER: Final = "hub-dead-letter"
"""In a header and not in the Avro record, because it is also needed on bytes that are no Avro record."""


class Replay(NamedTuple):
    """The record is attempt number `attempt` (from 2) of the dead letter."""

    letter_id: str
    attempt: int


def replay_header(replay: Replay) -> tuple[str, bytes]:
    """As Kafka carries it."""
    return REPLAY_HEADER, f"{replay.letter_id} {replay.attempt}".encode()


def read_replay(headers: Headers | None) -> Replay | None:
    """What the headers of a record say; None for a record that is no replay, or whose header is none of ours."""
    if not headers:
        return None
    for name, value in headers.items() if isinstance(headers, dict) else headers:
        if name == REPLAY_HEADER and isinstance(value, bytes):
            letter_id, _, attempt = value.decode("latin-1").rpartition(" ")
            # nine digits fit into an Avro int
            if letter_id and attempt.isascii() and attempt.isdecimal() and len(attempt) < 10:
                return Replay(letter_id, int(attempt))
    return None


COPY_HEADER: Final = "hub-replay"
"""On what `hub replay` has sent: which record of the log it is a copy of. The next replay sends the original only."""


def copy_header(partition: int, offset: int) -> tuple[str, bytes]:
    """As Kafka carries it. Args: partition, offset: of the original."""
    return COPY_HEADER, f"{partition}:{offset}".encode()


def is_copy(headers: Headers | None) -> bool:
    """Whether the record was sent by a replay."""
    if not headers:
        return False
    return any(name == COPY_HEADER for name, _ in (headers.items() if isinstance(headers, dict) else headers))


RECEIVED_HEADER: Final = "hub-received"
"""On the next attempt of a dead letter: when its message was received first, which the new record does not say."""


def received_header(at_ms: int) -> tuple[str, bytes]:
    """As Kafka carries it. Args: at_ms: milliseconds since 1970."""
    return RECEIVED_HEADER, str(at_ms).encode()


def read_received(headers: Headers | None) -> int | None:
    """Milliseconds since 1970; None when it does not say."""
    for name, value in headers.items() if isinstance(headers, dict) else headers or ():
        if name == RECEIVED_HEADER and isinstance(value, bytes) and value.isdigit() and len(value) < 16:
            return int(value)
    return None
