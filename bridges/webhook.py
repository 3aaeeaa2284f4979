"""Signed HTTP requests as a source: GitHub, Stripe, Standard Webhooks, or any HMAC. It runs in the API process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs

import msgspec
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from bridges import signatures
from bridges.base import Bridge, BridgeSpec, Context, Delivery, Receive
from hub.definitions.secrets import SecretRef, resolve
from hub.edge.headers import SECRET
from hub.edge.hook import Request
from hub.errors import Refused
from hub.ids import derived, ordered

ID_HEADERS: Final = {"github": ("x-github-delivery",), "standard": ("webhook-id", "svix-id")}
ID_CHARS: Final = 200
FORM: Final = "application/x-www-form-urlencoded"
PAYLOAD_ID: Final = "hub-payload-id"
"""Counts with other bridges, but is not signed."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class WebhookSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of a bridge of type `webhook`."""

    signature: Annotated[
        Literal["github", "stripe", "standard", "hmac", "none"],
        Field(
            description="How requests are signed: as GitHub, Stripe or Standard Webhooks do; `hmac`: an HMAC of the "
            "body in a header; `none`: not at all, whoever knows the address may send."
        ),
    ]
    secret: Annotated[
        list[SecretRef],
        BeforeValidator(_listed),
        Field(description="The secret shared with the sender, or a list: one of them has to fit. A secret."),
    ] = []
    tolerance_s: Annotated[
        float,
        Field(gt=0, le=86_400, description="Of stripe and standard: seconds that a signature may be away from now."),
    ] = 300
    header: Annotated[str, Field(max_length=256, description="Of hmac: the header with the signature.")] = ""
    algorithm: Annotated[signatures.Algorithm, Field(description="Of hmac: sha1, sha256 or sha512.")] = "sha256"
    encoding: Annotated[signatures.Encoding, Field(description="Of hmac: hex or base64.")] = "hex"
    prefix: Annotated[str, Field(description="Of hmac: what stands before the digest, such as `sha256=`.")] = ""
    id_header: Annotated[
        str,
        Field(max_length=256, description="The header with the id of a message, the same when it is sent again."),
    ] = ""

    @model_validator(mode="after")
    def _fitting(self) -> WebhookSettings:
        if self.signature == "none":
            if any(self.secret):
                raise ValueError("signature: none checks no secret: leave secret out, or say how requests are signed")
        elif not self.secret or not all(self.secret):
            raise ValueError("secret: the one that is shared with the sender is needed, or signature: none")
        if self.signature == "hmac":
            if not self.header:
                raise ValueError("header: name the header that has the signature")
        elif self.model_fields_set & {"header", "algorithm", "encoding", "prefix"}:
            raise ValueError(
                f"header, algorithm, encoding and prefix are of signature: hmac; {self.signature} knows its own"
            )
        return self


class WebhookDelivery(Delivery):
    """A request. `target`: its path, with its query."""

    method: str = ""
    target: str = ""

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: method, path, query."""
        path, _, query = self.target.partition("?")
        return {**super().meta(), "method": self.method, "path": path, "query": query}


class _Identified(msgspec.Struct):
    id: str = ""


_identified: Final = msgspec.json.Decoder(_Identified).decode


def receiver(settings: WebhookSettings, context: Context) -> Receive:
    """Raises Refused: a secret cannot be had."""
    check = _check(settings, context)
    kept = settings.id_header.lower()
    id_headers = (*([kept] if kept else []), *ID_HEADERS.get(settings.signature, ()))

    def receive(request: Request, now_ms: int) -> Delivery:
        headers: dict[str, str] = {}
        for name, value in request.headers:
            headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        bodies = [request.body] if request.raw is request.body else [request.body, request.raw]
        check(signatures.Signed(headers, bodies, now_ms / 1000))
        id = next((headers[name].strip() for name in id_headers if headers.get(name, "").strip()), "")
        if not id and settings.signature == "stripe":
            id = _stripe_id(request.body)
        delivery = WebhookDelivery(
            request.body,
            f"{context.bridge}/{_clean(id) if id else ordered(now_ms)}",
            headers=[
                (name.decode("latin-1"), value)
                for name, value in request.headers
                if name not in SECRET and name != PAYLOAD_ID.encode()
            ],
            method=request.method,
            target=request.path,
        )
        decode(delivery)
        return delivery

    return receive


def decode(delivery: Delivery) -> None:
    """A form becomes JSON: each field a text, a list of texts when it is there several times."""
    if delivery.body.lstrip().startswith(b"{"):
        return  # JSON that somebody calls a form, as curl does unless it is told otherwise
    kind = next((value for name, value in delivery.headers if name == "content-type" and value), b"")
    if kind.partition(b";")[0].strip().lower() != FORM.encode():
        return
    try:
        fields = parse_qs(delivery.body.decode(), keep_blank_values=True, errors="strict", max_num_fields=10_000)
    except ValueError as exc:
        delivery.fault = f"the body says that it is a form, and is none: {exc}"
        return
    delivery.json = msgspec.json.encode(
        {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
    )


def _check(settings: WebhookSettings, context: Context) -> signatures.Check:
    secrets = []
    for reference in settings.secret:
        secret = resolve(reference, context.environ)
        if not secret:
            # an HMAC with an empty key is one that anybody can make
            raise Refused("bridge", "settings.secret: the variable is empty, so anybody could sign: give it a value")
        secrets.append(secret)
    keys = [secret.encode() for secret in secrets]
    match settings.signature:
        case "github":
            return signatures.github(keys)
        case "stripe":
            return signatures.stripe(keys, settings.tolerance_s)
        case "standard":
            return signatures.standard([_standard_key(secret) for secret in secrets], settings.tolerance_s)
        case "hmac":
            return signatures.plain(
                keys, settings.header.lower(), settings.algorithm, settings.encoding, settings.prefix
            )
        case "none":
            return signatures.unsigned


def _standard_key(secret: str) -> bytes:
    try:
        key = signatures.standard_key(secret)
    except ValueError as exc:
        raise Refused("bridge", f"settings.secret: {exc}; copy it once more from the sender") from exc
    if not key:
        raise Refused("bridge", "settings.secret: it holds no key; copy it once more from the sender")
    return key


def _stripe_id(body: bytes) -> str:
    try:
        return _identified(body).id.strip()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # no event of Stripe's


def _clean(id: str) -> str:
    """As a position has it; what is no usual id becomes one."""
    return id if len(id) <= ID_CHARS and id.isprintable() else derived("webhook", id)


def _no_queue(_settings: WebhookSettings, _context: Context) -> Bridge:
    raise Refused("bridge", "a webhook is no queue that can be read: its sender comes to the API")


def _decoder(_settings: WebhookSettings, _context: Context) -> Callable[[Delivery], None]:
    return decode


SPEC: Final = BridgeSpec(
    "webhook",
    "Take signed requests at POST /webhooks/{bridge} of the API.",
    WebhookSettings,
    _no_queue,
    decoder=_decoder,
    receiver=receiver,
)
