"""What other packages bring: entry points of one group, each loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class PackageError(ValueError):
    """Something installed that cannot be used; names the package."""


class Installed(Generic[T]):
    """All of a group. What is installed while the process runs is seen by the next process."""

    def __init__(self, group: str, kind: type[T], what: str, wanted: str, name_of: Callable[[T], str]) -> None:
        """
        Looks for nothing yet.

        Args:
            group: In a package's pyproject: `[project.entry-points."<group>"]`, `name = "package.module:attribute"`.
            what: One of them, in messages: `bridge`.
            wanted: What is wrong with something that is not of the kind, behind "is".
            name_of: What one calls itself.
        """
        self._group = group
        self._kind = kind
        self._what = what
        self._wanted = wanted
        self._name_of = name_of
        self._entries: dict[str, list[EntryPoint]] | None = None
        self._loaded: dict[str, T | PackageError] = {}

    def names(self) -> frozenset[str]:
        """Of all that are installed."""
        return frozenset(self.entries())

    def load(self, name: str) -> T | None:
        """
        One of them; None: no package has it. A fault as well is remembered: who asks may ask again and again.

        Raises: PackageError: it has a fault, or two packages have it.
        """
        found = self.entries().get(name)
        if found is None:
            return None
        if len(found) > 1:
            both = " and ".join(package_of(entry) for entry in found)
            raise PackageError(f"the packages {both} both have a {self._what} {name!r}: uninstall one of them")
        if name not in self._loaded:
            self._loaded[name] = self._load(found[0])
        made = self._loaded[name]
        if isinstance(made, PackageError):
            raise made
        return made

    def entries(self) -> Mapping[str, list[EntryPoint]]:
        """By name."""
        if self._entries is None:
            self._entries = {}
            for entry in entry_points(group=self._group):
                self._entries.setdefault(entry.name, []).append(entry)
        return self._entries

    def forget(self) -> None:
        """As a new process begins."""
        self._entries = None
        self._loaded.clear()

    def _load(self, entry: EntryPoint) -> T | PackageError:
        where = f"the {self._what} {entry.name!r} of the package {package_of(entry)} ({entry.value})"
        try:
            made = entry.load()
        except Exception as exc:  # noqa: BLE001 - whatever a module of somebody else does when it is imported
            return PackageError(f"{where} cannot be loaded: {type(exc).__name__}: {exc}")
        if not isinstance(made, self._kind):
            return PackageError(f"{where} is {self._wanted}")
        name = self._name_of(made)
        if name != entry.name:
            return PackageError(f"{where} calls itself {name!r}: the entry point's name has to be the same")
        return made


def package_of(entry: EntryPoint) -> str:
    """Its package and that one's version."""
    return "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
