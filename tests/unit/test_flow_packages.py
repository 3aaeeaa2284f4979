"""Nodes that packages bring: found when they are asked for, and their faults stay their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.flows import overdue, packages, run
from hub.flows.check import check
from hub.flows.registry import UnknownNode, described, node_of
from tests.packages import SHOUT, install, on_path, write
from tests.unit.flow_cases import asked, ran, spec


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A folder of installed packages, which tests fill before they ask."""
    with on_path(tmp_path):
        yield tmp_path


def test_an_installed_node_is_one_of_those_that_there_are(target: Path) -> None:
    with pytest.raises(UnknownNode, match="there is no node of type 'shout'"):
        node_of("shout")
    install(SHOUT, target, packages.GROUP)
    packages.NODES.forget()  # what is installed while a process runs is for the next one
    assert node_of("shout").package == "shout-node 1.0.0"
    form = next(one for one in described() if one["type"] == "shout")
    assert form["config"]["properties"]["marks"]["maximum"] == 10
    assert asked("shout", {"text": "profile@traits.name", "marks": 2, "into": ""}).output == "ANN!!"  # type: ignore[union-attr]
    nodes = {"start": ("start", {}, "n"), "n": ("shout", {"text": "profile@traits.nme", "mark": 1})}
    (found,) = check(spec(nodes)).problems
    assert "is it 'marks'?" in found.detail


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raise RuntimeError('no licence')", "cannot be loaded: RuntimeError: no licence"),
        ("NOTHING = 1", "cannot be loaded: AttributeError"),
        ("shout = 'a text'", "is none: make it with hub.flows.node.node"),
        ("from hub.flows.nodes.texts import trim as shout", "calls itself 'trim'"),
    ],
)
def test_a_broken_one_breaks_only_what_uses_it(target: Path, module: str, words: str) -> None:
    name = f"broken_node_{abs(hash(module))}"  # a module is loaded once a process
    (target / f"{name}.py").write_text(module)
    write(target, "broken-node", {"broken": f"{name}:shout"}, group=packages.GROUP)
    for _ in range(2):
        with pytest.raises(UnknownNode, match=words) as caught:
            node_of("broken")
        assert "broken-node 1.0" in str(caught.value)
    assert [one["error"] for one in described() if one["type"] == "broken"]
    assert node_of("trim").name == "trim"


def test_a_name_that_is_ours_stays_ours(target: Path) -> None:
    write(target, "other-if", {"if": "no_such_module:node"}, group=packages.GROUP)
    assert node_of("if").package == ""


def test_two_packages_of_one_name_are_told_apart_by_a_person(target: Path) -> None:
    write(target, "first", {"twice": "a:b"}, group=packages.GROUP)
    write(target, "second", {"twice": "a:b"}, group=packages.GROUP)
    with pytest.raises(UnknownNode, match="both have a node 'twice'"):
        node_of("twice")


@pytest.mark.parametrize(
    "body", ["while True: pass", "while True:\n        try: [1].index(1)\n        except Exception: pass"]
)
def test_one_that_never_ends_is_interrupted(target: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Else it would hold up its agent, and with its trigger the next one."""
    monkeypatch.setattr(run, "MOST_S", 0.2)
    name = f"endless_node_{abs(hash(body))}"
    (target / f"{name}.py").write_text(
        "from hub.flows.node import Config, node\n"
        f"@node('endless', group='x')\ndef endless(config: Config, call):\n    'Endless.'\n    {body}\n"
    )
    write(target, "endless-node", {"endless": f"{name}:endless"}, group=packages.GROUP)
    found = ran(
        {
            "start": ("start", {}, ["bad", "good"]),
            "bad": ("endless",),
            "good": ("increment", {"field": "stats.n"}),
        }
    )
    assert (found.state, [id for id, _ in found.effects]) == ("failed", ["good"])
    assert "it has not come to an end within 0.2 s" in found.error


def test_what_comes_in_time_is_given_and_what_is_raised_is_raised() -> None:
    assert overdue.in_time(lambda: 7) == 7
    with pytest.raises(KeyError):
        overdue.in_time(lambda: {}["x"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("return Outcome('side', 1)", "it goes on at a port 'side'; it has out"),
        ("return Outcome('out', object())", "no JSON"),
        ("return Outcome('out', 1, memory={'x': object()})", "no JSON"),
        ("return Outcome('out', 'x' * 10_000_000)", "limits.output_bytes"),
    ],
)
def test_whatever_it_does_only_its_branch_fails(target: Path, body: str, words: str) -> None:
    name = f"bad_node_{abs(hash(body))}"
    (target / f"{name}.py").write_text(
        "from hub.flows.node import Config, Outcome, node\n"
        f"@node('bad', group='x')\ndef bad(config: Config, call):\n    'Bad.'\n    {body}\n"
    )
    write(target, "bad-node", {"bad": f"{name}:bad"}, group=packages.GROUP)
    nodes = {
        "start": ("start", {}, ["bad", "good"]),
        "bad": ("bad",),
        "good": ("increment", {"field": "stats.n"}),
    }
    found = ran(nodes)
    assert (found.state, [id for id, _ in found.effects]) == ("failed", ["good"])
    assert words in found.error


def test_what_it_gives_is_json_from_the_beginning(target: Path) -> None:
    """So that it is the same when it comes out of a store."""
    name = "time_node"
    (target / f"{name}.py").write_text(
        "from datetime import UTC, datetime\nfrom hub.flows.node import Config, Outcome, node\n"
        "@node('when', group='x')\ndef when(config: Config, call):\n    'When.'\n"
        "    return Outcome('out', {'at': datetime(2026, 1, 1, tzinfo=UTC), 'pair': (1, 2)})\n"
    )
    write(target, "time-node", {"when": f"{name}:when"}, group=packages.GROUP)
    found = ran({"start": ("start", {}, "n"), "n": ("when",)})
    assert datetime(2026, 1, 1, tzinfo=UTC).isoformat().startswith(found.steps[-1].output["at"][:19])
    assert found.steps[-1].output["pair"] == [1, 2]
