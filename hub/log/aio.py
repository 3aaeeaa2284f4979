"""What aiokafka needs to reach the hub's Kafka: librdkafka's options, as the settings have them, in its words."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from hub.errors import Refused
from hub.settings import Kafka

_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Access(NamedTuple):
    """
    Who we are for the brokers. `protocol`: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. `mechanism`: empty without SASL.

    `context`: None without TLS.
    """

    protocol: str
    context: ssl.SSLContext | None = None
    mechanism: str = ""
    username: str = ""
    password: str = ""


def access(kafka: Kafka) -> Access:
    """Raises: Refused: aiokafka cannot do what `HUB_KAFKA__OPTIONS` asks for."""
    options = {name.lower(): value for name, value in kafka.options.items()}
    protocol = str(options.get("security.protocol", "plaintext")).upper()
    context = _context(options) if protocol.endswith("SSL") else None
    if not protocol.startswith("SASL"):
        return Access(protocol, context)
    mechanism = str(options.get("sasl.mechanisms", options.get("sasl.mechanism", "PLAIN"))).upper()
    if mechanism not in _MECHANISMS:
        raise Refused(
            "kafka",
            f"HUB_KAFKA__OPTIONS: agents, and collectors that take a member that is gone out of their group, cannot "
            f"use sasl.mechanism {mechanism}; {', '.join(_MECHANISMS)} work",
        )
    username, password = str(options.get("sasl.username", "")), str(options.get("sasl.password", ""))
    return Access(protocol, context, mechanism, username, password)


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
