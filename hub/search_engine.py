"""
Where a search engine is, in one text: whoever passes a store's URL on need not know what kind of store it is.

    elasticsearch+https://HOST:PORT,HOST:PORT/NAMESPACE?shards=3&ca_file=/etc/hub/ca.pem

Users write it without what is behind the hosts (HUB_STORE__URL); the settings fill that in (`filled_in`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

from hub.errors import Refused

SCHEMES: Final = {
    "elasticsearch+http": "http",
    "elasticsearch+https": "https",
    "opensearch+http": "http",
    "opensearch+https": "https",
}
"""By scheme, how the cluster is asked. The two engines are asked in the same way."""
HOW: Final = "elasticsearch+http://HOST:9200 or opensearch+http://HOST:9200 (or +https)"


class Layout(NamedTuple):
    """
    How new indices are laid out.

    `shards`: of those that grow. `copies`: of each shard, beside the first. `refresh_ms`: at most so much later a
    search finds what somebody else has written.
    """

    shards: int = 1
    copies: int = 1
    refresh_ms: int = 1_000


class Access(NamedTuple):
    """
    How the cluster lets somebody in.

    `user`: and the password, or None. `api_key`: base64 as Elasticsearch gives it. `ca_file`: whom to trust, PEM; None:
    whom the system trusts.
    """

    user: tuple[str, str] | None = None
    api_key: str | None = None
    ca_file: Path | None = None


class Address(NamedTuple):
    """Where the store is. `hosts`: URLs without a password. `namespace`: of the indices; empty: not said."""

    hosts: tuple[str, ...]
    access: Access
    namespace: str
    layout: Layout


def is_engine(url: str) -> bool:
    """Whether a store's URL names a search engine."""
    return url.partition("://")[0] in SCHEMES


def address_of(url: str) -> Address:
    """
    Args: url: see the module; user and password before the hosts are %-escaped.

    Raises Refused, which does not repeat the URL: it may hold a password.
    """
    scheme, _, rest = url.partition("://")
    protocol = SCHEMES.get(scheme)
    rest, _, query = rest.partition("?")
    place, _, namespace = rest.partition("/")
    account, _, hosts = place.rpartition("@")
    if protocol is None or not hosts or "/" in namespace:
        raise Refused("store", f"write {HOW}")
    default = "443" if protocol == "https" else "9200"
    found = []
    for host in hosts.split(","):
        name, colon, port = host.rpartition(":")
        if not colon or host.endswith("]"):
            name, port = host, default
        if not name or not port.isdecimal():
            raise Refused("store", "the store's URL has a host without a name or with a port that is no number")
        found.append(f"{protocol}://{name}:{port}")
    name, _, password = account.partition(":")
    more = dict(parse_qsl(query))
    user = (unquote(name), unquote(password)) if account else None
    if "username" in more:
        user = more["username"], more.get("password", "")
    access = Access(
        user=user,
        api_key=more.get("api_key"),
        ca_file=Path(more["ca_file"]) if "ca_file" in more else None,
    )
    numbers = {field: int(more[field]) for field in Layout._fields if field in more}
    return Address(tuple(found), access, namespace, Layout(**numbers))


def filled_in(url: str, namespace: str, layout: Layout, **access: str) -> str:
    """
    What a user has written, with the rest.

    Args: access: username, password, api_key, ca_file; an empty one is none.

    Raises: ValueError: there is something behind the hosts already.
    """
    scheme, _, behind = url.partition("://")
    hosts, _, path = behind.partition("/")
    if path or "?" in behind or "#" in behind:
        raise ValueError(f"write {HOW}, and nothing behind it: the indices are named after HUB_NAMESPACE")
    more = {name: str(value) for name, value in layout._asdict().items()}
    more |= {name: value for name, value in access.items() if value}
    return f"{scheme}://{hosts}/{namespace}?{urlencode(more)}"


def elsewhere(url: str, namespace: str) -> str:
    """The same cluster, another namespace. Args: url: as `filled_in` gives it."""
    before, _, query = url.partition("?")
    return f"{before.rpartition('/')[0]}/{namespace}{'?' * bool(query)}{query}"
