"""
The store of a test's hub: a file in its folder, or what HUB_TEST_STORE says, `elasticsearch` or `opensearch`.

With a search engine, its settings are in the environment, where processes of a hub find them; a test asks `store_url`
and need not know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zlib import crc32

import httpx

from hub.search_engine import address_of, elsewhere
from hub.settings import Settings
from hub.store.factory import remove_store
from tests.plain_http import NO_TLS
from tests.servers.running import shared

NAME: Final = "HUB_TEST_STORE"
REFRESH_MS: Final = 100
"""Tests do not wait a second for each thing that they look for."""
SETTINGS: Final = ("HUB_STORE__URL", "HUB_STORE__COPIES", "HUB_STORE__REFRESH_MS")


@contextmanager
def engine(name: str, folder: Path) -> Iterator[None]:
    """Hubs that are started in the block have their stores in this search engine. Args: folder: of the test run."""
    before = {setting: os.environ.get(setting) for setting in SETTINGS}
    with shared(name, folder / name) as url:
        os.environ.update(zip(SETTINGS, (f"{name}+{url}", "0", str(REFRESH_MS)), strict=True))
        try:
            yield
        finally:
            for setting, value in before.items():
                if value is None:
                    del os.environ[setting]
                else:
                    os.environ[setting] = value


def settings() -> dict[str, str]:
    """Those of `engine`; empty: stores are files."""
    return {name: os.environ[name] for name in SETTINGS if name in os.environ}


def store_url(folder: Path, namespace: str) -> str:
    """The store of the hub with this data folder and namespace."""
    return Settings(data=folder, namespace=namespace).store_url


def namespace_of(folder: Path) -> str:
    """Of a whole hub on this folder: with files each has a folder and a Kafka of its own, but they share an engine."""
    return f"t{crc32(str(folder).encode()):08x}" if settings() else "hub"


def forget(namespace: str) -> None:
    """Remove what the search engine has of a namespace, and of those that begin with its name: its shadows."""
    if not settings():
        return
    url = store_url(Path(), namespace)
    (host,) = address_of(url).hosts
    found = httpx.get(
        f"{host}/{namespace}*-rows", params={"filter_path": "*.settings.index.uuid"}, timeout=60, verify=NO_TLS
    ).json()
    for name in found:
        remove_store(elsewhere(url, name.removesuffix("-rows")))
