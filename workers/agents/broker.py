"""How Faust reaches the hub's Kafka: librdkafka's options, as the settings have them, in Faust's words."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final

import faust
from faust.types.auth import CredentialsT

from hub.errors import Refused
from hub.settings import Kafka

_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def broker_url(kafka: Kafka) -> str:
    """Of all brokers, as Faust takes them."""
    return ";".join(f"aiokafka://{one.strip()}" for one in kafka.bootstrap.split(",") if one.strip())


def credentials(kafka: Kafka) -> CredentialsT | None:
    """
    Who the agents are for the brokers; None: nobody asks.

    Raises: Refused: Faust cannot do what `HUB_KAFKA__OPTIONS` asks for.
    """
    options = {name.lower(): value for name, value in kafka.options.items()}
    protocol = str(options.get("security.protocol", "plaintext")).lower()
    if protocol == "plaintext":
        return None
    context = _context(options) if protocol.endswith("ssl") else None
    if protocol == "ssl":
        return faust.SSLCredentials(context=context)
    mechanism = str(options.get("sasl.mechanisms", options.get("sasl.mechanism", "PLAIN"))).upper()
    if mechanism not in _MECHANISMS:
        raise Refused(
            "kafka", f"HUB_KAFKA__OPTIONS: agents cannot use sasl.mechanism {mechanism}; {', '.join(_MECHANISMS)} work"
        )
    return faust.SASLCredentials(
        mechanism=mechanism,
        username=str(options.get("sasl.username", "")),
        password=str(options.get("sasl.password", "")),
        ssl_context=context,
    )


def _context(options: Mapping[str, Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=_text(options, "ssl.ca.location"), cadata=_text(options, "ssl.ca.pem")
        )
        certificate = _text(options, "ssl.certificate.location")
        if certificate is not None:
            context.load_cert_chain(certificate, _text(options, "ssl.key.location"), _text(options, "ssl.key.password"))
    except (OSError, ssl.SSLError) as exc:
        raise Refused("kafka", f"HUB_KAFKA__OPTIONS: a certificate or key cannot be used: {exc}") from exc
    if str(options.get("ssl.endpoint.identification.algorithm", "https")).lower() == "none":
        context.check_hostname = False
    if str(options.get("enable.ssl.certificate.verification", "true")).lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _text(options: Mapping[str, Any], name: str) -> str | None:
    value = options.get(name)
    return str(value) if value else None
