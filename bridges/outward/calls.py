"""Calls that flows make: HTTP requests, bounded in all that whoever is called could make of them."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from bridges.outward.breaker import Breaker
from bridges.outward.http import retry_after
from bridges.outward.names import Checked
from bridges.outward.replies import answer_of, headers_of, read
from bridges.outward.state import CALLS
from hub.definitions.secrets import PREFIX, resolve, scrubbed
from hub.errors import InvalidPayload, Refused
from hub.flows.addresses import Forbidden, Network, allowed, check_address
from hub.flows.effects import Answer, CallHttp
from hub.settings import Flows

AGENT: Final = "thamesthrive-hub"
CONNECT_S: Final = 5.0
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 5.0
AGAIN: Final = frozenset({429, 502, 503, 504})
DOWN: Final = frozenset({502, 503, 504})
"""Answers in the name of a server that does not answer itself."""
MOST_HOSTS: Final = 1_000
"""That are remembered; an URL may be made of anything."""
KEPT_S: Final = 4.0
"""How long a connection is kept for the next call: many servers close theirs after five seconds."""
MEND: Final = "start `hub agents` and `hub worker` with it"
_UNPACKED: Final = "gzip, deflate"

Clock = Callable[[], float]


class Calls:
    """
    One connection pool. For one event loop.

    A redirect is not followed: it is an answer like any other, and the flow decides. Environment variables of proxies
    are not looked at, as a proxy would connect to addresses that were not checked here.
    """

    def __init__(self, settings: Flows, environ: Mapping[str, str], clock: Clock = time.monotonic) -> None:
        """Connects when it is first asked. Args: environ: where secrets are. clock: seconds, never goes back."""
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._hosts = _Hosts(settings)
        self._session: aiohttp.ClientSession | None = None
        private = settings.private_networks
        self._names = Checked(partial(_look_up, private), partial(check_address, private=private))

    async def call(self, ask: CallHttp) -> Answer:
        """Make a call, as often as it may be tried. Whatever becomes of it is an Answer."""
        secrets: list[str] = []
        try:
            request = self._request(ask, secrets)
            session = self._opened()
        except (Refused, Forbidden, ValueError) as exc:
            return Answer(0, error=scrubbed(str(getattr(exc, "detail", exc)), secrets))
        host = self._hosts.of(request.url)
        attempt = 1
        while True:
            tried = await self._attempt(session, host, request, ask)
            if tried.again_s is None or attempt >= ask.attempts:
                break
            pause_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1)) * random.uniform(0.8, 1.2)
            if tried.again_s > self._settings.retry_after_s:
                break
            await asyncio.sleep(max(tried.again_s, pause_s))
            attempt += 1
        answer = tried.answer
        CALLS.labels("failed" if answer.error else "answered" if tried.again_s is None else "again").inc()
        if answer.error:
            return Answer(0, error=scrubbed(answer.error, secrets))
        return answer_of(answer.status, answer.headers, tried.body, secrets)

    async def close(self) -> None:
        """Let go of all connections. Never raises."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._names.close()

    def _request(self, ask: CallHttp, secrets: list[str]) -> _Request:
        """Raises Refused, Forbidden, ValueError: there can be no such request. Args: secrets: gets their values."""
        url = URL(ask.url)
        if url.scheme not in ("http", "https") or not url.host:
            raise Forbidden(f"{ask.url!r:.200} is no URL of http or https")
        if url.user is not None or url.password is not None:
            raise Forbidden("user and password in a URL are not sent")
        if url.port == 0:
            raise Forbidden("there is no port 0")
        headers: CIMultiDict[str] = CIMultiDict({"User-Agent": AGENT, "Accept-Encoding": _UNPACKED})
        if ask.content_type:
            headers["Content-Type"] = ask.content_type
        headers.update(ask.headers)
        headers["Accept-Encoding"] = _UNPACKED
        for name, variable in ask.secrets.items():
            value = resolve(f"{PREFIX}{variable}", self._environ, MEND)
            secrets.append(value)
            headers[name] = value
        if ask.idempotency_key:
            headers["Idempotency-Key"] = ask.idempotency_key
        for name, value in headers.items():
            if any(character in value for character in "\r\n\0"):
                raise ValueError(f"headers.{name}: a line break cannot stand in a header")
        body = None if ask.body is None else ask.body.encode(errors="replace")
        return _Request(ask.method, url.with_fragment(None), headers, body)

    def _opened(self) -> aiohttp.ClientSession:
        """Raises Refused: the authority cannot be read."""
        if self._session is None:
            settings = self._settings
            connector = aiohttp.TCPConnector(
                limit=0,
                ssl=_context(settings),
                resolver=self._names,
                use_dns_cache=False,  # what was checked is what is connected to
                socket_factory=self._names.socket,
                keepalive_timeout=KEPT_S,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # it knows no limit
                trust_env=False,
            )
            self._session._retry_connection = False  # attempts are counted here
        return self._session

    async def _attempt(self, session: aiohttp.ClientSession, host: _Host, request: _Request, ask: CallHttp) -> _Tried:
        rest_s = host.breaker.enter(self._clock())
        if rest_s:
            failed = host.breaker.failed
            return _failed(f"{host.name} did not answer {failed} times in a row: it is left alone for {rest_s:.1f} s")
        tried = _failed(f"{host.name}: too many calls are under way (HUB_FLOWS__CALLS_PER_HOST)", well=None)
        try:
            async with asyncio.timeout(ask.timeout_s):
                async with host.room:
                    tried = _failed(f"no answer from {host.name} within {ask.timeout_s:g} s", 0.0)
                    tried = await self._made(session, request, ask)
        except aiohttp.ServerTimeoutError:
            tried = _failed(f"no connection to {host.name} within {CONNECT_S:g} s", 0.0)
        except TimeoutError:
            pass
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            why, may_pass = _trouble(exc, host.name)
            # a ValueError, Forbidden among them: nothing was sent
            tried = _failed(why, 0.0 if may_pass else None, well=None if isinstance(exc, ValueError) else False)
        finally:
            host.breaker.leave(self._clock(), well=tried.well)
        return tried

    async def _made(self, session: aiohttp.ClientSession, request: _Request, ask: CallHttp) -> _Tried:
        """Raises what aiohttp raises, Forbidden."""
        async with session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, ask.timeout_s)),
        ) as response:
            status, headers = response.status, headers_of(response.headers)
            passes = any(first <= status <= last for first, last in ask.passes)
            after_s = None
            if status in AGAIN and not passes:
                after_s = retry_after(response.headers.get("Retry-After", ""), time.time())
            well = status not in DOWN
            try:
                body = await read(response, self._settings.answer_bytes)
            except InvalidPayload as exc:
                return _failed(f"{ask.method} {status}: {exc.detail}", well=well)
            return _Tried(Answer(status, headers), after_s, body, well)


