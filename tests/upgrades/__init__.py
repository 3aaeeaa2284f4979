"""Stores of earlier releases, and what those releases answered from them: `schema-N.sql.xz`, `schema-N.json.xz`."""

from __future__ import annotations

import json
import lzma
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent
SCHEMAS: Final = (8, 11, 12)
"""An upgrade from the first goes beside, as it makes an index of what is stored; the others are changed in place."""


def unpack(schema: int, folder: Path) -> Path:
    """The store's file as it lay in the data folder when that release was stopped."""
    path = folder / "hub.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(lzma.decompress((FOLDER / f"schema-{schema}.sql.xz").read_bytes()).decode())
    return path


def answers(schema: int) -> dict[str, Any]:
    """By path, what the release's API answered before it was stopped."""
    found: dict[str, Any] = json.loads(lzma.decompress((FOLDER / f"schema-{schema}.json.xz").read_bytes()))
    return found
