"""From a store's URL to the store."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hub.errors import Refused
from hub.search_engine import HOW, Address, address_of, is_engine
from hub.store.memory import MemoryStore
from hub.store.port import Store
from hub.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from hub.store.elastic.client import Engine
    from hub.store.elastic.examined import Examined

_SQLITE: Final = "sqlite:///"


def open_store(url: str, *, readonly: bool = False) -> Store:
    """
    The store behind `url`.

    Args:
        url: `sqlite:///FILE` (relative; a fourth slash makes it absolute; taken literally, no %-escapes), or
            `memory://` for a new, empty store that lives as long as the object, or a search engine as
            `hub.search_engine` has it.
        readonly: Never write, create or migrate; a file or indices that are not there yet make each call raise
            Unavailable, until the collector has made them.

    Raises:
        Refused: No such kind of store, or a file that this version cannot read.
        Unavailable: The file cannot be opened now; the search engine does not answer, and it is not `readonly`.
    """
    if url == "memory://":
        return MemoryStore()
    if (path := file_of(url)) is not None:
        return SqliteStore(path, readonly=readonly)
    if is_engine(url):
        from hub.store.elastic import ElasticStore  # noqa: PLC0415 - its client takes a second to load

        address = _address(url)
        return ElasticStore(url, address.namespace, readonly=readonly, layout=address.layout)
    # whatever follows the scheme may hold a password, so it is not repeated
    scheme = url.partition(":")[0][:32]
    raise Refused(
        "store", f"no store for a URL that begins with {scheme!r}; supported: sqlite:///FILE and memory://, {HOW}"
    )


def has_store(url: str) -> bool:
    """
    Whether there is a store behind `url`, with anything in it or not. Says it within seconds.

    Raises: Unavailable, Refused.
    """
    if (path := file_of(url)) is not None:
        return path.exists()
    if not is_engine(url):
        return False
    from hub.store.elastic.indices import aliases  # noqa: PLC0415 - see open_store

    with closing(engine_of(url, is_soon=True)) as engine:
        return bool(aliases(engine))


def remove_store(url: str) -> None:
    """
    Remove the store with all that is in it; it need not be there. Nobody may have it open. Whatever interrupts it, it
    can be done again.

    Raises: Unavailable, Refused.
    """
    if (path := file_of(url)) is not None:
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
    elif is_engine(url):
        from hub.store.elastic.generations import remove_all  # noqa: PLC0415 - see open_store

        with closing(engine_of(url)) as engine:
            remove_all(engine)


def examined(url: str) -> Examined:
    """What there is to say of the search engine behind `url`, within seconds. Raises Unavailable, Refused."""
    from hub.store.elastic.examined import examine  # noqa: PLC0415 - see open_store

    with closing(engine_of(url, is_soon=True)) as engine:
        return examine(engine)


def file_of(url: str) -> Path | None:
    """The file that a store's URL names; None: it names none."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) and len(url) > len(_SQLITE) else None


def engine_of(url: str, *, is_soon: bool = False) -> Engine:
    """The search engine behind `url`, asked for the generation in force. Args: is_soon: of `Engine`. Raises Refused."""
    from hub.store.elastic.client import Engine  # noqa: PLC0415 - see open_store
    from hub.store.elastic.generations import follow  # noqa: PLC0415

    engine = Engine(url, _address(url).namespace, is_soon=is_soon)
    follow(engine)
    return engine


def _address(url: str) -> Address:
    address = address_of(url)
    if not address.namespace:
        raise Refused("store", "the URL of a search engine says behind the hosts whose indices: /NAMESPACE")
    return address
