"""Every page of the console, as its own table has them."""

from __future__ import annotations

import re
from typing import Final

from hub.api.console import DIST

_TABLE: Final = DIST.parent / "src" / "pages" / "table.tsx"
PAGES: Final[dict[str, str]] = dict(re.findall(r"id: '([^']+)',\s+path: '([^']+)'", _TABLE.read_text()))
"""By id, the path below /console; `:id` in it stands for one of its kind."""
