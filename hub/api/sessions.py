"""Sessions of the console: an API key in a cookie that no script can read and no other site can use."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hub.api.call import Call

MARK: Final = b"hub-console"
"""The header, `Hub-Console: 1`, without which the cookie opens nothing: a page of another site cannot send it."""
HOURS: Final = 12
"""Of a session, after which the key is asked for again."""


class Sessions:
    """Seals keys into cookies. Those of all API processes with the same admin key are good in each of them."""

    def __init__(self, admin_key: str) -> None:
        """Args: admin_key: what the cookies' own key is made of; another one ends every session."""
        made = HKDF(SHA256(), 32, salt=None, info=b"hub.console.session.v1").derive(admin_key.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(made))
        # a cookie is a host's, whatever the port: two hubs on one machine do not log each other out
        self.cookie = "hub_console_" + hashlib.sha256(made).hexdigest()[:8]

    def sealed(self, key: bytes, now_ms: int) -> str:
        """The cookie's value for a key."""
        return self._fernet.encrypt_at_time(key, now_ms // 1_000).decode()

    def key_of(self, call: Call, now_ms: int) -> bytes:
        """The key in a request's cookie; empty: it has none that is good, or does not come from the console."""
        sealed = self.cookie_of(call)
        if call.header(MARK) != "1" or not sealed:
            return b""
        try:
            return self._fernet.decrypt_at_time(sealed.encode(), HOURS * 3_600, now_ms // 1_000)
        except InvalidToken:
            return b""

    def cookie_of(self, call: Call) -> str:
        """The cookie's value; empty if it was not sent."""
        return call.cookie(self.cookie)

    def set_cookie(self, value: str, *, secure: bool) -> bytes:
        """A Set-Cookie header; an empty value takes the cookie away."""
        end = "" if value else "; Max-Age=0"
        return f"{self.cookie}={value}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}{end}".encode()
