"""What commands say: their help, and why a hub has refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rich.markup import render
from typer import Exit
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from hub.__main__ import app
from hub.cli.rest import Rest, detail
from hub.settings import Settings


def commands(command: TyperCommand | TyperGroup, name: str = "hub") -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    yield name, command
    for below, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{name} {below}")


def test_help_is_shown_as_it_is_written() -> None:
    """Rich takes `A:B: …` for an emoji, and what stands in square brackets for a style."""
    for name, command in commands(get_command(app)):
        for text in (command.help, *(getattr(param, "help", None) for param in command.params)):
            assert render(text or "").plain == (text or ""), name


def test_an_argument_that_may_be_left_out_has_one_pair_of_brackets() -> None:
    for name, command in commands(get_command(app)):
        assert "[[" not in command.get_usage(command.context_class(command)), name


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ({"detail": "Field required", "where": "source"}, "source: Field required"),
        ({"detail": "settings.topics: which?", "where": "settings.topics"}, "settings.topics: which?"),
        ({"detail": "line 1, column 1", "excerpt": "x\n^"}, "line 1, column 1\nx\n^"),
        ({"detail": "no"}, "no"),
    ],
)
def test_a_refusal_names_the_field(problem: dict[str, str], said: str) -> None:
    assert detail(httpx.Response(422, json=problem)) == said


def test_without_a_hub_a_command_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit):
        Rest(Settings(), data=tmp_path)
    assert "`hub up` starts one" in capsys.readouterr().err
