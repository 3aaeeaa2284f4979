"""Which requests are fired: valid ones, spoiled ones and noise, for every door."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

SOURCE: Final = "shop"
KEY: Final = "wk_shop"
LINK: Final = "spring"
HOOK: Final = "issues"
DEFINED: Final = {
    f"source/{SOURCE}": {"type": ["rest", "webhook", "redirect", "bridge"], "write_keys": [KEY]},
    f"redirect/{LINK}": {"url": "https://shop.example/", "source": SOURCE, "event_type": "link-followed"},
    f"bridge/{HOOK}": {"type": "webhook", "source": SOURCE, "settings": {"signature": "none"}},
    "consent-type/mail": {},
}
"""What there has to be for the valid ones to be valid."""


class Shot(NamedTuple):
    """
    One request.

    Attributes:
        path: As a server gives it to an app: percent signs undone.
        body: The pieces in which it comes.
        is_cut: The client goes away behind the last of them.
        records: How many it becomes if it is taken; None: that is not known.
    """

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: list[bytes]
    is_cut: bool
    records: int | None = None


_TEXTS: Final = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(codec=None), max_size=8),  # lone surrogates, too
    st.sampled_from(
        ["", " ", "\0", "a\0b", "\ud800", "\udc00\ud800", "\u2028", "😀", "x" * 300, "2026-11-25T10:00:00Z", "now"]
    ),
    st.sampled_from(
        ["9999-12-31T23:59:60Z", "0001-01-01", "1e400", "-0", "null", "{}", "$t.a", "../..", "%00", "é" * 99]
    ),
)
_NUMBERS: Final = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**400, -(10**4_000), 1e308, -0.0, float("nan"), float("inf")]),
)
_LEAVES: Final = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS)
_VALUES: Final = st.recursive(
    _LEAVES, lambda below: st.lists(below, max_size=4) | st.dictionaries(_TEXTS, below, max_size=4), max_leaves=12
)
_OBJECTS: Final = st.dictionaries(
    st.text(max_size=5), st.integers() | st.text(max_size=5).filter(lambda t: "\0" not in t)
)
_HEADER: Final = st.one_of(
    st.binary(max_size=30).map(lambda data: bytes(byte for byte in data if byte >= 32 and byte != 127)),
    st.sampled_from([b"", b"gzip", b"\xe9", b"%", b"'", b'"', b"live", b"bulk", b"0", b"-1", b"9" * 19, b"a=b; c"]),
)
_TYPES: Final = (
    b"",
    b"application/json",
    b"application/json; charset=utf-16",
    b"application/cloudevents+json",
    b"application/cloudevents-batch+json",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=x",
    b"multipart/form-data",
    b"text/plain;charset=UTF-8",
    b"application/xml",
    b"\xff/\xfe; =",
)
_NAMES: Final = (
    b"accept",
    b"authorization",
    b"ce-id",
    b"ce-source",
    b"ce-specversion",
    b"ce-time",
    b"ce-type",
    b"content-encoding",
    b"cookie",
    b"host",
    b"hub-priority",
    b"idempotency-key",
    b"origin",
    b"posthog-request-timestamp",
    b"user-agent",
    b"x-write-key",
)
_KEYS: Final = st.sampled_from([b"Bearer " + KEY.encode(), b"Basic d2tfc2hvcDo=", b"Basic \xe9", b"Basic =", b"bearer"])


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _track(data: dict[str, Any], name: str) -> Any:
    events = [{"type": "view", "id": name, "properties": data}, {"type": "view"}]
    return {"source": SOURCE, "session": {"id": "s"}, "profile": {"id": "ann"}, "events": events}


def _bare(data: dict[str, Any], _name: str) -> Any:
    return data


def _consent(_data: dict[str, Any], _name: str) -> Any:
    return {"source": SOURCE, "session": "s", "profile": "ann", "consents": {"mail": True}}


def _segment(data: dict[str, Any], name: str) -> Any:
    return {"type": "track", "event": "Seen", "userId": "ann", "messageId": name, "properties": data, "writeKey": KEY}


def _segments(data: dict[str, Any], name: str) -> Any:
    return {"writeKey": KEY, "batch": [_segment(data, name), _segment({}, f"{name}2")]}


def _posthog(data: dict[str, Any], name: str) -> Any:
    return {"event": "seen", "distinct_id": "ann", "uuid": name, "properties": data, "api_key": KEY}


def _posthogs(data: dict[str, Any], name: str) -> Any:
    return {"api_key": KEY, "batch": [_posthog(data, name), _posthog({}, f"{name}2")]}


def _cloudevent(data: dict[str, Any], name: str) -> Any:
    return {"specversion": "1.0", "id": name or "1", "source": "/s", "type": "seen", "subject": "ann", "data": data}


def _cloudevents(data: dict[str, Any], name: str) -> Any:
    return [_cloudevent(data, name), _cloudevent({}, f"{name}2")]


Valid: TypeAlias = Callable[[dict[str, Any], str], Any]
DOORS: Final[Mapping[str, tuple[Valid, ...]]] = {
    "/track": (_track,),
    f"/collect/view/{SOURCE}": (_bare,),
    f"/collect/view/{SOURCE}/s": (_bare,),
    f"/redirect/{LINK}": (_bare,),
    f"/redirect/{LINK}/s": (_bare,),
    "/customer/consent": (_consent,),
    f"/webhooks/{HOOK}": (_track, _segment),
    **{f"/v1/{call}": (_segment,) for call in ("identify", "track", "page", "screen", "group", "alias", "t", "i")},
    **dict.fromkeys(("/v1/batch", "/v1/import", "/v1/b", "/beacon/v1/batch"), (_segments,)),
    **dict.fromkeys(("/batch", "/capture", "/e", "/i/v0/e", "/i/v1/analytics/events"), (_posthog, _posthogs)),
    "/cloudevents": (_cloudevent, _cloudevents),
    "/flags": (_posthog,),
    f"/v1/projects/{KEY}/settings": (_posthog,),
}
"""By path, what a valid body is made of. Args: properties; a client's id of an event."""


