"""Which headers of a request are nobody's to keep."""

from __future__ import annotations

from typing import Final

SECRET: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"x-api-key", b"x-write-key"})
"""Those that carry credentials, in lower case."""
