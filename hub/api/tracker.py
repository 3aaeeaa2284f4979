"""/tracker/: the script for pages (`hub/tracker`), also under the name that the predecessor's snippet loads."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Final

from hub.api.asgi import Answer, Header, Receive, Scope, Send, respond
from hub.api.call import call_of
from hub.api.problems import not_allowed, problem

TRACKER: Final = "/tracker/"
SCRIPT: Final = Path(__file__).parents[1] / "tracker" / "tracker.js"
"""Built from `hub/tracker/src`, see docs/tracker.md."""
NAMES: Final = ("tracker.js", "liliput.min.js")
METHODS: Final = "GET, HEAD"
MAX_AGE_S: Final = 3_600
"""How long a page may run a tracker that is older than its hub."""


class Tracker:
    """The ASGI app behind /tracker/. The script is read once."""

    def __init__(self) -> None:
        """Raises OSError: the script is not there."""
        self._plain = SCRIPT.read_bytes()
        self._packed = gzip.compress(self._plain, mtime=0)
        # weak: packed or not, it is the same script
        self._etag = b'W/"%s"' % hashlib.sha256(self._plain).hexdigest()[:16].encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer one request."""
        call = call_of(scope)
        if call.path.removeprefix(TRACKER) not in NAMES:
            answer = problem(404, f"the tracker is {TRACKER}{NAMES[0]}", reason="not_found")
        elif call.method not in ("GET", "HEAD"):
            answer = not_allowed("the tracker can only be read", METHODS)
        elif self._is_known(call.header(b"if-none-match")):
            answer = Answer(304, b"", self._headers())
        elif "gzip" in call.header(b"accept-encoding"):
            answer = Answer(200, self._packed, (*self._headers(), (b"content-encoding", b"gzip")))
        else:
            answer = Answer(200, self._plain, self._headers())
        await respond(send, answer)

    def _is_known(self, if_none_match: str) -> bool:
        known = self._etag.decode()
        return any(tag.strip() in ("*", known, known.removeprefix("W/")) for tag in if_none_match.split(","))

    def _headers(self) -> tuple[Header, ...]:
        return (
            (b"content-type", b"text/javascript; charset=utf-8"),
            (b"cache-control", b"public, max-age=%d, stale-while-revalidate=86400" % MAX_AGE_S),
            (b"etag", self._etag),
            (b"vary", b"Accept-Encoding"),
            # any page may load it, also one that asks for CORS (crossorigin, integrity) or isolates itself (COEP)
            (b"access-control-allow-origin", b"*"),
            (b"cross-origin-resource-policy", b"cross-origin"),
            (b"x-content-type-options", b"nosniff"),
        )