@st.composite
def shots(draw: st.DrawFn) -> Shot:
    """Of any kind."""
    path = draw(st.sampled_from(sorted(DOORS)))
    valid = draw(st.sampled_from(DOORS[path]))(draw(_OBJECTS), draw(st.uuids().map(str) | st.sampled_from(["", "1"])))
    method = draw(st.sampled_from([*["POST"] * 4, "PUT", "GET", "HEAD", "DELETE", "OPTIONS", "PATCH"]))
    body = draw(_bodies(valid))
    records = _records(path, method, valid) if body == _json(valid) else None
    headers = [(b"content-type", draw(st.sampled_from(_TYPES)))] if draw(st.booleans()) else []
    if isinstance(valid, list):
        headers = [(b"content-type", b"application/cloudevents-batch+json")]
    elif path == "/cloudevents" and draw(st.booleans()):
        headers = [(b"content-type", b"application/cloudevents+json")]
    if draw(st.booleans()):
        headers.append((b"authorization", draw(_KEYS)))
    if draw(st.integers(0, 3)) == 0:
        headers += draw(st.lists(st.tuples(st.sampled_from(_NAMES), _HEADER), max_size=4))
    if draw(st.integers(0, 3)) == 0:
        encoding, body = draw(_packed(body))
        headers.append((b"content-encoding", encoding))
    if draw(st.integers(0, 7)) == 0:
        headers.append((b"content-length", draw(st.sampled_from([b"%d" % len(body), b"0", b"9" * 12, b"-1", b"x"]))))
    if draw(st.integers(0, 7)) == 0:
        path += draw(
            st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(["/", "/\0", ".gif", "//", "/s"])
        )
    at = draw(st.integers(0, len(body)))
    return Shot(
        method=method,
        path=path,
        query=draw(_queries()) if draw(st.booleans()) else b"",
        headers=headers,
        body=[body[:at], body[at:]] if draw(st.booleans()) else [body],
        is_cut=draw(st.integers(0, 9)) == 0,
        records=records,
    )


@st.composite
def _bodies(draw: st.DrawFn, valid: Any) -> bytes:
    match draw(st.integers(0, 9)):
        case 0 | 1 | 2:
            return _json(valid)
        case 3 | 4:
            return _json(_spoiled(draw, valid))
        case 5:
            return _cut_up(draw, _json(valid))
        case 6:
            return _json(draw(_VALUES))
        case 7:
            return draw(st.binary(max_size=200))
        case 8:
            return draw(st.sampled_from(_ODD))
        case _:
            return _form(draw, valid)


