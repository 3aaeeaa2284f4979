"""The pure parts of /collect, /redirect and /customer/consent, and of what a source may send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api.gate import Gate
from hub.definitions.catalogue import Catalogue
from hub.edge.consents import payload, read
from hub.edge.properties import of_body, of_query
from hub.edge.scanners import is_scanner
from hub.errors import InvalidPayload, OverLimit
from hub.settings import Limits

LIMITS = Limits()
NOW_MS = 1_780_000_000_000
FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = (
    b"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0 Mobile Safari/537.36"
)


def catalogue(**definitions: dict[str, Any]) -> Catalogue:
    """Args: definitions: specs by kind and id, as in `source__shop`."""
    made = Catalogue()
    for offset, (name, spec) in enumerate(definitions.items()):
        kind, _, id = name.partition("__")
        key = f"{kind.replace('_', '-')}/{id}".encode()
        made.apply(key, json.dumps({"spec": spec, "updated_at_ms": 1}).encode(), offset)
    return made


@given(st.lists(st.tuples(st.text("aä&=%+ ", min_size=1), st.text("bß&=;%+\n ")), max_size=9))
def test_a_form_says_what_was_typed(pairs: list[tuple[str, str]]) -> None:
    from urllib.parse import urlencode  # noqa: PLC0415 - what it is measured against

    expected: dict[str, Any] = {}
    for name, value in pairs:
        before = expected.get(name)
        expected[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    body = urlencode(pairs).encode()
    assert of_query(body) == expected
    assert of_body(body, "application/x-www-form-urlencoded; charset=UTF-8", LIMITS) == expected


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"a=1&" * 1_001, "application/x-www-form-urlencoded", "wrong_type"),
        (b"\xff=1", "application/x-www-form-urlencoded", "wrong_type"),
        (b'{"a": 1, "a": 2}', "application/vnd.a+json", "duplicate_key"),
        (b"[1]", "", "not_json"),
        (b'{"a": ' * 40 + b"1" + b"}" * 40, "", "too_deep"),
        (b"a\0b", "text/plain", "nul_character"),
        (b"no parts", "multipart/form-data; boundary=x", "wrong_type"),
        (b"no parts", "multipart/form-data", "wrong_type"),
        (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhello\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            "wrong_type",
        ),
        (b"--x\r\n" * 200_000 + b"--x--", "multipart/form-data; boundary=x", "wrong_type"),
        (
            b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nhel',
            "multipart/form-data; boundary=x",
            "wrong_type",
        ),
    ],
)
def test_what_would_lose_something_is_refused(body: bytes, kind: str, reason: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        of_body(body, kind, LIMITS)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "headers",
    [
        [(b"user-agent", b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")],
        [(b"user-agent", b"facebookexternalhit/1.1")],
        [(b"user-agent", b"WhatsApp/2.23.20.0")],
        [(b"user-agent", b"Mozilla/5.0 (Windows NT 10.0) Mimecast URL Protect")],
        [(b"user-agent", FIREFOX), (b"sec-purpose", b"prefetch")],
        [(b"purpose", b"Preview")],
    ],
)
def test_programs_say_what_they_are(headers: list[tuple[bytes, bytes]]) -> None:
    assert is_scanner(headers)


@pytest.mark.parametrize("agent", [FIREFOX, PHONE, b"curl/8.5.0", b"", b"Mozilla/5.0 (CUBOT X30) Chrome/120.0"])
def test_people_count(agent: bytes) -> None:
    assert not is_scanner([(b"user-agent", agent), (b"sec-fetch-mode", b"navigate")])


def test_a_consent_ends_when_its_type_says() -> None:
    known = catalogue(
        consent_type__mail={"revokable": True, "auto_revoke": "1w2d3h4m5s"},
        consent_type__calls={"auto_revoke": "1d"},
        consent_type__ever={"revokable": True, "auto_revoke": "999999w"},
        consent_type__off={"enabled": False},
    )
    ids = {"source": "shop", "session": {"id": " s "}, "profile": {"id": "a"}}

    def said(consents: Any, *, all: bool = False) -> Any:
        asked = read(json.dumps({**ids, "consents": consents}).encode(), all=all, limits=LIMITS)
        made = payload(asked, known, LIMITS, NOW_MS)
        assert (made.source_id, made.session_id, made.profile_id) == ("shop", "s", "a")
        (event,) = made.events
        assert event.type == "consent-update"
        return json.loads(event.properties)["consents"]

    given = said({"mail": True, "calls": True, "ever": False})
    assert given == {
        "mail": {"granted": True, "revoke": "2026-06-06T23:30:45.000Z"},
        "calls": {"granted": True, "revoke": None},
        "ever": {"granted": False, "revoke": None},
    }
    everything = said(None, all=True)
    assert list(everything) == ["calls", "ever", "mail"]
    assert everything["ever"]["revoke"] < "2127"
    with pytest.raises(InvalidPayload) as refused:
        said({"off": False})
    assert (refused.value.reason, refused.value.where, refused.value.source) == (
        "unknown_consent",
        "consents.off",
        "shop",
    )


@given(st.floats(0.5, 1_000), st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50)), max_size=40))
def test_a_source_sends_no_more_than_it_may(rate: float, steps: list[tuple[float, int]]) -> None:
    """However large its payloads are: beyond one that had to go whole."""
    now_s, sent, last = 100.0, 0, 0
    gate = Gate(catalogue(source__shop={"rate_limit": rate}, source__other={}), lambda: now_s)
    for wait_s, count in steps:
        now_s += wait_s
        gate.enter("other", 1_000_000, 1_000)
        try:
            gate.enter("shop", 10, count)
        except OverLimit as exc:
            now_s += exc.retry_after_s + 1e-6
            gate.enter("shop", 10, count)
        sent, last = sent + count, count
        assert sent - last <= rate * (now_s - 100.0) + max(1.0, rate) + 1e-6 * sent
