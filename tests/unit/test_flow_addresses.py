"""Whom a flow may call: nobody who is not on the public internet, however their address is written."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from hub.flows.addresses import Forbidden, allowed

PUBLIC = "93.184.216.34"


def to(*addresses: str):
    return lambda _host, _port: list(addresses)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.8.8",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
        ),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "fec0::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::", "::127.0.0.1"),
    ],
)
def test_private_addresses_are_refused(address: str) -> None:
    with pytest.raises(Forbidden, match="no address of the public internet"):
        allowed("https://shop.example/", to(address))
    with pytest.raises(Forbidden):  # one of several is enough
        allowed("https://shop.example/", to(PUBLIC, address))


@pytest.mark.parametrize(
    "address",
    [
        PUBLIC,
        "2606:2800:220:1:248:1893:25c8:1946",
        "2606:2800:220:1::10.0.0.1",  # no IPv4 address stands in there, whatever its end looks like
        "64:ff9b::93.184.216.34",
    ],
)
def test_public_addresses_are_allowed_and_named(address: str) -> None:
    assert allowed("https://shop.example/x", to(address, address)) == [address]


def test_the_resolver_is_asked_for_whatever_the_host_is() -> None:
    """A number, octal digits, a name that means this machine: what counts is where the connection would go."""
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    for url in ("http://2130706433/", "http://0177.0.0.1:81/", "https://localhost/", "https://LOCALHOST./"):
        with pytest.raises(Forbidden):
            allowed(url, resolve)
    assert asked == [("2130706433", 80), ("0177.0.0.1", 81), ("localhost", 443), ("localhost.", 443)]


def test_networks_may_be_allowed() -> None:
    private = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        assert allowed("http://inner.example/", to(address), private) == [address]
    for address in ("10.2.0.1", "127.0.0.1", "fe80::1"):
        with pytest.raises(Forbidden):
            allowed("http://inner.example/", to(address), private)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example",
        "file:///etc/passwd",
        "//a.example",
        "http:///x",
        "http://[::1",
        "http://a:99999",
        "http://a:0",
    ],
)
def test_what_is_no_url_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(Forbidden):
        allowed(url, to(PUBLIC))
    with pytest.raises(Forbidden, match="user and password"):
        allowed("http://me@a.example", to(PUBLIC))


def test_a_host_without_an_address_may_have_one_later() -> None:
    with pytest.raises(OSError, match="has no address"):
        allowed("http://a.example", to())
