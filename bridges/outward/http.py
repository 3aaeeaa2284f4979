"""HTTP as a target: POST, signed as Standard Webhooks have it, one event a request or many."""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from pydantic import AfterValidator, Field

from bridges.base import Context
from bridges.network import TlsSettings, connect_error, tls_context
from bridges.outward.base import Denied, Later, Message, Rejected, Target, TargetSpec
from bridges.outward.names import Checked
from bridges.signatures import standard_key
from hub.definitions.secrets import SecretKeys, SecretRef, is_reference, resolve
from hub.egress import addresses, check_address
from hub.errors import Refused
from hub.flows.addresses import Forbidden
from hub.ids import derived
from hub.telemetry.outgoing import headers_of

LONGEST_AFTER_S: Final = 3600.0
SHOWN_CHARS: Final = 300
CONNECT_S: Final = 5.0
SECRET_ENDINGS: Final = ("authorization", "key", "token", "secret")
"""Of headers, in any case."""
PORTS: Final = {"http": 80, "https": 443}
NOT_NOW: Final = frozenset({408, 425, 429, *range(500, 600)})
NOBODY: Final = frozenset({401, 402, 403, 404, 405, 407, 410, 421, 426, 451})
"""Answers that are about the address or the sender: no other message would fare better."""


def _url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("write http://host/path or https://host/path")
    if "@" in parts.netloc:
        raise ValueError("leave user and password out of the URL: send them in `headers`")
    if parts.fragment:
        raise ValueError("what stands behind # is never sent")
    return url


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not name.isascii() or any(character in name + value for character in "\r\n\0"):
            raise ValueError(f"{name!r} is no header")
        if name.lower().endswith(SECRET_ENDINGS) and not is_reference(value):
            raise ValueError(f"{name} is a secret: write env:NAME, or let the API seal it")
    return headers


class HttpSettings(TlsSettings, frozen=True, extra="forbid"):
    """Settings of a destination of type `http`."""

    url: Annotated[str, AfterValidator(_url), Field(description="Where to POST to; http:// or https://.")]
    secret: Annotated[
        SecretRef, Field(description="Signs each request: whsec_ and base64, or any text. Empty: not signed. A secret.")
    ] = ""
    headers: Annotated[
        dict[str, str],
        SecretKeys(tuple(way(end) for end in SECRET_ENDINGS for way in (str.lower, str.title, str.upper))),
        AfterValidator(_headers),
        Field(
            default_factory=dict,
            description="Further headers. Those that end in Authorization, Key, Token or Secret are secrets.",
        ),
    ]
    batch: Annotated[
        Literal["single", "array", "lines"],
        Field(description="single: one event a request. array: a JSON array. lines: JSON lines."),
    ] = "single"
    most: Annotated[int, Field(ge=1, le=500, description="Of array and lines: events in one request.")] = 100
    concurrency: Annotated[
        int, Field(ge=1, le=100, description="Of single: requests at the same time; those of one key never are.")
    ] = 8
    timeout_s: Annotated[float, Field(ge=0.1, le=300, description="An answer may take so long.")] = 10.0


