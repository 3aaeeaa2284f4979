"""/console: the pages for a browser (`hub/console`), and who is logged in there."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import secrets
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from hub.api.access import Keys
from hub.api.asgi import Answer, App, Header, Receive, Scope, Send, respond
from hub.api.body import Disconnected
from hub.api.call import Call, call_of
from hub.api.problems import not_allowed, problem, refusal
from hub.api.roles import Caller
from hub.api.sessions import MARK
from hub.errors import InvalidPayload
from hub.settings import Limits

log: Final = structlog.get_logger()

CONSOLE: Final = "/console"
SESSION: Final = "/console/session"
ASSETS: Final = "/console/assets/"
DIST: Final = Path(__file__).parents[1] / "console" / "dist"
"""Built from `hub/console/src`, see hub/console/README.md."""
NONCE: Final = b"NONCE-OF-THE-REQUEST"
"""Where index.html has the nonce; see `html.cspNonce` in vite.config.ts."""
MOST_BODY_BYTES: Final = 4_096
_PACKED: Final = frozenset({".css", ".html", ".js", ".json", ".svg"})
_YEAR_S: Final = 31_536_000
_SAFE: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NOT_KEPT: Final[Header] = (b"cache-control", b"no-store")


class Asset(NamedTuple):
    """A file that the page loads. `packed`: with gzip; None: it would not be smaller."""

    kind: bytes
    etag: bytes
    plain: bytes
    packed: bytes | None


class Console:
    """The ASGI app behind /console and all that is below it. Each file is read once, when it is first asked for."""

    def __init__(self, keys: Keys, limits: Limits) -> None:
        """Args: keys: what opens the API. Raises OSError: index.html is not there."""
        self._keys = keys
        self._sessions = keys.sessions
        self._limits = limits
        self._index = (DIST / "index.html").read_bytes()
        self._names = frozenset(file.name for file in (DIST / "assets").iterdir())
        self._assets: dict[str, Asset] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = call_of(scope)
        if call.path == SESSION:
            try:
                answer = await self._session(call, receive)
            except Disconnected:
                return
        elif call.method not in ("GET", "HEAD"):
            answer = not_allowed("the console can only be read", "GET, HEAD")
        elif call.path.startswith(ASSETS):
            answer = self._asset(call)
        else:
            answer = self._page()
        await respond(send, answer)

    def _page(self) -> Answer:
        """The one page there is: what is below /console/ is for its script to read."""
        nonce = secrets.token_urlsafe(16).encode()
        policy = (
            b"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-%s'; connect-src 'self'; "
            b"img-src 'self' data:; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        ) % nonce
        headers = (
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", policy),
            # nor kept by the browser: the nonce is good for one answer
            _NOT_KEPT,
            *_SAFE,
        )
        return Answer(200, self._index.replace(NONCE, nonce), headers)

    def _asset(self, call: Call) -> Answer:
        name = call.path.removeprefix(ASSETS)
        if name not in self._names:
            return problem(404, "the console has no such file: load the page again", reason="not_found")
        asset = self._assets.get(name) or self._assets.setdefault(name, _read(DIST / "assets" / name))
        headers: tuple[Header, ...] = (
            (b"content-type", asset.kind),
            # its name has a hash of what is in it
            (b"cache-control", b"public, max-age=%d, immutable" % _YEAR_S),
            (b"etag", asset.etag),
            (b"vary", b"Accept-Encoding"),
            *_SAFE,
        )
        if asset.etag.decode() in call.header(b"if-none-match"):
            return Answer(304, b"", headers)
        if asset.packed is not None and "gzip" in call.header(b"accept-encoding"):
            return Answer(200, asset.packed, (*headers, (b"content-encoding", b"gzip")))
        return Answer(200, asset.plain, headers)

    async def _session(self, call: Call, receive: Receive) -> Answer:
        if call.header(MARK) != "1":
            # a form of another site could else log somebody in, or out
            return problem(403, "only the console asks for this: send Hub-Console: 1", reason="not_the_console")
        match call.method:
            case "GET" | "HEAD":
                key = self._sessions.key_of(call, self._keys.now_ms())
                if not key:
                    return Answer(204, b"", (_NOT_KEPT,))  # nobody, which is no error
                caller = self._keys.holder(key)
                return caller if isinstance(caller, Answer) else self._who(caller)
            case "POST":
                return await self._log_in(call, receive)
            case "DELETE":
                return Answer(204, b"", (self._cookie(call, ""), _NOT_KEPT))
        return not_allowed("a session is begun, looked at and ended", "GET, HEAD, POST, DELETE")

    async def _log_in(self, call: Call, receive: Receive) -> Answer:
        try:
            body = (await call.with_body(receive, MOST_BODY_BYTES)).body
            key = _Login.of(body).encode()
        except InvalidPayload as exc:
            return refusal(exc, self._limits)
        caller = self._keys.holder(key)
        address = call.client[0] if call.client else ""
        if isinstance(caller, Answer):
            log.info("console.login_refused", address=address)
            return caller
        log.info("console.login", key=caller.id, address=address)
        return self._who(caller, self._cookie(call, self._sessions.sealed(key, self._keys.now_ms())))

    def _who(self, caller: Caller, *more: Header) -> Answer:
        who = {
            "key": caller.id,
            "name": caller.name,
            "roles": sorted(caller.roles),
            "namespace": self._keys.namespace,
            "version": version("thamesthrive-hub"),
        }
        return Answer(200, msgspec.json.encode(who), ((b"content-type", b"application/json"), _NOT_KEPT, *more))

    def _cookie(self, call: Call, value: str) -> Header:
        # behind a proxy it is the browser that knows whether TLS is spoken
        secure = call.scheme == "https" or call.header(b"origin").startswith("https://")
        return b"set-cookie", self._sessions.set_cookie(value, secure=secure)


def console_at(keys: Keys, limits: Limits) -> dict[str, App]:
    """The app by the paths that are its own. Args, Raises: see Console."""
    app = Console(keys, limits)
    return {CONSOLE: app, f"{CONSOLE}/": app}


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a login."""

    key: str

    @classmethod
    def of(cls, body: bytes) -> str:
        """The key, without space around it. Raises InvalidPayload: malformed."""
        try:
            return msgspec.json.decode(body, type=cls).key.strip()
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise InvalidPayload("not_json", 'the body of a login is {"key": "…"}') from exc


def _read(file: Path) -> Asset:
    plain = file.read_bytes()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    text = file.suffix in _PACKED
    return Asset(
        f"{kind}; charset=utf-8".encode() if text else kind.encode(),
        b'W/"%s"' % hashlib.sha256(plain).hexdigest()[:16].encode(),
        plain,
        gzip.compress(plain, mtime=0) if text else None,
    )
