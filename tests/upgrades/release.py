"""The release before, as it lies in git's history, to be run beside this one."""

from __future__ import annotations

import ast
import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SCHEMA: Final = "hub/store/sqlite/schema.py"
PACKAGES: Final = ("hub", "bridges", "workers", "schemas")


def previous() -> str:
    """
    Its commit: the newest tag `v…` of another commit than this; while there is none, the last commit whose store had
    an older schema than ours. Needs git's history: a shallow clone says so.
    """
    assert git("rev-parse", "--is-shallow-repository") == "false", "get the history: git fetch --unshallow --tags"
    head = git("rev-parse", "HEAD")
    for tag in git("tag", "--list", "v*", "--merged", "HEAD", "--sort=-version:refname").split():
        if (commit := git("rev-list", "-n", "1", tag)) != head:
            return commit
    ours = schema((ROOT / SCHEMA).read_text())
    after = ""
    for commit in git("log", "--format=%H", "--", SCHEMA).split():
        if schema(git("show", f"{commit}:{SCHEMA}")) < ours:
            return git("rev-parse", f"{after}^") if after else head
        after = commit
    raise AssertionError("the history has no store of an older schema")


def schema(text: str) -> int:
    """How many versions this text of SCHEMA knows."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "MIGRATIONS":
            assert isinstance(node.value, ast.Tuple)
            return len(node.value.elts)
    raise AssertionError(f"{SCHEMA} has no MIGRATIONS")


def unpack(commit: str, folder: Path) -> Path:
    """The packages of that commit, to be run with `PYTHONPATH` and this Python."""
    archive = subprocess.run(["git", "archive", commit, *PACKAGES], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True, text=True)
    return done.stdout.strip()
