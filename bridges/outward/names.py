"""Names of hosts, looked up once and only for addresses that may be called: that is what is connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKERS: Final = 16
"""Questions to the name servers at a time."""


class Checked(AbstractResolver):
    """For an aiohttp connector, which asks it for each new connection if it keeps no names itself."""

    def __init__(self, look_up: Callable[[str, int], list[str]], check: Callable[[str, str], None]) -> None:
        """
        Args:
            look_up: The addresses of a host and port, all checked. Blocks. Raises Forbidden; OSError: it has none.
            check: Gets a host and one of its addresses. Raises Forbidden.
        """
        self._look_up = look_up
        self._check = check
        self._lookers = ThreadPoolExecutor(LOOKERS, thread_name_prefix="names")

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - all are asked for
    ) -> list[ResolveResult]:
        """Raises Forbidden; OSError: it has no address."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._lookers, self._look_up, host, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    def socket(self, place: tuple[Any, ...]) -> socket.socket:
        """
        For the connector's `socket_factory`: every connection comes by here, also that to an address in a URL, which no
        resolver is asked for. Raises Forbidden.
        """
        family, kind, protocol, _, where = place
        self._check(where[0], where[0])
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """A name server that does not answer is not waited for."""
        self._lookers.shutdown(wait=False, cancel_futures=True)
