"""`hub flow check|test|nodes`, without a hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.__main__ import app

FLOW = """\
name: Tea for regulars
triggers:
  - {type: event, event_type: purchase, condition: "event@properties.amount > 10"}
nodes:
  start: {type: start, to: {out: regular}}
  regular:
    type: has-segment
    config: {segments: [regulars]}
    to: {then: [gift, price], else: note}
  gift:
    type: update-profile
    config: {fields: {traits.gift: tea}}
    to: {out: wait}
  wait: {type: pause, config: {wait: 1d}, to: {out: mail}}
  mail:
    type: send-mail
    config:
      destination: post
      to: profile@traits.mail
      subject: "Tea for {{ profile@id }}"
      text: "Your {{ profile@traits.gift }}"
  price: {type: http-call, config: {url: "https://prices.example/tea"}, to: {out: answer}}
  answer: {type: respond, config: {body: {price: payload@response.body.price}}}
  note: {type: explain, config: {text: "{{ profile@id }} is no regular"}}
"""
EVENT = {"type": "purchase", "source": {"id": "shop"}, "properties": {"amount": 12}}
PROFILE = {"id": "ann", "segments": ["regulars"], "traits": {"mail": "ann@example.com"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tea.yaml").write_text(FLOW)
    (tmp_path / "event.json").write_text(json.dumps(EVENT))
    (tmp_path / "profile.json").write_text(json.dumps(PROFILE))
    return tmp_path


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["flow", *map(str, arguments)], input=stdin)


def test_a_good_flow(folder: Path) -> None:
    result = run("check", folder / "tea.yaml")
    assert (result.exit_code, result.stdout) == (0, f"{folder / 'tea.yaml'}: a flow of 8 nodes\n")
    assert run("check", "-", stdin=FLOW).exit_code == 0


def test_what_is_wrong_is_said_with_line_and_column(folder: Path) -> None:
    file = folder / "tea.yaml"
    file.write_text(FLOW.replace("amount > 10", "amount >> 10").replace("{out: wait}", "{out: wiat}"))
    result = run("check", file)
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0].startswith(f"{file}:3:78: triggers[0].condition: ")
    assert any(line.startswith(f"{file}:13:10: nodes.gift.to.out") and "is it 'wait'?" in line for line in lines), lines
    assert any("nodes.wait: it is never reached" in line for line in lines)
    found = [json.loads(line) for line in run("check", file, "--json").stdout.splitlines()]
    assert {"nodes.wait", "triggers[0].condition"} <= {one["where"] for one in found}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nodes: {a b: {type: start}}", ":1:9: nodes.a b: "),
        ("nodes: {a: {typ: start}}", ":1:13: nodes.a.typ: there is no such field; there are type, config"),
        ("nodes: {a: {type: start}}\ntrigers: []", ":2:1: trigers: there is no such field"),
        ("nodes: {a: {type: start}}\ntriggers: [{type: event}]", ":2:12: triggers[0].event_type: Field required"),
        ("nodes: [", "not YAML"),
        ("[]", "flow: "),
    ],
)
def test_what_is_no_flow_at_all(folder: Path, text: str, words: str) -> None:
    (folder / "x.yaml").write_text(text)
    result = run("check", folder / "x.yaml")
    assert result.exit_code == 1
    assert words in result.output


def test_a_run_shows_where_it_goes_and_all_that_would_be_done(folder: Path) -> None:
    options = ("--event", folder / "event.json", "--profile", folder / "profile.json", "--now", "2026-01-01T00:00:00Z")
    result = run("test", folder / "tea.yaml", *options)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:2] == ["done", "at 2026-01-01T00:00:00.000Z"]
    assert "at 2026-01-02T00:00:00.000Z" in lines
    assert any("→ paused until 2026-01-02T00:00:00.000Z" in line for line in lines)
    assert any('change-field         {"op": "set", "field": "traits.gift", "value": "tea"}' in line for line in lines)
    assert any("call-http" in line and "https://prices.example/tea" in line for line in lines)
    assert any("send-message" in line and "Tea for ann" in line and "Your tea" in line for line in lines)
    assert "price: it was taken to be answered with 200 and {}, nothing to be found, or a profile to be there" in lines

    (folder / "answers.yaml").write_text("price: {status: 200, body: {price: 3}}")
    found = json.loads(
        run("test", folder / "tea.yaml", *options, "--answers", folder / "answers.yaml", "--json").stdout
    )
    assert (found["state"], found["triggered"], found["response"], found["assumed"]) == ("done", True, {"price": 3}, [])
    assert [[effect["effect"] for effect in leg["effects"]] for leg in found["legs"]] == [
        ["change-field", "call-http", "respond"],
        ["send-message"],
    ]
    stopped = json.loads(run("test", folder / "tea.yaml", *options, "--stop", "--json").stdout)
    assert (stopped["state"], len(stopped["legs"])) == ("paused", 1)


def test_a_run_that_fails_is_an_exit_code(folder: Path) -> None:
    (folder / "answers.json").write_text('{"price": {"status": 500}}')
    options = ("--event", folder / "event.json", "--profile", folder / "profile.json")
    result = run("test", folder / "tea.yaml", *options, "--answers", folder / "answers.json")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "error: price: the answer has the status 500"
    assert "no trigger of it fits" in run("test", folder / "tea.yaml", "--profile", folder / "profile.json").stdout
    assert run("test", folder / "tea.yaml", "--event", folder / "none.json").exit_code == 2


def test_nodes() -> None:
    result = run("nodes")
    assert result.exit_code == 0
    assert any(
        line.startswith("update-profile         Set fields of the profile.") for line in result.stdout.splitlines()
    )
    assert json.loads(run("nodes", "pause").stdout)["config"]["properties"]["wait"]
    assert run("nodes", "puase").exit_code == 2
