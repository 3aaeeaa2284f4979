"""Where a process of the hub looks secrets up that settings refer to (`hub.definitions.secrets`)."""

from __future__ import annotations

import os

from hub.definitions.secrets import FOLDER, KEY
from hub.settings import Settings
from hub.stack.keys import secret_key


def environ(settings: Settings) -> dict[str, str]:
    """Where references to secrets are looked up; with the key of the sealed ones, and the folder of files."""
    folder = str(settings.secret_folder) if settings.secret_folder else ""
    return {**os.environ, KEY: secret_key(settings.secret_key, settings.data), FOLDER: folder}
