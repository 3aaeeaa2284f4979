"""A document that is being changed, without touching the one that it began as."""

from __future__ import annotations

from typing import Any

from hub.edge.paths import value_at
from hub.pipeline.operations import MISSING


class Draft:
    """
    Copy on write: only the objects on the way to a changed field are copied, each once.

    The original may be read, or written to the store, by another thread meanwhile.
    """

    __slots__ = ("_own", "doc")

    def __init__(self, original: dict[str, Any]) -> None:
        """Args: original: never changed."""
        self.doc = dict(original)
        self._own: dict[tuple[str, ...], dict[str, Any]] = {(): self.doc}

    def object(self, path: tuple[str, ...]) -> dict[str, Any]:
        """
        The object at a path, to be changed freely.

        It is made where it is missing; what stands in the way and is no object is replaced by one.
        """
        found = self._own.get(path)
        return self._copied(path) if found is None else found

    def _copied(self, path: tuple[str, ...]) -> dict[str, Any]:
        above = self._own.get(path[:-1])
        if above is None:
            above = self._copied(path[:-1])
        below = above.get(path[-1])
        found = dict(below) if isinstance(below, dict) else {}
        above[path[-1]] = self._own[path] = found
        return found

    def get(self, path: tuple[str, ...]) -> Any:
        """The value at a path, or MISSING."""
        return value_at(self.doc, path, MISSING)

    def set(self, path: tuple[str, ...], value: Any) -> None:
        """Set the value at a path."""
        self.object(path[:-1])[path[-1]] = value
        if path in self._own:
            self._let_go(path)

    def remove(self, path: tuple[str, ...]) -> None:
        """Take the value at a path away, and the objects around it that are empty then, but for the outermost."""
        if self.get(path) is MISSING:
            return
        self.object(path[:-1]).pop(path[-1])
        if path in self._own:
            self._let_go(path)
        if len(path) > 2 and not self.get(path[:-1]):
            self.remove(path[:-1])

    def _let_go(self, path: tuple[str, ...]) -> None:
        # the object that was in hand at this path is no longer part of the document, nor is what was below it
        self._own = {key: kept for key, kept in self._own.items() if key[: len(path)] != path}
