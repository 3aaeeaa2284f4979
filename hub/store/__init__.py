"""Where events and profiles are kept: the port, its adapters, and the language of searches."""

from hub.store.factory import open_store
from hub.store.port import Store

__all__ = ["Store", "open_store"]
