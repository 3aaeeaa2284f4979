"""Whose API key is it? Keys as they are made, and what of them is kept: a hash, of one namespace."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple, cast

from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import ApiKey
from hub.definitions.sealed import PLACEHOLDER

KIND: Final = "api-key"
ID: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"
PREFIX: Final = "hub_"
"""Of every key, so that whoever looks for secrets in files knows one."""
_BYTES: Final = 32
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


def make() -> str:
    """A new key: 256 random bits. So a plain hash of it is enough, as nobody can try them out."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest(key: bytes, namespace: str) -> str:
    """What is kept of a key: 64 hex digits. In another namespace the same key has another, and so opens nothing."""
    return sha256(b"thamesthrive-hub api-key\x00" + namespace.encode() + b"\x00" + key).hexdigest()


class Holder(NamedTuple):
    """Whose key it is. `is_over`: it has expired, was replaced by another one, or is switched off."""

    id: str
    spec: ApiKey
    is_over: bool


def holder(key: bytes, namespace: str, catalogue: Catalogue, now_ms: int) -> Holder | None:
    """Args: key: as it was sent. now_ms: milliseconds since 1970. Returns: None: nobody's."""
    asked = digest(key, namespace)
    found = catalogue.compiled(KIND, _by_hash).get(asked)
    if found is None:
        return None
    id, spec, known = found
    if not hmac.compare_digest(known, asked):
        return None
    ends = [spec.expires_at, *([] if known == spec.hash else [spec.also_until or _BEGINNING])]
    is_past = any(end is not None and end.timestamp() * 1000 <= now_ms for end in ends)
    return Holder(id, spec, is_past or not spec.enabled)


def rotated(spec: ApiKey, new: str, now_ms: int, keep_ms: int) -> ApiKey:
    """With another key; the one that it had is good for a while. Args: new: its hash. keep_ms: how long, 0: not."""
    also_until = _BEGINNING + timedelta(milliseconds=now_ms + keep_ms)
    kept = {"also": spec.hash, "also_until": also_until} if keep_ms else {"also": "", "also_until": None}
    return spec.model_copy(update={"hash": new, **kept})


class KeyVault:
    """The API's `Vault` of keys: hashes do not come out, and stay when a definition is sent back as it is shown."""

    def sealed(self, spec: ApiKey, old: ApiKey | None) -> ApiKey:
        """See Vault. Raises ValueError: there is no hash to keep."""
        if spec.hash in ("", PLACEHOLDER):
            if old is None:
                raise ValueError("hash: there is no such key yet: POST /api-keys or `hub key add` makes one")
            spec = spec.model_copy(update={"hash": old.hash})
        if spec.also == PLACEHOLDER:
            spec = spec.model_copy(update={"also": "" if old is None else old.also})
        return spec

    def shown(self, spec: dict[str, Any]) -> dict[str, Any]:
        """See Vault."""
        return {**spec, **{name: PLACEHOLDER for name in ("hash", "also") if spec.get(name)}}


def _by_hash(entries: Mapping[str, Entry]) -> dict[str, tuple[str, ApiKey, str]]:
    # the first of two that have one hash, as every process sees it: nobody makes such by chance
    found: dict[str, tuple[str, ApiKey, str]] = {}
    for known, id, spec in _hashes(entries):
        found.setdefault(known, (id, spec, known))
    return found


def _hashes(entries: Mapping[str, Entry]) -> Iterator[tuple[str, str, ApiKey]]:
    for id, entry in sorted(entries.items()):
        spec = cast("ApiKey", entry.spec)
        for known in filter(None, (spec.hash, spec.also)):
            yield known, id, spec
