"""Other systems: calls whose answer the run waits for, and messages that it leaves to a destination."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from pydantic import Field, model_validator

from hub.flows.effects import Answer, CallHttp, SendMessage
from hub.flows.fields import Place, Template, fault
from hub.flows.node import OUT, Call, Config, NodeFault, Outcome, Wait, node, put
from hub.flows.notation import as_text

GROUP: Final = "Other systems"
ENV: Final = "env:"
_SECRET_ENDINGS: Final = ("authorization", "key", "token", "secret", "cookie")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PASSES: Final = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})
_URL_CHARS: Final = 8_192


def _spans(text: str) -> list[tuple[int, int]]:
    spans = []
    for part in text.replace(" ", "").split(","):
        match = _PASSES.fullmatch(part)
        if match is None:
            raise ValueError(f"{text!r}: statuses are written as 200-299, 404")
        spans.append((int(match[1]), int(match[2] or match[1])))
    return spans


class Http(Config):
    """A request."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: Annotated[
        Template, Field(description="http:// or https://. Values in it are put in as they are: see `query`.")
    ]
    query: Annotated[
        dict[str, Template],
        Field(
            default_factory=dict,
            max_length=100,
            description="By parameter, what is put behind the URL's `?`; null: nothing.",
        ),
    ]
    headers: Annotated[
        dict[str, Template],
        Field(
            default_factory=dict,
            max_length=50,
            description="By name. A secret (its name ends in Authorization, Key, Token, Secret, Cookie) is env:NAME.",
        ),
    ]
    body: Annotated[Template | None, Field(description="A text is sent as it is, any other value as JSON.")] = None
    timeout_s: Annotated[float, Field(ge=0.1, le=60, description="The answer may take so long, seconds.")] = 10.0
    attempts: Annotated[
        int, Field(ge=1, le=10, description="All together, when there is no answer, or 429, 502, 503, 504.")
    ] = 3
    passes: Annotated[str, Field(description="Statuses of answers that are no error.")] = "200-299"
    idempotency_key: Annotated[
        Template | None,
        Field(
            description="Sent as Idempotency-Key, so that who is called does it once. Unset: one of this run and node. "
            "An empty text: none, and after a crash the call may come twice."
        ),
    ] = None
    into: Annotated[Place, Field(description="Where in the payload the answer goes: `status`, `headers`, `body`.")] = (
        Place("response")
    )

    def repeats(self) -> str:
        """If it sends no key."""
        if self.method in ("GET", "HEAD") or self.idempotency_key is None:
            return ""
        keyless = self.idempotency_key.is_constant and self.idempotency_key({}) in (None, "")
        return "it sends no idempotency key" if keyless else ""

    @model_validator(mode="after")
    def _right(self) -> Self:
        _spans(self.passes)
        for name, template in self.headers.items():
            if _NAME.fullmatch(name) is None or name.lower() in _OURS:
                raise fault(f"headers.{name}: there can be no such header")
            if name.lower().endswith(_SECRET_ENDINGS) and not _secret(template):
                raise fault(f"headers.{name}: it is a secret: write env:NAME, a variable of the process that calls")
        if self.url.is_constant:
            _checked(self.url({}))
        return self


@node("http-call", group=GROUP)
def http_call(config: Http, call: Call) -> Outcome | Wait:
    """
    Call another system and go on with its answer.

    What is no answer in time, or one of another status than `passes` says, goes on at the error port. Private addresses
    are refused unless the hub is told otherwise.
    """
    if call.answer is not None:
        return _answered(config, call, call.answer)
    headers = {
        name: as_text(value)
        for name, template in config.headers.items()
        if not _secret(template) and (value := template(call.scope)) is not None
    }
    for name, value in headers.items():
        if any(character in value for character in "\r\n\0"):
            raise NodeFault(f"headers.{name}: a line break cannot stand in a header")
    body = None if config.body is None else config.body(call.scope)
    key = call.id("call") if config.idempotency_key is None else as_text(config.idempotency_key(call.scope))
    request = CallHttp(
        id=call.id("call"),
        method=config.method,
        url=_url(config, call),
        headers=headers,
        secrets={name: _secret(template) for name, template in config.headers.items() if _secret(template)},
        body=body if body is None or isinstance(body, str) else msgspec.json.encode(body).decode(),
        content_type="" if body is None else "text/plain" if isinstance(body, str) else "application/json",
        timeout_s=config.timeout_s,
        attempts=config.attempts,
        idempotency_key=key if config.method not in ("GET", "HEAD") else "",
        passes=_spans(config.passes),
    )
    return Wait(request)


