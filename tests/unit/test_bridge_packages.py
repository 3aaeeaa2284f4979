"""Kinds of bridge that packages bring: found when they are asked for, and their faults stay their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridges import packages
from bridges.registry import MODULES, BridgeError, is_brought, spec_of, validate
from hub.definitions.kinds import Bridge
from tests.packages import LINES, install, on_path, write


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A folder of installed packages, which tests fill before they ask."""
    with on_path(tmp_path):
        yield tmp_path


def definition(kind: str) -> Bridge:
    return Bridge(type=kind, source="shop", settings={})


def test_an_installed_kind_is_one_of_those_that_there_are(target: Path) -> None:
    with pytest.raises(BridgeError, match=r"no bridge of type 'lines'; there are: .*kafka"):
        spec_of("lines")
    install(LINES, target)
    packages.BRIDGES.forget()  # what is installed while a process runs is for the next one
    assert spec_of("lines").kind == "lines"
    assert not is_brought("lines")
    with pytest.raises(BridgeError, match=r"settings\.path: Field required"):
        validate(definition("lines"))
    with pytest.raises(BridgeError, match=r"there are: .*lines"):
        spec_of("line")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raise RuntimeError('no licence')", "cannot be loaded: RuntimeError: no licence"),
        ("import there_is_no_such_module", "cannot be loaded: ModuleNotFoundError"),
        ("NOTHING = 1", "cannot be loaded: AttributeError"),
        ("SPEC = 'a text'", "is no bridges.base.BridgeSpec"),
        ("from bridges.kafka import SPEC", "calls itself 'kafka'"),
    ],
)
def test_a_broken_one_breaks_only_what_uses_it(target: Path, module: str, words: str) -> None:
    name = f"broken_{abs(hash(module))}"  # a module is loaded once a process
    (target / f"{name}.py").write_text(module)
    write(target, "broken-bridge", {"broken": f"{name}:SPEC"})
    install(LINES, target)
    for _ in range(2):
        with pytest.raises(BridgeError, match=words) as caught:
            validate(definition("broken"))
        assert "broken-bridge 1.0" in str(caught.value)
    assert not is_brought("broken")
    assert spec_of("lines").kind == "lines"
    assert spec_of("kafka").kind == "kafka"


def test_a_name_that_is_ours_stays_ours(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(target, "other-kafka", {"kafka": "no_such_module:SPEC"})
    assert spec_of("kafka").settings.__module__ == "bridges.kafka"
    packages.warn_of_taken(MODULES)
    said = capsys.readouterr().out
    assert "bridges.name_taken" in said
    assert "other-kafka 1.0" in said
    assert "rename its own" in said


def test_two_packages_of_one_name_are_told_apart_by_a_person(target: Path) -> None:
    write(target, "first", {"twice": "a:SPEC"})
    write(target, "second", {"twice": "b:SPEC"})
    with pytest.raises(BridgeError, match=r"first 1\.0 and second 1\.0|second 1\.0 and first 1\.0"):
        spec_of("twice")