def _records(path: str, method: str, valid: Any) -> int | None:
    """How many a valid body becomes."""
    methods = ("POST", "GET") if path.startswith("/collect/") else ("POST", "PUT")
    if path.startswith(_MAY_DROP) or method not in methods:
        return None
    return len(valid) if isinstance(valid, list) else len(valid.get("batch", (valid,)))


_MAY_DROP: Final = ("/redirect/", "/i/v1/", "/flags", "/v1/projects/")
"""Begins of paths where an answer says nothing of all that was sent."""
_ODD: Final = (
    b"",
    b"[" * 100_000,
    b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    b'{"source": "shop", "source": "shop", "events": []}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b'{"source": "shop", "events": [{"type": "v", "properties": {"n": 1' + b"0" * 5_000 + b"}}]}",
    b'{"source": "shop", "events": [' + b'{"type": "v"},' * 1_001 + b'{"type": "v"}]}',
    b'{"source": "shop", "events": [{"type": "v", "properties": {"a": "' + b"x" * 300_000 + b'"}}]}',
    b'"' + b"a" * 1_100_000 + b'"',
    b"--x\r\n" * 1_000,
    b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n\xff\0\r\n--x--\r\n',
    b"data=%7B%7D&data=%FF",
)
"""Bodies that no strategy would come by."""


def _spoiled(draw: st.DrawFn, value: Any) -> Any:
    """The same with something else in one place."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: _spoiled(draw, value[name])}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        return [_spoiled(draw, value[0]), *value[1:]]
    if isinstance(value, dict) and draw(st.booleans()):
        return {**value, draw(st.sampled_from(_MEMBERS)): draw(_VALUES)}
    return draw(_VALUES)


_MEMBERS: Final = (
    "context",
    "options",
    "request",
    "time",
    "timestamp",
    "sentAt",
    "sent_at",
    "originalTimestamp",
    "offset",
    "traits",
    "integrations",
    "anonymousId",
    "previousId",
    "groupId",
    "$set",
    "tags",
    "id",
    "messageId",
    "profile_less",
    "data_base64",
    "datacontenttype",
    "historical_migration",
)
"""Names that mean something at one door or another."""


def _cut_up(draw: st.DrawFn, body: bytes) -> bytes:
    """A piece left out, or noise in its place."""
    begin, end = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
    return body[:begin] + draw(st.binary(max_size=8)) + body[end:]


def _form(draw: st.DrawFn, valid: Any) -> bytes:
    if draw(st.booleans()):
        return b"data=" + quote(_json(valid)).encode()
    fields = draw(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=4))
    if draw(st.booleans()):
        return urlencode(fields, errors="replace").encode()
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n' for name in fields
    )
    return f"{parts}--x--\r\n".encode(errors="replace")


_BOMB: Final = gzip.compress(bytes(30_000_000), mtime=0)


@st.composite
def _packed(draw: st.DrawFn, body: bytes) -> tuple[bytes, bytes]:
    """A Content-Encoding, and the body under it."""
    match draw(st.integers(0, 7)):
        case 0 | 1:
            return b"gzip", gzip.compress(body, 1, mtime=0)
        case 2:
            return b"deflate", zlib.compress(body, 1)
        case 3:
            return b"gzip", gzip.compress(body, 1, mtime=0)[: draw(st.integers(0, 40))]
        case 4:
            return b"gzip", _BOMB
        case 5:
            return b" GZip ", gzip.compress(body, 1, mtime=0) + draw(st.binary(max_size=9))
        case 6:
            return b"deflate", body
    return draw(st.sampled_from([b"br", b"identity", b"gzip, gzip", b"\xe9"])), body


def _queries() -> st.SearchStrategy[bytes]:
    noise = st.binary(max_size=30).map(lambda data: bytes(byte for byte in data if byte > 32 and byte != 127))
    names = st.sampled_from(["profile_less", "all", "writeKey", "api_key", "_", "a", "data", "compression"])
    values = st.sampled_from([KEY, "true", "0", "\0", "gzip-js", "1795533660000", ""]) | st.text(max_size=5)
    fields = st.lists(st.tuples(names, values), max_size=3)
    return noise | fields.map(lambda pairs: urlencode(pairs, errors="replace").encode())
