"""Secrets in definitions, encrypted: whoever reads the definitions, the log or the store cannot read them."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX: Final = "sealed:"
PLACEHOLDER: Final = "sealed"
"""What is shown instead of a sealed value; sent back, it keeps the value."""
_NONCE_BYTES: Final = 12
"""As AES-GCM wants it, made anew for every value. Source: NIST SP 800-38D, 8.2."""


class SealError(ValueError):
    """A sealed value that cannot be opened here; says which key it wants."""


class Seal:
    """Seals and opens with one key: `sealed:KEY:BYTES`, AES-256-GCM, KEY being the first digits of the key's hash."""

    def __init__(self, key: str) -> None:
        """Args: key: any text, the same for everybody who seals and opens; not empty."""
        if not key:
            raise ValueError("an empty key seals nothing")
        secret = sha256(b"thamesthrive-hub definitions " + key.encode()).digest()
        self._cipher = AESGCM(secret)
        self._name = sha256(secret).hexdigest()[:8]

    def seal(self, value: str) -> str:
        """Another text each time, also for the same value."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, value.encode(), None))
        return f"{PREFIX}{self._name}:{sealed.decode()}"

    def open(self, sealed: str) -> str:
        """The value. Raises SealError: sealed with another key, or damaged."""
        name, _, text = sealed.removeprefix(PREFIX).partition(":")
        if name != self._name:
            raise SealError(
                f"it was sealed with the key {name}, and this process has the key {self._name}: give it and the API "
                "the same HUB_SECRET_KEY, or the secret-key of one data folder; or save the secret again"
            )
        try:
            data = urlsafe_b64decode(text)
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None).decode()
        except (ValueError, InvalidTag) as exc:
            raise SealError("the sealed text is damaged: save the secret again") from exc