class _Request(NamedTuple):
    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes | None


class _Tried(NamedTuple):
    """
    What came of one attempt.

    Attributes:
        again_s: Another one may help, after so many seconds at least; None: none would.
        body: Of the answer, unpacked.
        well: Whether the host is there; None: it was not asked.
    """

    answer: Answer
    again_s: float | None = None
    body: bytes = b""
    well: bool | None = False


def _failed(why: str, again_s: float | None = None, *, well: bool | None = False) -> _Tried:
    return _Tried(Answer(0, error=why), again_s, b"", well)


class _Host:
    """Scheme, host and port. Attributes: room: for so many calls at a time."""

    def __init__(self, name: str, settings: Flows) -> None:
        self.name = name
        self.breaker = Breaker(settings.failures, settings.rest_s)
        self.room = asyncio.Semaphore(settings.calls_per_host)


class _Hosts:
    """Those that were called lately."""

    def __init__(self, settings: Flows) -> None:
        self._settings = settings
        self._known: OrderedDict[str, _Host] = OrderedDict()

    def of(self, url: URL) -> _Host:
        name = str(url.origin())
        host = self._known.get(name)
        if host is None:
            host = self._known[name] = _Host(name, self._settings)
            if len(self._known) > MOST_HOSTS:
                self._known.popitem(last=False)
        self._known.move_to_end(name)
        return host


def _look_up(private: Collection[Network], host: str, port: int) -> list[str]:
    return allowed(f"http://{host}:{port}", _addresses, private)  # the scheme does not matter


def _addresses(host: str, port: int) -> Sequence[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _context(settings: Flows) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise Refused("flows", f"HUB_FLOWS__CA_FILE: {settings.ca_file} cannot be read as PEM: {exc}") from exc


def _trouble(exc: Exception, name: str) -> tuple[str, bool]:
    """What a failed attempt means, and whether another one may go better."""
    cause = getattr(exc, "certificate_error", None) or getattr(exc, "os_error", None) or exc
    match cause:
        case Forbidden():
            return str(cause), False
        case ssl.SSLCertVerificationError():
            return f"the certificate of {name} is not trusted: {cause.verify_message} (HUB_FLOWS__CA_FILE)", False
        case ssl.SSLError():
            return f"no TLS with {name}: {cause}", False
        case ValueError():
            return f"there can be no such request of {name}: {cause}", False
    words = str(cause) or type(cause).__name__
    match cause:
        case socket.gaierror():
            words = f"the host is not known ({cause.strerror})"
        case ConnectionRefusedError():
            words = "nobody listens there"
        case aiohttp.ClientResponseError():
            words = f"it answers with something that is no HTTP: {cause.message}"
    return f"no answer from {name}: {words}", True
