"""A mail as JSON: headers, addresses, texts and attachments, decoded; pure."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any, Final

import msgspec

MOST_PARTS: Final = 1000
"""A mail of more has been made to hurt somebody."""
_ALIASES: Final = {
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "gb2312": "gb18030",
    "ks_c_5601-1987": "cp949",
    "unknown-8bit": "utf-8",
}
"""What is meant by names that mailers write. Source: WHATWG, Encoding, for all but us-ascii."""
_LAST_RESORT: Final = "cp1252"
_SPACE: Final = re.compile(r"[\r\n\t ]+")
_MAIL: Final = "message/rfc822"


class NotMailError(ValueError):
    """Bytes that cannot be read as a mail, whenever they come again; the text says why."""


def as_json(mail: bytes, attachment_bytes: int) -> bytes:
    """
    `{subject, from, to, cc, reply_to, date, message_id, in_reply_to, text, html, headers, attachments}`.

    An address is `{"name", "address"}`; `headers` has each name in lower case with a text, or with a list if the mail
    has it more than once; an attachment is `{"name", "type", "size", "sha256", "content"}`.

    Args:
        mail: As in RFC 5322.
        attachment_bytes: Content of larger attachments is left out: null instead of base64.

    Raises: NotMailError.
    """
    try:
        return msgspec.json.encode(_fields(_parsed(mail), attachment_bytes))
    except NotMailError:
        raise
    except Exception as exc:  # Python's parser meets mails of all kinds, and raises errors of all kinds
        raise NotMailError(f"it cannot be read as a mail: {exc!r}") from exc


def body_of(mail: bytes) -> bytes:
    """
    The first part that is no multipart, as a program has sent it: a text as UTF-8, anything else as it is.

    Raises: NotMailError.
    """
    try:
        for part in _parts(_parsed(mail)):
            content = _content(part)
            return _decoded(content, part).encode() if part.get_content_type().startswith("text/") else content
    except NotMailError:
        raise
    except Exception as exc:  # as in as_json
        raise NotMailError(f"it cannot be read as a mail: {exc!r}") from exc
    return b""


def _parsed(mail: bytes) -> Message:
    return BytesParser(policy=compat32).parsebytes(mail)


def _fields(mail: Message, attachment_bytes: int) -> dict[str, Any]:
    texts: dict[str, list[str]] = {"text/plain": [], "text/html": []}
    attachments: list[dict[str, Any]] = []
    for part in _parts(mail):
        kind, name = part.get_content_type(), _name(part)
        content = _content(part)
        if kind in texts and name is None and part.get_content_disposition() != "attachment":
            texts[kind].append(_clean(_decoded(content, part)))
        else:
            attachments.append(_attachment(name, kind, content, attachment_bytes))
    raw = _headers(mail)
    headers = {name: [_words(value) for value in values] for name, values in raw.items()}
    senders = _addresses(raw, "from")
    return {
        "subject": _first(headers, "subject"),
        "from": senders[0] if senders else None,
        "to": _addresses(raw, "to"),
        "cc": _addresses(raw, "cc"),
        "reply_to": _addresses(raw, "reply-to"),
        "date": _date(_first(headers, "date")),
        "message_id": _first(headers, "message-id"),
        "in_reply_to": _first(headers, "in-reply-to"),
        "text": "\n".join(texts["text/plain"]) if texts["text/plain"] else None,
        "html": "\n".join(texts["text/html"]) if texts["text/html"] else None,
        "headers": {name: values[0] if len(values) == 1 else values for name, values in headers.items()},
        "attachments": attachments,
    }


def _parts(mail: Message) -> Iterator[Message]:
    """The leaves; an attached mail is one."""
    waiting = [mail]
    for _ in range(MOST_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        inner = part.get_payload()
        if isinstance(inner, list) and part.get_content_type() != _MAIL:
            waiting += [each for each in reversed(inner) if isinstance(each, Message)]
        else:
            yield part
    raise NotMailError(f"it has more than {MOST_PARTS} parts")


def _content(part: Message) -> bytes:
    if part.get_content_type() == _MAIL:
        inner = part.get_payload()
        return (
            b"".join(each.as_bytes() for each in inner if isinstance(each, Message)) if isinstance(inner, list) else b""
        )
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _attachment(name: str | None, kind: str, content: bytes, most: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "content": base64.b64encode(content).decode() if len(content) <= most else None,
    }


def _name(part: Message) -> str | None:
    name = part.get_filename()
    return None if name is None else _words(name)


def _decoded(content: bytes, part: Message) -> str:
    charset = part.get_content_charset() or "utf-8"
    return text_of(content, charset)


def text_of(content: bytes, charset: str) -> str:
    """The text, by the charset that the sender names as far as that fits, else UTF-8, else as Western Europe wrote."""
    for name in (_ALIASES.get(charset.lower(), charset), "utf-8"):
        try:
            return content.decode(name)
        except (LookupError, ValueError):
            continue
    return content.decode(_LAST_RESORT, errors="replace")


def _words(text: str) -> str:
    """A header's text: encoded words decoded, line breaks gone. Args: text: bytes over 127 are escaped in it."""
    found: list[str] = []
    try:
        pieces = decode_header(text)
    except (ValueError, HeaderParseError):  # base64 that is none: the text as it came
        pieces = [(text, None)]
    for piece, charset in pieces:
        # beside encoded words, other text comes as bytes in raw-unicode-escape
        plain = piece.decode("raw-unicode-escape") if charset is None and isinstance(piece, bytes) else piece
        raw = plain.encode("utf-8", "surrogateescape") if isinstance(plain, str) else plain
        found.append(text_of(raw, charset or "utf-8"))
    return _clean(_SPACE.sub(" ", "".join(found)).strip())


def _clean(text: str) -> str:
    """Without what JSON cannot carry, or the hub refuses."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _headers(mail: Message) -> dict[str, list[str]]:
    """As they came, by name in lower case; bytes over 127 are escaped."""
    found: dict[str, list[str]] = {}
    for name, value in mail.raw_items():
        found.setdefault(_clean(name.lower()), []).append(str(value))
    return found


def _first(headers: Mapping[str, list[str]], name: str) -> str | None:
    values = headers.get(name)
    return values[0] if values else None


def _addresses(raw: Mapping[str, list[str]], name: str) -> list[dict[str, str]]:
    values = [_SPACE.sub(" ", value) for value in raw.get(name, ())]
    return [{"name": _words(shown), "address": _words(address)} for shown, address in getaddresses(values) if address]


def _date(value: str | None) -> str | None:
    """As RFC 3339 in UTC."""
    if value is None:
        return None
    try:
        date = parsedate_to_datetime(value)
        aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)  # -0000: the zone is not known
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, TypeError, OverflowError):
        return None
