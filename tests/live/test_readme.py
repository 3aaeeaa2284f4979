"""Every command of README.md and docs/*.md, run in order, in folders that look like a fresh clone.

How to write commands so that this test runs them:

* Commands stand in blocks fenced as ```sh, or as ```console with `$ ` before each command and its output below it.
* The blocks of a page run in one shell, after the README's: a page may use what the README has set up, the running hub
  and `$KEY` among it, and nothing of another page. Some pages, by name, share a shell: a hub takes a while to start.
* A ```text block right below a ```sh block is its output; `…` stands for anything.
* The hub's port is written as 8686, its data folder is `hub-data`, and `curl` is `tests/live/curl.py`.
* `make slow` runs the README and the first third of the pages, `make live` all. Whether the hub knows the commands of a
  page, and their options, is looked at in each run of `make test`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from typer import TyperException
from typer.core import TyperGroup
from typer.main import get_command

from hub.__main__ import app
from hub.settings import Api
from hub.stack import ports
from tests.kafka_tools import eventually
from tests.live import curl
from tests.live.whole_hub import ROOT, WholeHub, environment, hub, left_on

README: Final = ROOT / "README.md"
PAGES: Final = [README, *sorted((ROOT / "docs").glob("*.md"))]
SHELLS: Final = 3
"""The README is run so often: each time with a part of the pages after it. The first of them in each run."""
ELSEWHERE: Final = {
    "git clone": "this is the clone",
    "cd thamesthrive-hub": "this is the clone",
    "make setup": "has been run: the tests need it",
    "make demo": "tests/live/test_demo.py runs it",
    "make test": "it is what runs this test",
    "make check": "CI runs it beside the tests",
    "make live": "it is what runs the long tests",
    "make chaos": "takes minutes, and runs tests/chaos",
    "make bench": "takes minutes, and runs tests/bench",
    "make audit": "asks a list of advisories that not every mirror of PyPI has",
    "make sbom": "tests/architecture/test_sbom.py runs its command",
    "HUB_ADMIN_KEY=KEY .venv/bin/hub chaos": "needs somebody's staging; tests/live/test_chaos.py makes one",
    ".venv/bin/hub chaos": "takes minutes; tests/live/test_chaos.py runs a short one",
    ".venv/bin/python -m tests.bench": "takes minutes, as make bench",
    ".venv/bin/python -m tests.matrix": "takes an hour; tests/live/test_matrix.py runs a little of it",
    ".venv/bin/hub demo": "tests/live/test_demo.py runs it",
    ".venv/tools/bin/uv pip install tests/examples/": "test_bridge_pages.py installs it where no other test sees it",
    ".venv/bin/hub migrate takeover": "needs an installation of the predecessor; tests/live/test_takeover.py makes one",
    "curl -sN ": "goes on until somebody ends it; tests/live/test_tail.py listens",
    ".venv/bin/hub tail": "likewise",
    ".venv/bin/hub down": "this test runs it last, when it has looked at what the commands did",
}
"""Commands by how they begin, and why they are not run here."""
COMMAND: Final = re.compile(r"\s*(\$ )?(\.venv/bin/|curl |make |HUB_\w+=\S+ +\.venv/bin/)")
NO_COMMAND: Final = re.compile(r"<<'(\w+)'\n(?s:.*?)\n\1$|(?:^|\s)#.*$|\\\n", re.MULTILINE)
"""A here-document, a comment, the end of a line that goes on."""
NOT_IN_THE_CLONE: Final = {".git", ".venv", "hub-data"}


class Block(NamedTuple):
    """A fenced block. `place`: page and line."""

    place: str
    language: str
    text: str


class Step(NamedTuple):
    """Commands to run, and what they have to print: patterns of whole lines."""

    place: str
    commands: str
    output: list[str]


def blocks(page: Path) -> Iterator[Block]:
    """Of one page; what is between them comes as blocks without a language."""
    lines: list[str] = []
    language: str | None = None
    started = 1
    name = page.relative_to(ROOT)
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = re.fullmatch(r"```(\w*)", line)
        if fence is None:
            lines.append(line)
            continue
        if lines:
            yield Block(f"{name}:{started}", language or "", "\n".join(lines))
        language = (fence[1] or "plain") if language is None else None
        lines, started = [], number + 1
    assert language is None, f"{name}: the last block is not closed"
    yield Block(f"{name}:{started}", "", "\n".join(lines))


def steps(page: Path) -> Iterator[Step]:
    """What there is to run on a page."""
    step: Step | None = None
    for block in blocks(page):
        if block.language == "text" and step is not None:
            step = step._replace(output=patterns(block.text.splitlines()))
        elif not block.text.strip():
            continue  # a command's output may stand below an empty line
        if step is not None and block.language:
            yield step
            step = None
        if block.language == "sh":
            step = Step(block.place, runnable(block.text.splitlines()), [])
        elif block.language == "console":
            lines = block.text.splitlines()
            commands = [line[2:] for line in lines if line.startswith("$ ")]
            shown = [line for line in lines if not line.startswith("$ ")]
            step = Step(block.place, runnable(commands), patterns(shown))
    if step is not None:
        yield step


def runnable(lines: list[str]) -> str:
    """Without those that are run elsewhere."""
    return "\n".join(line for line in lines if not any(line.startswith(start) for start in ELSEWHERE))


def patterns(lines: list[str]) -> list[str]:
    """A pattern for each line that is shown."""
    return [re.escape(line).replace("…", ".*") for line in lines if line.strip()]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """Everything of the work tree, without data; what the commands write stays in here. No hub is left on it."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in NOT_IN_THE_CLONE:
            (folder / path.name).symlink_to(path)
    (folder / ".venv").symlink_to(sys.prefix)
    yield folder
    stopped = hub("down", "--data", folder / "hub-data")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert left_on(folder / "hub-data") == []


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The environment of the commands: a free port, and a curl of our own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "curl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {shlex.quote(curl.__file__)} "$@"\n')
    program.chmod(0o755)
    return environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}", HUB_API__PORT=str(ports.free_port()))


