"""A Valkey that has on disk what it has acknowledged. The usual one may have not, for two seconds on a busy disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hub.stack.process import Program
from tests.servers.valkey import Valkey


class KeptValkey(Valkey):
    """See Server."""

    name = "valkey_kept"

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        usual = super().program(home, ports)
        return replace(usual, argv=(*usual.argv, "--appendfsync", "always"))


SERVER = KeptValkey()
