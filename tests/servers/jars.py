"""Servers of the tests that are on Maven Central: the jars of one with all that it needs, fetched once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from hub.stack.jars import default_cache


@cache
def class_path(coordinates: str) -> list[Path]:
    """
    All jars, downloaded if need be. Args: coordinates: `group:artifact:version`, several with `+`.

    Once in a process: jgo lays the jars anew each time, also while another server is loading them.
    """
    import jgo  # noqa: PLC0415 - only who starts one

    with alone() as cache:
        return [Path(path) for path in jgo.build(coordinates, cache_dir=cache).all_jars]


@contextmanager
def alone() -> Iterator[Path]:
    """The folder of the jars, one of all test runs at a time; the others wait and then find everything there."""
    cache = default_cache(os.environ.get("XDG_CACHE_HOME")) / "servers"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield cache
