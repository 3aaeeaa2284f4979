"""The API's certificate: read from files, and read again when they have changed, so that a new one needs no restart."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from hub.errors import Refused
from hub.settings import Api

log: Final = structlog.get_logger()

LOOK_S: Final = 10.0
"""Between two looks at the files. SIGHUP has them read at once."""


class _Files(NamedTuple):
    certificate: Path
    key: Path
    password: str

    def into(self, context: ssl.SSLContext) -> None:
        """Raises OSError, which ssl.SSLError is one of."""
        # a function, also without a passphrase: else OpenSSL asks for one on the terminal
        context.load_cert_chain(self.certificate, self.key, lambda: self.password)

    def state(self) -> tuple[tuple[int, int], ...]:
        """Changes with the files; another file under the same name is a change. Raises OSError."""
        found = [file.stat() for file in (self.certificate, self.key)]
        return tuple((each.st_mtime_ns, each.st_ino) for each in found)


class Tls:
    """One certificate. `context` stays the same: new connections get what was read last."""

    def __init__(self, api: Api) -> None:
        """Args: api: has a cert_file. Raises: Refused: the files are none, or do not go together."""
        assert api.cert_file is not None
        assert api.key_file is not None
        self._files = _Files(
            api.cert_file, api.key_file, api.key_password.get_secret_value() if api.key_password else ""
        )
        self.context = _context()
        try:
            self._state = self._files.state()
            self._files.into(self.context)
        except OSError as exc:
            raise Refused("api", f"{_named(self._files)} cannot be used: {_words(exc)}") from exc

    def read_again(self) -> bool:
        """
        Take what is in the files now. Returns whether it could be; else the certificate of before stays.

        They are tried apart: a context that has got a certificate without its key would serve nobody.
        """
        try:
            state = self._files.state()
            self._files.into(_context())
            self._files.into(self.context)
        except OSError as exc:
            log.error("tls.certificate_not_read", files=_named(self._files), error=_words(exc))
            return False
        self._state = state
        log.info("tls.certificate_read", file=str(self._files.certificate))
        return True

    async def watch(self) -> None:
        """Read the files again whenever they have changed, until it is cancelled."""
        refused = self._state
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                now = self._files.state()
            except OSError:
                continue  # between the old one and the new one
            if now not in (self._state, refused) and not self.read_again():
                refused = now  # said once


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _named(files: _Files) -> str:
    return f"HUB_API__CERT_FILE {files.certificate} with HUB_API__KEY_FILE {files.key}"


def _words(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        if exc.reason == "KEY_VALUES_MISMATCH":
            return "the key is not that of the certificate"
        if exc.reason in ("BAD_DECRYPT", "BAD_PASSWORD_READ"):
            return "the key has another passphrase (HUB_API__KEY_PASSWORD)"
        return f"they are no certificate and key in PEM, or the passphrase is wrong ({exc.reason})"
    return f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc.strerror)
