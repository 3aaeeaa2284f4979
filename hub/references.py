"""Secrets by reference: `env:NAME` is what a variable holds, `file:PATH` what a file does. Read nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "env:"
FILE: Final = "file:"
PREFIXES: Final = (VARIABLE, FILE)
MOST_BYTES: Final = 65_536
"""Of a file: a secret, a certificate with its chain; not a log that somebody has named by mistake."""


class NoReference(ValueError):
    """There is no such thing. The message names the reference, and never what it holds."""


def read(reference: str, environ: Mapping[str, str], within: Path | None = None) -> str:
    """
    What a reference stands for; a text that is none stays. Line ends at the end of a file are no part of it.

    Args: within: a folder that files have to be in, wherever links lead; None: anywhere.

    Raises: NoReference.
    """
    if reference.startswith(VARIABLE):
        name = reference.removeprefix(VARIABLE)
        if name not in environ:
            raise NoReference(f"{reference} refers to a variable that this process does not have")
        return environ[name]
    if reference.startswith(FILE):
        return _content(reference.removeprefix(FILE), within)
    return reference


def everywhere(value: Any, environ: Mapping[str, str], where: str = "") -> Any:
    """
    A copy of JSON-like settings with each reference read. Args: where: the path of `value`, for errors.

    Raises: NoReference, which says where.
    """
    if isinstance(value, str):
        try:
            return read(value, environ)
        except NoReference as exc:
            raise NoReference(f"{where}: {exc}") from exc
    if isinstance(value, Mapping):
        return {name: everywhere(each, environ, f"{where}.{name}" if where else name) for name, each in value.items()}
    if isinstance(value, list):
        return [everywhere(each, environ, f"{where}[{number}]") for number, each in enumerate(value)]
    return value


def _content(name: str, within: Path | None) -> str:
    try:
        path = Path(name)
        if within is not None:
            folder = within.resolve()
            path = (folder / name).resolve()  # where it leads to counts
            if not path.is_relative_to(folder):
                raise NoReference(f"{FILE}{name} is not in the folder of secrets, {within}")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as exc:
        raise NoReference(f"{FILE}{name} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        if isinstance(exc, NoReference):
            raise
        raise NoReference(f"{FILE}{name!r} is no name of a file") from exc
    if len(data) > MOST_BYTES:
        raise NoReference(f"{FILE}{name} has more than {MOST_BYTES} bytes: that is no secret")
    try:
        return data.decode().rstrip("\r\n")
    except UnicodeDecodeError as exc:
        raise NoReference(f"{FILE}{name} is no text in UTF-8") from exc
