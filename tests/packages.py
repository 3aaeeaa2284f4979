"""Packages that bring bridges or nodes, as an installer leaves them: modules, and a dist-info with the entry points."""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bridges import packages
from hub.flows import packages as nodes

LINES: Final = Path(__file__).parent / "examples" / "lines_bridge"
SHOUT: Final = Path(__file__).parent / "examples" / "shout_node"


def install(project: Path, target: Path, group: str = packages.GROUP) -> None:
    """What `uv pip install --target` does with a package of plain modules; it needs no build backend here."""
    document = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    write(target, document["name"], document["entry-points"][group], document["version"], group)
    for module in project.glob("*.py"):
        (target / module.name).write_bytes(module.read_bytes())


def write(
    target: Path, name: str, entries: Mapping[str, str], version: str = "1.0", group: str = packages.GROUP
) -> None:
    """The dist-info of a package. Args: entries: of the group, by name."""
    info = target / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{kind} = {value}" for kind, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))


@contextmanager
def on_path(target: Path) -> Iterator[None]:
    """For this process and its children."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(target), before)))
    sys.path.insert(0, str(target))
    forget()
    try:
        yield
    finally:
        sys.path.remove(str(target))
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
        forget()


def forget() -> None:
    """As a new process begins."""
    importlib.invalidate_caches()
    packages.BRIDGES.forget()
    nodes.NODES.forget()