class Send(Config):
    """What to send, and by which destination."""

    destination: Annotated[
        str,
        Field(
            min_length=1, max_length=256, description="Id of a destination (docs/destinations.md): kafka, rabbitmq, …"
        ),
    ]
    message: Annotated[Template, Field(description="Template of what is sent.")] = Template("payload@...")
    key: Annotated[Template, Field(description="What the target orders or groups messages by.")] = Template(
        "profile@id"
    )


@node("send", group=GROUP)
def send(config: Send, call: Call) -> Outcome:
    """Send a message by a destination: kafka, rabbitmq, mqtt, nats, redis, sqs, http, s3, postgres, clickhouse."""
    content, key = config.message(call.scope), config.key(call.scope)
    if content is None:
        raise NodeFault(f"{config.message}: there is nothing to send")
    return call.go(OUT, _message(call, config.destination, content, as_text(key)))


class Mail(Config):
    """A mail, and by which destination."""

    destination: Annotated[str, Field(min_length=1, max_length=256, description="Id of a destination of type smtp.")]
    to: Annotated[Template, Field(description="An address, or a list of them.")]
    subject: Template
    text: Annotated[Template, Field(description="The mail, as plain text.")]
    html: Annotated[Template | None, Field(description="The same as HTML.")] = None
    reply_to: Annotated[Template | None, Field(description="Where an answer goes. Unset: to the sender.")] = None


@node("send-mail", group=GROUP)
def send_mail(config: Mail, call: Call) -> Outcome:
    """Send an e-mail."""
    to = config.to(call.scope)
    if not to or not isinstance(to, str | list):
        raise NodeFault(f"{config.to}: an address is expected, not {to!r:.80}")
    content: dict[str, Any] = {"to": to, "subject": call.text(config.subject), "text": call.text(config.text)}
    for name, template in (("html", config.html), ("reply_to", config.reply_to)):
        if template is not None:
            content[name] = call.text(template)
    return call.go(OUT, _message(call, config.destination, content, _profile(call)))


def _message(call: Call, destination: str, content: Any, key: str) -> SendMessage:
    return SendMessage(call.id("message"), destination, content, key, call.now_ms, _profile(call))


def _profile(call: Call) -> str:
    return as_text(call.scope["profile"].get("id"))


def _answered(config: Http, call: Call, answer: Answer) -> Outcome:
    response = {"status": answer.status, "headers": answer.headers, "body": answer.body}
    if answer.error:
        raise NodeFault(f"no answer: {answer.error}", response=response)
    if not any(first <= answer.status <= last for first, last in _spans(config.passes)):
        raise NodeFault(f"the answer has the status {answer.status}", response=response)
    return Outcome(OUT, put(call.payload, config.into.value, response))


def _url(config: Http, call: Call) -> str:
    url = call.text(config.url)
    _checked(url)
    parameters = {name: template(call.scope) for name, template in config.query.items()}
    written = urlencode({name: as_text(value) for name, value in parameters.items() if value is not None})
    if not written:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, written)))))


def _checked(url: Any) -> None:
    """Raises NodeFault: nobody could be called there."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or any(ord(character) <= 32 for character in url) or len(url) > _URL_CHARS:
        raise NodeFault(f"{url!r:.200} is no URL of http or https")
    if "@" in urlsplit(url).netloc:
        raise NodeFault("leave user and password out of the URL: send them in `headers`")


def _secret(template: Template) -> str:
    """The variable that a header's value is in; empty: it is written out."""
    source = template.source
    return source.removeprefix(ENV) if isinstance(source, str) and source.startswith(ENV) else ""