class HttpTarget(Target):
    """
    One connection pool. A redirect is not followed: it would send the events to whoever the answer names.

    A request of several events is taken or rejected as a whole; a rejected one is sent again event by event.
    """

    def __init__(self, settings: HttpSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._client: aiohttp.ClientSession | None = None
        self._key = b""
        egress = context.egress
        self._names = Checked(partial(addresses, egress=egress), partial(check_address, egress=egress))
        parts = urlsplit(settings.url)
        self._address = f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}"

    async def connect(self) -> None:
        """See Target. Only what is here is looked at: a server without events to take may be asleep."""
        settings, environ = self._settings, self._context.environ
        secret = resolve(settings.secret, environ)
        self._key = signing_key(secret)
        context = tls_context(settings) if settings.url.startswith("https:") else True
        headers = {name: resolve(value, environ) for name, value in settings.headers.items()}
        self._client = aiohttp.ClientSession(
            headers={"User-Agent": "thamesthrive-hub", **headers},
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s, sock_connect=min(CONNECT_S, settings.timeout_s)),
            connector=aiohttp.TCPConnector(
                limit=settings.concurrency,
                ssl=context,
                resolver=self._names,
                use_dns_cache=False,  # what was checked is what is connected to
                socket_factory=self._names.socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, batch: Sequence[Message]) -> Sequence[Rejected]:
        """See Target."""
        run = _Run(self._post, batch)
        if self._settings.batch == "single":
            await run.singly(self._settings.concurrency)
        else:
            for first in range(0, len(batch), self._settings.most):
                await run.together(range(first, min(len(batch), first + self._settings.most)))
        return run.rejected

    async def close(self) -> None:
        """See Target."""
        if self._client is not None:
            await self._client.close()
            self._client = None
        await self._names.close()

    async def _post(self, messages: Sequence[Message]) -> _Answer:
        if self._client is None:
            raise Later("the destination is closed")
        id, body, content_type = self._packed(messages)
        headers = {"Content-Type": content_type, "webhook-id": id}
        if len(messages) == 1:
            headers |= {name: _ascii(value) for name, value in messages[0].headers().items() if value}
        headers |= headers_of([message.id for message in messages])
        if self._key:
            now_s = int(time.time())
            headers |= {"webhook-timestamp": str(now_s), "webhook-signature": signature(self._key, id, now_s, body)}
        try:
            async with self._client.post(
                self._settings.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                text = (await response.content.read(SHOWN_CHARS)).decode(errors="replace")
                return self._judged(response.status, response.headers, text)
        except (aiohttp.ClientError, OSError, TimeoutError, Forbidden) as exc:
            return _Answer(self._trouble(exc))

    def _packed(self, messages: Sequence[Message]) -> tuple[str, bytes, str]:
        """Id, body and its type. The same messages have the same id: whoever keeps ids takes them once."""
        if self._settings.batch == "single":
            return messages[0].id, messages[0].body, "application/json"
        id = derived("batch", *(message.id for message in messages))
        bodies = [message.body for message in messages]
        if self._settings.batch == "array":
            return id, b"[" + b",".join(bodies) + b"]", "application/json"
        return id, b"\n".join(bodies) + b"\n", "application/x-ndjson"

    def _judged(self, status: int, headers: Mapping[str, str], text: str) -> _Answer:
        if 200 <= status < 300:
            return _Answer()
        said = f"{self._settings.url} answers {status}" + (f": {' '.join(text.split())}" if text.strip() else "")
        if status in NOT_NOW:
            return _Answer(Later(said, after_s=retry_after(headers.get("Retry-After", ""), time.time())))
        if 300 <= status < 400:
            to = headers.get("Location", "elsewhere")
            return _Answer(Denied(f"{said} and points to {to}, which is not followed: correct settings.url"))
        if status in NOBODY:
            return _Answer(Denied(f"{said}. Correct settings.url, settings.headers or settings.secret"))
        return _Answer(rejected=said)

    def _trouble(self, exc: BaseException) -> Later | Denied:
        cause = getattr(exc, "certificate_error", None) or getattr(exc, "os_error", None) or exc
        if isinstance(exc, TimeoutError):
            return Later(
                f"no answer from {self._address} within {self._settings.timeout_s:g} s: is the network cut? If it is "
                "but slow, raise settings.timeout_s"
            )
        if isinstance(cause, Forbidden):
            return Denied(str(cause))
        if not isinstance(cause, OSError):
            words = f"{self._address} breaks off: {str(cause) or type(cause).__name__}"
            return Later(f"{words}. Is settings.url right: http or https, host, port?")
        error = connect_error(cause, self._address, "settings.url")
        return (Denied if isinstance(error, Refused) else Later)(error.detail)


class _Answer(NamedTuple):
    """What became of a request: taken, unless one of these is set."""

    trouble: Later | Denied | None = None
    rejected: str = ""


class _Run:
    """One batch. Attributes: rejected: what the server will never take."""

    def __init__(self, post: Callable[[Sequence[Message]], Awaitable[_Answer]], batch: Sequence[Message]) -> None:
        self._post = post
        self._batch = batch
        self._sent: set[int] = set()
        self.rejected: list[Rejected] = []

    async def singly(self, concurrency: int) -> None:
        """One request each; messages of one key one after the other. Raises Later, Denied: with what was sent."""
        lanes: dict[str, list[int]] = {}
        for place, message in enumerate(self._batch):
            lanes.setdefault(message.key or f"\0{place}", []).append(place)
        room = asyncio.Semaphore(concurrency)
        failed: dict[int, Later | Denied] = {}
        async with asyncio.TaskGroup() as group:
            for lane in lanes.values():
                group.create_task(self._lane(lane, room, failed))
        if failed:
            first = min(failed)
            raise self._failure(failed[first], first)

    async def _lane(self, lane: Sequence[int], room: asyncio.Semaphore, failed: dict[int, Later | Denied]) -> None:
        for place in lane:
            async with room:
                if failed:
                    return  # it is away, or wants to be left alone: no more requests for now
                answer = await self._post([self._batch[place]])
            if answer.trouble is not None:
                failed[place] = answer.trouble
                return
            if answer.rejected:
                self.rejected.append(Rejected(place, answer.rejected))
            else:
                self._sent.add(place)

    async def together(self, places: Sequence[int]) -> None:
        """One request; if it is rejected, each event alone, to find the one at fault. Raises as `singly`."""
        answer = await self._post([self._batch[place] for place in places])
        if answer.trouble is not None:
            raise self._failure(answer.trouble, places[0])
        if not answer.rejected:
            self._sent.update(places)
        elif len(places) == 1:
            self.rejected.append(Rejected(places[0], answer.rejected))
        else:
            for place in places:
                await self.together([place])

    def _failure(self, trouble: Later | Denied, place: int) -> Later | Denied:
        trouble.sent, trouble.stuck = frozenset(self._sent), place
        return trouble


def signing_key(secret: str) -> bytes:
    """Of Standard Webhooks: base64 behind whsec_; any other text is the key itself."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return standard_key(secret)
    except ValueError as exc:
        raise Refused("target", f"settings.secret: {exc}") from exc


def signature(key: bytes, id: str, now_s: int, body: bytes) -> str:
    """`v1,BASE64` of HMAC-SHA256 over `id.time.body`. Source: Standard Webhooks 1.0."""
    digest = hmac.digest(key, f"{id}.{now_s}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def retry_after(text: str, now_s: float) -> float:
    """Seconds that the header asks to wait, an hour at most; 0 when it says nothing. Args: now_s: since 1970."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:9])
    else:
        try:
            at = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return 0.0
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_s
    return min(max(seconds, 0.0), LONGEST_AFTER_S)


def _ascii(value: str) -> str:
    """As headers can hold it: anything else is percent-encoded, as in a URL."""
    return "".join(each if " " <= each <= "~" else "".join(f"%{byte:02X}" for byte in each.encode()) for each in value)


SPEC: Final = TargetSpec("http", "POST to an HTTP server.", HttpSettings, HttpTarget)
