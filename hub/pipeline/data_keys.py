"""The keys that records of events.v1 are sealed with: each of one record, sealed itself with the hub's secret key."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import Refused

ID_BYTES: Final = 16
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SECRET: Final = b"thamesthrive-hub records "


class DataKey(NamedTuple):
    """
    The key of one record, as keys.v1 and the store have it.

    `id`: 16 bytes of time and chance; `mark`: of the profile that the record is of (`hub.pipeline.privacy.mark`);
    `at_ms`: when that was received, milliseconds since 1970: an erasure goes by both. `wrapped`: the key, sealed with
    the hub's own.
    """

    id: bytes
    mark: str
    at_ms: int
    wrapped: bytes


class _Wire(msgspec.Struct):
    """The value of a record on keys.v1; `key` in base64."""

    mark: str
    at_ms: int
    key: bytes


class Wrapping:
    """Seals keys with the hub's secret key: who reads Kafka or the store, and has no more than that, opens nothing."""

    def __init__(self, secret: str) -> None:
        """Args: secret: `HUB_SECRET_KEY`, the same in all processes; not empty."""
        self._cipher = AESGCM(sha256(_SECRET + secret.encode()).digest())

    def wrap(self, id: bytes, key: bytes) -> bytes:
        """To be kept. Args: id: of the key."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, id)

    def unwrap(self, id: bytes, wrapped: bytes) -> bytes:
        """The key. Raises Refused: it was wrapped with another secret key."""
        try:
            return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], id)
        except (ValueError, InvalidTag) as exc:
            raise Refused(
                "keys",
                f"the key {id.hex()} of a record was sealed with another secret key than this process has: give all "
                "processes the same HUB_SECRET_KEY, or the secret-key of one data folder (docs/privacy.md)",
            ) from exc


def new_id(at_ms: int) -> bytes:
    """The id of a key, which nobody else gets. By time, so that a store finds their places sooner."""
    return at_ms.to_bytes(6, "big") + os.urandom(ID_BYTES - 6)


def key_record(key: DataKey) -> tuple[bytes, bytes]:
    """Key and value of the record on keys.v1."""
    return record_key(key.id), msgspec.json.encode(_Wire(key.mark, key.at_ms, key.wrapped))


def record_key(id: bytes) -> bytes:
    """The key of a record on keys.v1: 32 hex digits."""
    return id.hex().encode()


def read_id(key: bytes) -> bytes | None:
    """The id that the key of a record on keys.v1 is; None: it is none."""
    try:
        id = bytes.fromhex(key.decode("ascii"))
    except ValueError:
        return None
    return id if len(id) == ID_BYTES else None


def read_key(id: bytes, value: bytes) -> DataKey | None:
    """What a record of keys.v1 says; None: it is none of ours."""
    try:
        wire = msgspec.json.decode(value, type=_Wire)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return DataKey(id, wire.mark, wire.at_ms, wire.key)