def script(wanted: list[Step]) -> str:
    """One shell for all of them; a NUL ends the output of each. The first command that fails ends it, and is named."""
    parts = ["set -eEuo pipefail", """trap 'printf "\\n%s: failed: %s\\n" "$PLACE" "$BASH_COMMAND" >&2' ERR"""]
    for step in wanted:
        parts += [f"PLACE={shlex.quote(step.place)}", step.commands, r"printf '\0'"]
    return "\n".join(parts)


def shells() -> list[list[Step]]:
    """The README's steps and those of some pages, in their order; about as many commands in each."""
    readme = list(steps(README))
    pages = [list(steps(page)) for page in PAGES if page != README]
    lengths = [sum(step.commands.count("\n") + 1 for step in page) for page in pages]
    parts: list[list[Step]] = [[*readme] for _ in range(SHELLS)]
    for number, page in enumerate(pages):
        middle = sum(lengths[:number]) + lengths[number] / 2
        parts[min(SHELLS - 1, int(middle * SHELLS / sum(lengths)))] += page  # pages without a command may be last
    return parts


@pytest.mark.slow
@pytest.mark.first
@pytest.mark.timeout(660)
@pytest.mark.parametrize("number", [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, SHELLS))])
def test_every_command_works(number: int, clone: Path, variables: dict[str, str]) -> None:
    wanted = shells()[number]
    result = subprocess.run(
        ["bash", "-c", script(wanted)],
        cwd=clone,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    printed = result.stdout.replace(f":{variables['HUB_API__PORT']}", f":{curl.DEFAULT_PORT}").split("\0")
    for step, output in zip(wanted, printed, strict=False):
        print(f"{step.place}\n{step.commands}\n{output}")
        for pattern in step.output:
            assert re.search(f"^{pattern}$", output, re.MULTILINE), f"{step.place} does not print {pattern}\n{output}"

    # what the README promises of these commands: each way in has reached the profiles
    running = WholeHub(clone / "hub-data")
    with running.http:
        eventually(lambda: running.get("/profiles/ann")["traits"].get("spent") == 12.5 + 30.25 + 3)
        assert running.get("/profiles/bob")["traits"]["spent"] == 7 + 4.5
        if any(step.place.startswith("docs/replay.md") for step in wanted):  # which puts another mapping in force
            assert running.get("/profiles/ann")["traits"] == {"spent": 12.5 + 30.25 + 3, "largest": 30.25}
            assert running.get("/profiles/bob")["traits"] == {"spent": 7 + 4.5, "largest": 7}
        assert running.get("/balance", verify="true")["balanced"]


def test_every_page_is_run_once_and_where_the_pages_say() -> None:
    run = [step.place for part in shells() for step in part if not step.place.startswith("README.md")]
    assert sorted(run) == sorted(step.place for page in PAGES[1:] for step in steps(page))
    # other tests of what this page has, with a whole hub, are long
    assert any(step.place.startswith("docs/dead-letters.md") for step in shells()[0])
    assert Api().port == curl.DEFAULT_PORT


def commands_of_the_hub(step: Step) -> Iterator[list[str]]:
    """The words behind each `.venv/bin/hub`, as the shell would read them; variables stay."""
    text = re.sub(NO_COMMAND, "", step.commands)
    words = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    words.whitespace, words.whitespace_split, words.commenters = " \t", True, ""
    command: list[str] | None = None
    for word in [*words, "\n"]:
        if word and set(word) <= set(words.punctuation_chars):
            if command is not None:
                yield command
            command = None
        elif command is not None:
            command.append(word)
        elif word.endswith(".venv/bin/hub"):
            command = []


def test_every_command_of_the_hub_has_a_name_and_options_that_it_knows() -> None:
    """Of all pages, also those that only `make live` runs. Nothing is run here, no value is looked at."""
    asked = [(step.place, words) for page in PAGES for step in steps(page) for words in commands_of_the_hub(step)]
    assert len(asked) > 80
    root = get_command(app)
    for place, words in asked:
        command, left, groups = root, words, True
        while groups:
            try:
                _, left, _ = command.make_parser(command.context_class(command)).parse_args(left)
            except TyperException as refused:
                pytest.fail(f"{place}: {words}: {refused}")
            groups = isinstance(command, TyperGroup) and bool(left)
            if groups:
                assert left[0] in command.commands, f"{place}: there is no {words}"
                command, left = command.commands[left[0]], left[1:]


def test_no_command_hides_from_the_test_above() -> None:
    """In a block of another language, or between blocks."""
    for page in PAGES:
        for block in blocks(page):
            assert block.language not in {"bash", "shell", "zsh"}, f"{block.place}: fence it as sh"
            if block.language in {"", "plain", "text"}:
                hidden = [line for line in block.text.splitlines() if COMMAND.match(line)]
                assert hidden == [], f"{block.place}: {hidden}"
