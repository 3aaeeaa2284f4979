"""A mail as JSON: what mailers really write, and what nobody should."""

from __future__ import annotations

import base64
import json
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest

from bridges.base import Context, Delivery
from bridges.imap import ImapSettings, MailDelivery, decoder
from bridges.mail import NotMailError, as_json, body_of

LIMIT = 1000


def read(mail: bytes | str, limit: int = LIMIT) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(as_json(mail if isinstance(mail, bytes) else mail.encode(), limit))
    return found


def test_the_fields_of_a_mail() -> None:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "Jürgen Öztürk <j@example.com>"
    mail["To"] = "shop@example.com, Kim <kim@example.com>"
    mail["Cc"] = "boss@example.com"
    mail["Subject"] = "Bestellung für Köln"
    mail["Date"] = "Tue, 02 Jun 2026 10:00:00 +0200"
    mail["Message-ID"] = "<1@example.com>"
    mail["X-Shop"] = "eu"
    mail.set_content("Grüße", charset="iso-8859-1")
    mail.add_alternative("<p>Grüße</p>", subtype="html")
    mail.add_attachment(b"\x00\x01", maintype="application", subtype="pdf", filename="Straße.pdf")
    found = read(mail.as_bytes())
    assert found["from"] == {"name": "Jürgen Öztürk", "address": "j@example.com"}
    assert found["to"] == [{"name": "", "address": "shop@example.com"}, {"name": "Kim", "address": "kim@example.com"}]
    assert found["cc"] == [{"name": "", "address": "boss@example.com"}]
    assert found["subject"] == "Bestellung für Köln"
    assert found["date"] == "2026-06-02T08:00:00Z"
    assert found["message_id"] == "<1@example.com>"
    assert found["headers"]["x-shop"] == "eu"
    assert (found["text"].strip(), found["html"].strip()) == ("Grüße", "<p>Grüße</p>")
    [attachment] = found["attachments"]
    assert attachment == {
        "name": "Straße.pdf",
        "type": "application/pdf",
        "size": 2,
        "sha256": "b413f47d13ee2fe6c845b2ee141af81de858df4ec549a58b7970bb96645bc8d2",
        "content": base64.b64encode(b"\x00\x01").decode(),
    }


def test_what_a_mail_does_not_have_is_null() -> None:
    found = read("\r\n")
    assert {name: found[name] for name in ("subject", "from", "date", "message_id", "html", "attachments", "to")} == {
        "subject": None,
        "from": None,
        "date": None,
        "message_id": None,
        "html": None,
        "attachments": [],
        "to": [],
    }


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("iso-8859-1", b"\x93quoted\x94 \x80", "\u201cquoted\u201d \u20ac"),  # written so, and Windows' is meant
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("utf-8", b"Gr\xfc\xdfe", "Grüße"),
        ("no-such-charset", "Grüße".encode(), "Grüße"),
        ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("shift_jis", "注文".encode("shift_jis"), "注文"),
        ("gb2312", "订单".encode("gb18030"), "订单"),
    ],
)
def test_texts_are_decoded_by_what_is_meant(charset: str, raw: bytes, text: str) -> None:
    head = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    assert read(head.encode() + raw)["text"] == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= an =?iso-8859-1?b?S/ZsbiA=?=", "Grüße an Köln"),
        ("Grüße".encode(), "Grüße"),
        (b"Gr\xfc\xdfe", "Grüße"),
        ("Grüße =?utf-8?q?K=C3=B6ln?=".encode(), "Grüße Köln"),
        (b"=?utf-8?b?abcde?=", "=?utf-8?b?abcde?="),
        (b"a\r\n folded", "a folded"),
        (b"a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_subjects(raw: bytes, text: str) -> None:
    assert read(b"Subject: " + raw + b"\r\n\r\n")["subject"] == text


def test_a_large_attachment_comes_without_its_content() -> None:
    mail = EmailMessage(policy=SMTP)
    mail.set_content("see attachment")
    mail.add_attachment(b"x" * (LIMIT + 1), maintype="text", subtype="csv", filename="a.csv")
    [attachment] = read(mail.as_bytes())["attachments"]
    assert (attachment["size"], attachment["content"]) == (LIMIT + 1, None)


def test_an_attached_mail_is_an_attachment_and_its_text_is_not_ours() -> None:
    inner = EmailMessage(policy=SMTP)
    inner["Subject"] = "inner"
    inner.set_content("theirs")
    mail = EmailMessage(policy=SMTP)
    mail.set_content("ours")
    mail.add_attachment(inner)
    found = read(mail.as_bytes())
    assert found["text"].strip() == "ours"
    [attachment] = found["attachments"]
    assert attachment["type"] == "message/rfc822"
    assert b"Subject: inner" in base64.b64decode(attachment["content"])


def test_a_header_that_is_there_twice_is_a_list() -> None:
    assert read("Received: a\r\nReceived: b\r\n\r\n")["headers"]["received"] == ["a", "b"]


@pytest.mark.parametrize("date", ["yesterday", "Tue, 99 Jun 2026 10:00:00 +0200", "", "1 Jan 10000 00:00:00 +0000"])
def test_a_date_that_is_none_is_null(date: str) -> None:
    assert read(f"Date: {date}\r\n\r\n")["date"] is None


def test_a_mail_that_is_all_nesting_is_a_fault_and_no_crash() -> None:
    nested = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (depth, depth) for depth in range(3000)
    )
    with pytest.raises(NotMailError):
        as_json(nested, LIMIT)


def test_a_mail_of_thousands_of_parts_is_a_fault() -> None:
    head = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    with pytest.raises(NotMailError, match="more than"):
        as_json(head + b"--x\r\n\r\na\r\n" * 1500 + b"--x--\r\n", LIMIT)


@pytest.mark.parametrize(
    ("mail", "body"),
    [
        (b"Content-Type: application/json\r\n\r\n{}", b"{}"),
        (b'Content-Type: text/plain; charset=iso-8859-1\r\n\r\n{"a": "\xfc"}', '{"a": "ü"}'.encode()),
        (
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n/wA=\r\n",
            b"\xff\x00",
        ),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n1\r\n--x\r\n\r\n2\r\n--x--\r\n", b"1"),
        (b"\r\n", b""),
    ],
)
def test_the_body_by_itself(mail: bytes, body: bytes) -> None:
    assert body_of(mail) == body


def test_a_dead_letter_is_read_as_the_mail_was() -> None:
    """For its replay there are its bytes and its position."""
    settings = ImapSettings(host="localhost", username="u", password="env:P")
    delivery = MailDelivery(b"Subject: s\r\n\r\nhello", "Shop/EU/17/4711", 1)
    decode = decoder(settings, Context("b", "t", {}))
    decode(delivery)
    assert json.loads(delivery.json or b"")["text"] == "hello"
    assert {name: delivery.meta()[name] for name in ("folder", "uidvalidity", "uid")} == {
        "folder": "Shop/EU",
        "uidvalidity": 17,
        "uid": 4711,
    }
    broken = Delivery(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\na\r\n" * 1500, "a/1/1")
    decode(broken)
    assert "parts" in broken.fault
