"""E-mail as a target: one mail an event, over SMTP."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from bridges.base import Context
from bridges.network import TlsSettings, connect_error, tls_context
from bridges.outward.base import ID_HEADER, Denied, Later, Message, Rejected, TargetSpec, before
from bridges.outward.blocking import BlockingTarget
from hub.definitions.secrets import SecretRef, resolve
from hub.edge.functions import EPOCH
from hub.errors import Refused

PORTS: Final = {"none": 25, "starttls": 587, "tls": 465}
FIELDS: Final = frozenset({"to", "subject", "text", "html", "reply_to"})
REQUIRED: Final = ("to", "subject", "text")


class NoMailError(ValueError):
    """What the mapping made is no mail; says why."""


def _address(text: str) -> str:
    _, address = parseaddr(text)
    if "@" not in address or any(character in text for character in "\r\n"):
        raise ValueError("write an address, such as hub@example.com, or Name <hub@example.com>")
    return text


class SmtpSettings(TlsSettings, frozen=True, extra="forbid"):
    """Settings of a destination of type `smtp`."""

    host: Annotated[str, Field(min_length=1, description="The mail server.")]
    port: Annotated[int, Field(ge=0, le=65535, description="0: 25, 587 for starttls, 465 for tls.")] = 0
    security: Annotated[
        Literal["none", "starttls", "tls"], Field(description="starttls: TLS is asked for; tls: from the first byte.")
    ] = "starttls"
    username: Annotated[str, Field(description="Empty: none.")] = ""
    password: Annotated[SecretRef, Field(description="Of that user. A secret.")] = ""
    sender: Annotated[str, AfterValidator(_address), Field(description="The mails' From.")]
    timeout_s: Annotated[float, Field(ge=1, le=300, description="An answer may take so long.")] = 20.0


class SmtpTarget(BlockingTarget):
    """
    One connection, one mail after the other; a mail counts as sent when the server has taken it over.

    `Message-ID` is made of the event's id, so that a mail that comes again can be told.
    """

    most = 20

    def __init__(self, settings: SmtpSettings, context: Context) -> None:
        """Does not connect yet."""
        super().__init__(context)
        self._settings = settings
        self._smtp: smtplib.SMTP | None = None
        self._at = f"{settings.host}:{settings.port or PORTS[settings.security]}"

    # everything below runs on the target's own thread

    def _connect(self) -> None:
        settings = self._settings
        context = tls_context(settings) if settings.security != "none" else None
        password = resolve(settings.password, self._context.environ)
        port = settings.port or PORTS[settings.security]
        try:
            if settings.security == "tls":
                self._smtp = smtplib.SMTP_SSL(settings.host, port, timeout=settings.timeout_s, context=context)
            else:
                self._smtp = smtplib.SMTP(settings.host, port, timeout=settings.timeout_s)
            if settings.security == "starttls":
                self._smtp.starttls(context=context)
            self._smtp.ehlo_or_helo_if_needed()
            if settings.username:
                self._smtp.login(settings.username, password)
        except smtplib.SMTPAuthenticationError as exc:
            words = f"{self._at} does not let us in: {_said(exc)}"
            raise Refused("target", f"{words}. Correct settings.username and settings.password") from exc
        except smtplib.SMTPNotSupportedError as exc:
            raise Refused("target", f"{self._at}: {exc}. Correct settings.security or settings.username") from exc
        except (smtplib.SMTPException, ssl.SSLError, OSError) as exc:
            raise self._trouble(exc) from exc

    def _send(self, batch: Sequence[Message]) -> list[Rejected]:
        smtp = self._smtp
        if smtp is None:
            raise Later("the destination is closed")
        rejected: list[Rejected] = []
        for place, message in enumerate(batch):
            try:
                mail, to = made(message, self._settings.sender)
                left_out = smtp.send_message(mail, self._settings.sender, to)
                if left_out:  # the others have it
                    rejected.append(Rejected(place, f"{self._at} refuses, of several recipients, {_refused(left_out)}"))
            except NoMailError as exc:
                rejected.append(Rejected(place, str(exc)))
            except smtplib.SMTPRecipientsRefused as exc:
                detail = f"{self._at} refuses {_refused(exc.recipients)}"
                if any(code < 500 for code, _ in exc.recipients.values()):
                    raise Later(detail, sent=before(place, rejected), stuck=place) from exc
                rejected.append(Rejected(place, detail))
            except smtplib.SMTPDataError as exc:
                if exc.smtp_code < 500:
                    raise self._trouble(exc, place, before(place, rejected)) from exc
                rejected.append(Rejected(place, f"{self._at} refuses the mail: {_said(exc)}"))
            except (smtplib.SMTPException, OSError) as exc:
                raise self._trouble(exc, place, before(place, rejected)) from exc
        return rejected

    def _trouble(self, exc: BaseException, place: int = 0, sent: frozenset[int] = frozenset()) -> Later | Denied:
        if isinstance(exc, smtplib.SMTPSenderRefused) and exc.smtp_code >= 500:
            words = f"{self._at} refuses the sender {self._settings.sender}: {_said(exc)}"
            return Denied(f"{words}. Correct settings.sender, or log in", sent=sent, stuck=place)
        if isinstance(exc, smtplib.SMTPResponseException):
            return Later(f"{self._at} says: {_said(exc)}", sent=sent, stuck=place)
        if isinstance(exc, smtplib.SMTPException):
            words = f"{self._at} breaks off: {exc}. Are settings.port and settings.security right?"
            return Later(words, sent=sent, stuck=place)
        error = connect_error(exc, self._at, "settings.host")
        return (Denied if isinstance(error, Refused) else Later)(error.detail, sent=sent, stuck=place)

    def _close(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except (smtplib.SMTPException, OSError):
                smtp.close()


def made(message: Message, sender: str) -> tuple[EmailMessage, list[str]]:
    """
    The mail of what the mapping made, and whom it goes to.

    Raises: NoMailError.
    """
    content = message.content
    if not isinstance(content, dict) or not FIELDS.issuperset(content):
        raise NoMailError("the mapping has to make an object with to, subject, text, and html and reply_to if you like")
    to = content.get("to")
    addresses = [to] if isinstance(to, str) else to
    if not isinstance(addresses, list) or not addresses or not all(map(_is_address, addresses)):
        raise NoMailError(f"`to` is no address, and no list of them: {to!r:.80}")
    for name in FIELDS - {"to"}:
        if not isinstance(content.get(name, ""), str) or (name in REQUIRED and not content.get(name)):
            raise NoMailError(f"`{name}` has to be a text: {content.get(name)!r:.80}")
    mail = EmailMessage()
    try:
        mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(addresses), content["subject"]
        if content.get("reply_to"):
            mail["Reply-To"] = content["reply_to"]
        mail["Date"] = format_datetime(EPOCH + timedelta(milliseconds=message.time_ms))
        mail["Message-ID"] = f"<{message.id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
        mail[ID_HEADER] = message.id
    except (ValueError, MessageError) as exc:
        raise NoMailError(f"a header cannot be written: {exc}") from exc
    mail.set_content(content["text"])
    if content.get("html"):
        mail.add_alternative(content["html"], subtype="html")
    return mail, addresses


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and "@" in parseaddr(value)[1] and "\n" not in value and "\r" not in value


def _refused(recipients: Mapping[str, tuple[int, bytes]]) -> str:
    return ", ".join(f"{to}: {code} {_text(words)}" for to, (code, words) in recipients.items())


def _said(exc: smtplib.SMTPResponseException) -> str:
    return f"{exc.smtp_code} {_text(exc.smtp_error)}"


def _text(words: Any) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    return " ".join(text.split())


def _check(_: SmtpSettings, definition: Mapping[str, Any]) -> None:
    if definition["sends"] == "flows":
        return  # what they send is a mail already
    mapping = definition["mapping"]
    if mapping is None:
        raise ValueError(f"mapping: a mail needs one that makes {', '.join(REQUIRED)}")
    if isinstance(mapping, dict) and (missing := [name for name in REQUIRED if name not in mapping]):
        raise ValueError(f"mapping: a mail needs {', '.join(missing)}")


SPEC: Final = TargetSpec("smtp", "Send e-mails.", SmtpSettings, SmtpTarget, _check)
