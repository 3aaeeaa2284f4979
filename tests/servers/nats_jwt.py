"""NATS with users that are known by a signed token: an operator, an account with JetStream, a user's `user.creds`."""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.servers.nats import Nats

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3
"""First bytes of public keys: as base32 they begin with O, A, U."""
SEED: Final = 18 << 3
CREDS: Final = """-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""
CONF: Final = """
operator: {operator}
system_account: {system}
resolver: MEMORY
resolver_preload: {{ {preload} }}
"""


class Key:
    """A key pair, as NATS writes it."""

    def __init__(self, kind: int) -> None:
        self._secret = secrets.token_bytes(32)
        self._key = Ed25519PrivateKey.from_private_bytes(self._secret)
        self._kind = kind
        self.public = _checked(bytes([kind]) + self._key.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        return _checked(bytes([SEED | self._kind >> 5, (self._kind & 31) << 3]) + self._secret)

    def sign(self, subject: str, name: str, nats: dict[str, Any]) -> str:
        """A token about `subject`."""
        now = int(time.time())
        claims = {"jti": secrets.token_hex(16), "iat": now, "iss": self.public, "sub": subject, "name": name}
        head = _encoded(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
        signed = f"{head}.{_encoded(json.dumps({**claims, 'nats': {**nats, 'version': 2}}).encode())}"
        return f"{signed}.{_encoded(self._key.sign(signed.encode()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _checked(data: bytes) -> str:
    """Base32 with a CRC-16 (XMODEM) behind it."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return base64.b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")


class NatsJwt(Nats):
    """See Server. Keys are new at the first start in a folder."""

    def _prepare(self, home: Path, ports: Any) -> None:
        if not (home / "nats.conf").exists():
            self._more = make(home)
        super()._prepare(home, ports)


def make(home: Path) -> str:
    """Writes `user.creds` and `stranger.creds`, whose account nobody knows. Returns the server's configuration."""
    operator, system, account, user, other = (Key(kind) for kind in (OPERATOR, ACCOUNT, ACCOUNT, USER, ACCOUNT))
    no_limit = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1}
    streams = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1, "leaf": -1}
    accounts = {
        system.public: operator.sign(system.public, "SYS", {"type": "account", "limits": {**no_limit, "leaf": -1}}),
        account.public: operator.sign(account.public, "HUB", {"type": "account", "limits": {**no_limit, **streams}}),
    }
    for name, signer in (("user", account), ("stranger", other)):
        jwt = signer.sign(
            user.public, name, {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}
        )
        (home / f"{name}.creds").write_text(CREDS.format(jwt=jwt, seed=user.seed))
    return CONF.format(
        operator=operator.sign(operator.public, "tests", {"type": "operator", "system_account": system.public}),
        system=system.public,
        preload=", ".join(f"{key}: {jwt}" for key, jwt in accounts.items()),
    )


SERVER = NatsJwt("nats_jwt", "")
