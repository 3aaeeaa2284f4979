"""Names of hosts, looked up once and only for addresses that may be called: that is what is connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

from hub.flows.addresses import Network, allowed, check_address

LOOKERS: Final = 16
"""Questions to the name servers at a time."""


class Checked(AbstractResolver):
    """For an aiohttp connector, which asks it for each new connection if it keeps no names itself."""

    def __init__(self, private: Collection[Network]) -> None:
        """Args: private: networks that may be called although they are not of the public internet."""
        self._private = private
        self._lookers = ThreadPoolExecutor(LOOKERS, thread_name_prefix="flow-names")

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - all are asked for
    ) -> list[ResolveResult]:
        """Raises Forbidden; OSError: it has no address."""
        loop = asyncio.get_running_loop()
        url = f"http://{host}:{port}"  # the scheme does not matter
        found = await loop.run_in_executor(self._lookers, allowed, url, _addresses, self._private)
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
        check_address(where[0], where[0], self._private)
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """A name server that does not answer is not waited for."""
        self._lookers.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int) -> Sequence[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
