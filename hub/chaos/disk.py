"""Disks that can be filled without filling the machine's: small file systems in memory, else a limit on file size."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

FILLER = "filler"
MIB = 1 << 20


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """
    `folder`, which is made, on a file system of its own as long as the block runs. What is in it is lost then.

    Yields: whether there is one: it takes Linux and the right to mount.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "hub-chaos", str(folder)]
    try:
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0  # noqa: S607
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def fill(folder: Path) -> None:
    """Take every byte that is left. Only on a small disk."""
    with (folder / FILLER).open("wb") as file:
        block = bytes(MIB)
        for size in (MIB, 4096):
            with contextlib.suppress(OSError):  # full, to the size of a block
                while True:
                    os.write(file.fileno(), block[:size])


def free(folder: Path) -> None:
    """Give the bytes back."""
    (folder / FILLER).unlink(missing_ok=True)


def forbid_growth(pid: int, *, forbid: bool) -> None:
    """Whether a process may write files, as its limit on file size says. Does nothing when it has ended."""
    with contextlib.suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if forbid else hard, hard))
