"""The hub's own keys: given, or made at the first start and kept in the data folder."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pydantic import SecretStr

NAME = "admin-key"
IDENTITY = "identity-key"
SECRET = "secret-key"  # noqa: S105 - the name of a file


def admin_key(given: SecretStr | None, data: Path) -> str:
    """The key of admin calls: `given`, else that of the data folder, which is made (mode 0600) when there is none."""
    return _key(given, data / NAME)


def identity_key(given: SecretStr | None, data: Path) -> bytes:
    """32 bytes to hash identifiers with, of `given` or of a key in the data folder, as with `admin_key`."""
    return sha256(_key(given, data / IDENTITY).encode()).digest()


def secret_key(given: SecretStr | None, data: Path) -> str:
    """The key that secrets are sealed with: `given`, else that of the data folder, which is made if there is none."""
    return _key(given, data / SECRET)


def _key(given: SecretStr | None, path: Path) -> str:
    if given is not None:
        return given.get_secret_value()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make(path)
    return path.read_text(encoding="ascii").strip()


def _make(path: Path) -> None:
    """Two who start at once agree on one key, and nobody reads half of one; 0600 from its first byte on."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())  # what is made with it may be on the disk before it
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
