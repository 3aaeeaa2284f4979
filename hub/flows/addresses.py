"""Whom may a flow call? No private addresses, so that nobody reaches through the hub what stands beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""Addresses of a host and port, as text. Blocks. Raises OSError: it has none."""
Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address

PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = ip_network("64:ff9b::/96")
_COMPATIBLE: Final = ip_network("::/96")
"""The IPv4 address is in the last four bytes of these."""
_NOT_GLOBAL: Final = (ip_network("192.88.99.0/24"), ip_network("64:ff9b:1::/48"), ip_network("fec0::/10"))
"""Of what Python calls global: an anycast that is out of use, translation to private networks, old site-local ones."""


class Forbidden(ValueError):
    """It may not be called; the message says why."""


def allowed(url: str, resolve: Resolve, private: Collection[Network] = ()) -> list[str]:
    """
    The addresses to connect to for a URL. All that a host has must be allowed; whoever calls connects to one of these
    and asks no name server again, as that might say something else by then. A redirect is a URL of its own.

    Args:
        resolve: Asks the name servers; also for a host that is an address, which can be written in many ways.
        private: Networks that may be called although they are not of the public internet.

    Raises: Forbidden. OSError, from `resolve`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise Forbidden(f"{url!r:.200} is no URL: {exc}") from exc
    if parts.scheme not in PORTS or not host:
        raise Forbidden(f"{url!r:.200} is no URL of http or https")
    if port == 0:
        raise Forbidden("there is no port 0")
    if "@" in parts.netloc:
        raise Forbidden("user and password in a URL are not sent")
    found = list(dict.fromkeys(resolve(host, port or PORTS[parts.scheme])))
    if not found:
        raise OSError(f"{host} has no address")
    for text in found:
        check_address(host, text, private)
    return found


def check_address(host: str, text: str, private: Collection[Network] = ()) -> None:
    """Raises Forbidden: a host has an address that may not be called. Args: private: as of `allowed`."""
    address = parsed(text)
    if not (_is_public(address) or any(is_within(address, network) for network in private)):
        raise Forbidden(
            f"{host} is {text}, which is no address of the public internet; whoever runs the hub may allow it "
            "(HUB_FLOWS__PRIVATE_NETWORKS)"
        )


def parsed(text: str) -> Address:
    """An address, without the name of an interface. Raises Forbidden: it is none."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError as exc:
        raise Forbidden(f"{text!r:.80} is no address") from exc


def _is_public(address: Address) -> bool:
    inner = _embedded(address)
    if inner is not None:
        return _is_public(inner)
    if address.is_multicast or any(is_within(address, network) for network in _NOT_GLOBAL):
        return False
    return address.is_global


def is_within(address: Address, network: Network) -> bool:
    """Whether an address, or the IPv4 address that it stands for, is of a network."""
    inner = _embedded(address)
    if inner is not None and is_within(inner, network):
        return True
    return address.version == network.version and address in network


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if not isinstance(address, IPv6Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
