"""Secrets in a bridge's settings (`hub.definitions.secrets`), and where a process of the hub looks them up."""

from __future__ import annotations

import os

from hub.definitions.secrets import (
    HOW,
    KEY,
    MASK,
    SecretKeys,
    SecretRef,
    is_reference,
    masked,
    resolve,
    scrubbed,
    secrets_of,
    with_secrets,
)
from hub.settings import Settings
from hub.stack.keys import secret_key

__all__ = [
    "HOW",
    "KEY",
    "MASK",
    "SecretKeys",
    "SecretRef",
    "environ",
    "is_reference",
    "masked",
    "resolve",
    "scrubbed",
    "secrets_of",
    "with_secrets",
]


def environ(settings: Settings) -> dict[str, str]:
    """Where references to secrets are looked up; with the key of the sealed ones."""
    return {**os.environ, KEY: secret_key(settings.secret_key, settings.data)}
