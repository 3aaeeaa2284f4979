"""To which hosts do bridges, destinations and imports connect? Checked when they connect, by what a name leads to."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from hub.errors import Refused
from hub.flows.addresses import Forbidden, Network, is_within, parsed
from hub.settings import Egress

METADATA: Final = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # link-local: AWS, Azure, Google, and most others
            "fe80::/10",
            "fd00:ec2::254/128",  # AWS over IPv6
            "100.100.100.200/32",  # Alibaba
            "168.63.129.16/32",  # Azure's agent of the machine
            "192.0.0.192/32",  # Oracle
        ),
    )
)
"""Where clouds give the secrets of a machine to whoever asks from it, and what is of one cable only."""
SETTING: Final = "HUB_EGRESS__NETWORKS"


def check_address(host: str, text: str, egress: Egress) -> None:
    """Raises Forbidden: a host has an address to which nobody may connect."""
    address = parsed(text)
    for network in METADATA:
        if is_within(address, network) and not any(_is_part(mine, network) for mine in egress.networks):
            raise Forbidden(
                f"{host} is {text}, where clouds keep the secrets of machines; whoever runs the hub may allow it, "
                f"by name of its network ({SETTING})"
            )
    if egress.networks and not any(is_within(address, network) for network in egress.networks):
        raise Forbidden(f"{host} is {text}, which is of none of the networks that the hub may connect to ({SETTING})")


def addresses(host: str, port: int, egress: Egress) -> list[str]:
    """All that a host has. Blocks: name servers are asked. Raises Forbidden: one of them. OSError: it has none."""
    found = list(dict.fromkeys(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    for text in found:
        check_address(host, text, egress)
    return found


def check(places: Iterable[str], egress: Egress, port: str) -> None:
    """
    For clients that ask the name servers themselves: a moment later they may hear something else.

    Blocks: name servers are asked. A name that none of them knows is left to the client, which says so.

    Args:
        places: Each `host`, `host:port` or a URL.
        port: What failed, as of PortError.

    Raises: Refused: one may not be connected to.
    """
    for place in places:
        if host := host_of(place):
            try:
                with suppress(OSError):
                    addresses(host, 0, egress)
            except Forbidden as exc:
                raise Refused(port, str(exc)) from exc


def host_of(place: str) -> str:
    """Of a host, a host and port, or a URL; empty: it names none."""
    try:
        return str(ip_address(place.strip("[]")))
    except ValueError:
        pass
    try:
        return urlsplit("//" + place.rpartition("://")[2]).hostname or ""  # also of a scheme that is none, as SASL_SSL
    except ValueError:
        return ""


def _is_part(network: Network, of: Network) -> bool:
    return network.version == of.version and network.subnet_of(of)  # type: ignore[arg-type]
