"""Flows as commands are given them: YAML or JSON, with the line and column of what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import typer
from pydantic import ValidationError

from hub.definitions.flows import FlowNode
from hub.definitions.kinds import Flow
from hub.definitions.wording import said
from hub.edge.mapping.places import Source, Unreadable
from hub.edge.mapping.problems import Problem

FAILED = 2
"""Exit code: the command could not do its work."""


class FlowFile:
    """
    A file that was read.

    Attributes:
        label: What it is called in messages.
        value: What it holds, which may be wrong in any way.
    """

    def __init__(self, given: str) -> None:
        """Args: given: its path; `-`: standard input. Ends the command if it cannot be read."""
        self.label = given
        try:
            text = sys.stdin.read() if given == "-" else Path(given).read_text(encoding="utf-8")
            suffix = Path(given).suffix
            is_json = suffix == ".json" or (suffix not in (".yaml", ".yml") and text.lstrip()[:1] == "{")
            self._source = Source(text, is_json=is_json)
        except (OSError, UnicodeDecodeError) as exc:
            fail(f"{given}: {exc}")
        except Unreadable as exc:
            typer.echo(f"{given}:{exc.place.line}:{exc.place.column}: {exc}", err=True)
            raise typer.Exit(1) from exc
        self.value: Any = self._source.value

    def line(self, problem: Problem, level: str = "") -> str:
        """A problem, with its place in front. Args: level: such as `warning: `."""
        place = self._source.place(problem)
        return f"{self.label}:{place.line}:{place.column}: {level}{problem.where or 'flow'}: {problem.detail}"

    def flow(self) -> Flow:
        """The flow, as far as its types go. Says all that is wrong, and ends the command with 1."""
        try:
            return Flow.model_validate(self.value)
        except ValidationError as exc:
            for found in exc.errors(include_url=False):
                typer.echo(self.line(_problem(found)))
            raise typer.Exit(1) from exc


def document(given: str, option: str) -> dict[str, Any]:
    """A JSON or YAML object. Args: option: which was given, for what is said when it is none."""
    value = FlowFile(given).value
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{given}: an object is expected", param_hint=option)
    return value


def fail(words: str) -> NoReturn:
    """End the command."""
    typer.echo(words, err=True)
    raise typer.Exit(FAILED)


def _problem(found: Any) -> Problem:
    # pydantic says which kind of trigger it was as well, and that a key of an object is meant
    loc = [part for part in found["loc"] if part != "[key]"]
    if len(loc) > 2 and loc[0] == "triggers" and isinstance(loc[2], str):
        del loc[2]
    if found["type"] == "extra_forbidden":
        names = Flow.model_fields if len(loc) == 1 else FlowNode.model_fields if loc[0] == "nodes" else {}
        hint = f"; there are {', '.join(names)}" if names else ""
        return Problem(tuple(loc), f"there is no such field{hint}")
    return Problem(tuple(loc), said(found))
