"""Who follows a link without a person having clicked it? Programs that look at pages before or instead of people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_AGENTS: Final = re.compile(
    # search engines and their like say so themselves; a Cubot is a telephone
    rb"(?<!cu)bot\b|crawl|spider|slurp"
    # previews of links in messages and feeds
    rb"|facebookexternalhit|whatsapp|skypeuripreview|bingpreview|embedly|iframely|preview"
    # mail gateways that look at links before the reader does
    rb"|barracuda|proofpoint|mimecast|safelinks|cloudmark|trendmicro|sophos|mailscanner|symantec|ironport"
    # monitors and the pictures that mail services fetch for their readers
    rb"|pingdom|uptime|headlesschrome|googleimageproxy|google-safety|yahoomailproxy",
    re.IGNORECASE,
)
_AHEAD: Final = {
    b"sec-purpose": (b"prefetch", b"prerender"),
    b"purpose": (b"prefetch", b"preview"),
    b"x-purpose": (b"prefetch", b"preview"),
    b"x-moz": (b"prefetch",),
}
"""Headers of browsers that fetch a page in case that it will be asked for."""


def is_scanner(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request says of itself that no person waits for it. Args: headers: names in lower case."""
    for name, value in headers:
        if name == b"user-agent" and _AGENTS.search(value):
            return True
        if name in _AHEAD and any(word in value.lower() for word in _AHEAD[name]):
            return True
    return False
