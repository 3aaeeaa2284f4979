"""Has the sender signed this request? The usual ways. Pure; comparing takes the same time for any guess."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, NoReturn, TypeAlias

from hub.errors import InvalidPayload

Algorithm: TypeAlias = Literal["sha1", "sha256", "sha512"]
Encoding: TypeAlias = Literal["hex", "base64"]

GITHUB: Final = "x-hub-signature-256"
STRIPE: Final = "stripe-signature"
STANDARD: Final = ("webhook", "svix")
"""How the names of Standard Webhooks' headers begin: its own, and those of Svix, from which it was made."""
MOST_SECONDS: Final = 15
"""Digits of a time in seconds that is to be looked at."""


class Signed(NamedTuple):
    """
    A request.

    Attributes:
        headers: By name in lower case.
        bodies: What may have been signed: the body unpacked, and as it came.
        now_s: When it was received, seconds since 1970.
    """

    headers: Mapping[str, str]
    bodies: Sequence[bytes]
    now_s: float


Check: TypeAlias = Callable[[Signed], None]
"""Raises InvalidPayload: bad_signature, in words for the sender."""


def github(secrets: Sequence[bytes]) -> Check:
    """`X-Hub-Signature-256: sha256=HEX` over the body."""
    return plain(secrets, GITHUB, "sha256", "hex", "sha256=")


def plain(secrets: Sequence[bytes], header: str, algorithm: Algorithm, encoding: Encoding, prefix: str) -> Check:
    """An HMAC of the body in one header. Args: header: in lower case. prefix: what stands before the digest."""

    def check(signed: Signed) -> None:
        text = _required(signed, header)
        if not text.startswith(prefix):
            _fail(f"the header does not begin with {prefix}", header)
        given = _decoded(text.removeprefix(prefix), encoding)
        if not _fits(secrets, signed.bodies, [given], algorithm):
            _fail(_OTHER, header)

    return check


def stripe(secrets: Sequence[bytes], tolerance_s: float) -> Check:
    """`Stripe-Signature: t=SECONDS,v1=HEX[,v1=HEX…]` over `SECONDS.body`."""

    def check(signed: Signed) -> None:
        fields = [field.strip().partition("=") for field in _required(signed, STRIPE).split(",")]
        times = [value for name, _, value in fields if name == "t"]
        given = [_decoded(value, "hex") for name, _, value in fields if name == "v1"]
        if not times or not given:
            _fail("the header has no t= or no v1=", STRIPE)
        contents = [times[0].encode() + b"." + body for body in signed.bodies]
        if not _fits(secrets, contents, given, "sha256"):
            _fail(_OTHER, STRIPE)
        _fresh(times[0], signed.now_s, tolerance_s, STRIPE)

    return check


def standard(secrets: Sequence[bytes], tolerance_s: float) -> Check:
    """
    Standard Webhooks: `webhook-signature: v1,BASE64 …` over `webhook-id.webhook-timestamp.body`.

    Args: secrets: see `standard_key`.
    """

    def check(signed: Signed) -> None:
        name = next((name for name in STANDARD if f"{name}-signature" in signed.headers), STANDARD[0])
        where = f"{name}-signature"
        marks = _required(signed, where).split()
        id, time = _required(signed, f"{name}-id"), _required(signed, f"{name}-timestamp")
        given = [_decoded(mark.removeprefix("v1,"), "base64") for mark in marks if mark.startswith("v1,")]
        if not given:
            _fail("the header has no v1 signature: others than HMAC-SHA256 cannot be checked", where)
        contents = [f"{id}.{time}.".encode("latin-1") + body for body in signed.bodies]
        if not _fits(secrets, contents, given, "sha256"):
            _fail(_OTHER, where)
        _fresh(time, signed.now_s, tolerance_s, f"{name}-timestamp")

    return check


def unsigned(_: Signed) -> None:
    """Whoever knows the address may send."""


def standard_key(secret: str) -> bytes:
    """The key in `whsec_BASE64`. Raises ValueError."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as exc:
        raise ValueError("a Standard Webhooks secret is base64, with whsec_ in front or not") from exc


_OTHER: Final = "the signature does not fit the body: the sender has another secret, or the body was changed on its way"


def _fits(keys: Sequence[bytes], contents: Sequence[bytes], given: Sequence[bytes], algorithm: Algorithm) -> bool:
    """Whether one of `given` is the HMAC of one of `contents` with one of `keys`; all are compared, whatever fits."""
    found = False
    for key in keys:
        for content in contents:
            digest = hmac.digest(key, content, algorithm)
            for each in given:
                found |= hmac.compare_digest(digest, each)
    return found


def _fresh(text: str, now_s: float, tolerance_s: float, where: str) -> None:
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_SECONDS):
        _fail("the time is no number of seconds", where)
    away_s = now_s - int(text)
    if abs(away_s) > tolerance_s:
        when = f"{away_s:.0f} s ago" if away_s > 0 else f"{-away_s:.0f} s ahead of our clock"
        _fail(f"it was signed {when}; {tolerance_s:g} s are allowed", where)


def _required(signed: Signed, name: str) -> str:
    text = signed.headers.get(name, "").strip()
    if not text:
        _fail("the request does not have this header", name)
    return text


def _decoded(text: str, encoding: Encoding) -> bytes:
    """The bytes; none for what is no such text, which fits nothing."""
    try:
        return bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _fail(detail: str, where: str) -> NoReturn:
    raise InvalidPayload("bad_signature", detail, where)
