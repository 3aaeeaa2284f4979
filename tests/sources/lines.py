"""A growing file, read by the bridge of the example package: what a user's own bridge has to pass as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.packages import LINES, install, on_path
from tests.sources import Open, Source, World


class LinesSource:
    """See Source."""

    kind = "lines"
    most_bytes = 512 * 1024 * 1024
    keeps_order = True
    tells_time = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings: dict[str, Any] = {"path": str(path)}
        path.touch()

    def put(self, bodies: Sequence[bytes]) -> None:
        with self.path.open("ab") as file:
            file.writelines(body + b"\n" for body in bodies)


@contextmanager
def lines(world: World) -> Iterator[Source]:
    target = world.folder / "packages" / world.namespace
    install(LINES, target)
    with on_path(target):
        yield LinesSource(target / "source.jsonl")


WAYS: Final[dict[str, Open]] = {"": lines}
