"""What commands say: their help, and why a hub has refused."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.markup import render
from typer import BadParameter, Exit
from typer.main import get_command

from hub.__main__ import app
from hub.cli.asking import table
from hub.cli.brokers import kafka_of
from hub.cli.rest import Rest, detail
from hub.doctor.finding import carefully
from hub.doctor.kafka import Cluster, brokers
from hub.errors import Refused
from hub.log.admin import LogAdmin
from hub.settings import Kafka, Settings


def commands(command: Any, name: str = "hub") -> Iterator[tuple[str, Any]]:
    yield name, command
    for below, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{name} {below}")


def test_help_is_shown_as_it_is_written() -> None:
    """Rich takes `A:B: …` for an emoji, and what stands in square brackets for a style."""
    for name, command in commands(get_command(app)):
        for text in (command.help, *(getattr(param, "help", None) for param in command.params)):
            assert render(text or "").plain == (text or ""), name


def test_commands_in_help_have_names_and_options_that_there_are() -> None:
    root: Any = get_command(app)
    for name, command in commands(root):
        for text in (command.help, *(getattr(param, "help", None) for param in command.params)):
            for asked in re.findall(r"`hub ([^`]+)`", text or ""):
                known, left = root, shlex.split(asked)
                while getattr(known, "commands", None) and left:
                    assert left[0] in known.commands, f"{name}: {asked}"
                    known, left = known.commands[left[0]], left[1:]
                    _, left, _ = known.make_parser(known.context_class(known)).parse_args(left)


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


def test_a_table_has_whole_ids_and_no_empty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    id = "4769b495-c84e-5656-9b4f-45fe5b390edc"
    words = "the target says that it is away for maintenance until tomorrow at nine"
    table([{"id": id, "due_at": None, "name": "", "error": words}], ("id", "due_at", "name", "error"))
    said = capsys.readouterr().out
    assert id in said
    assert "due_at" not in said
    assert "name" not in said
    assert "…" not in said


def test_an_option_that_kafka_does_not_have_is_named_before_anything_is_done() -> None:
    kafka = Kafka(bootstrap="127.0.0.1:1", options={"nope": 1})
    with pytest.raises(BadParameter, match=r'HUB_KAFKA__….*"nope"'):
        kafka_of(kafka, None, "")
    with pytest.raises(Refused, match='"nope"'):
        LogAdmin(kafka, "hub")
    (found,) = carefully("Kafka", lambda: brokers(Cluster(kafka, "hub")))
    assert (found.level, '"nope"' in found.detail) == ("fail", True)


def test_without_a_kafka_a_command_says_where_one_may_come_from() -> None:
    with pytest.raises(BadParameter, match="`hub up`"):
        kafka_of(Kafka(), None, "")
    assert kafka_of(Kafka(bootstrap="a:1"), None, "b:2").bootstrap == "b:2"
