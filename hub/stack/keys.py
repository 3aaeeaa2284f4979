"""The admin key: given, or made at the first start and kept in the data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import SecretStr

NAME = "admin-key"


def admin_key(given: SecretStr | None, data: Path) -> str:
    """The key of admin calls: `given`, else that of the data folder, which is made (mode 0600) when there is none."""
    if given is not None:
        return given.get_secret_value()
    path = data / NAME
    if not path.exists():
        # exclusive: two who start at once agree on one key; 0600 from its first byte on
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return path.read_text(encoding="ascii").strip()
