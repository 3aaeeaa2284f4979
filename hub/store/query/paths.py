"""Where SQLite finds what a condition asks for: its JSON paths, and what statements may bind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

Bound = str | int | float

# SQLite 3.40 compares a path with the bytes of a key as they stand in the document. A key of these characters is
# never escaped there; digits are left out because they may be a position in a list. All else goes to hub_holds.
_PLAIN_KEY: Final = re.compile(r"(?!\d+$)[A-Za-z0-9_ .:@$-]+")


def is_plain(path: Sequence[str]) -> bool:
    """Whether SQLite's JSON paths can name this place."""
    return all(_PLAIN_KEY.fullmatch(key) for key in path)


def json_path(path: Sequence[str]) -> str:
    """SQLite's path of a plain place."""
    return "$" + "".join(f'."{key}"' for key in path)
