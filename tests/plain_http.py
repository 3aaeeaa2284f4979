"""For clients of plain HTTP."""

from __future__ import annotations

import ssl
from typing import Final

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""As `verify`: else each client, and so each `httpx.get`, first reads all certificates that are trusted: 40 ms."""
