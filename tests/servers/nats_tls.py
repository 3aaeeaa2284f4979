"""NATS that speaks TLS only."""

from __future__ import annotations

from typing import Final

from tests.servers.nats import Nats

TLS: Final = """
tls { cert_file: "HOME/tls/server.pem", key_file: "HOME/tls/server.key" }
"""

SERVER = Nats("nats_tls", TLS)
