"""The supervisor with stand-in programs: real processes, real signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hub.stack import state
from tests.waiting import wait_for

Start = Callable[..., "subprocess.Popen[str]"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a supervisor of the named stand-ins on `tmp_path`; it is gone after the test."""
    started = []

    def start(*names: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.live.supervised", str(tmp_path), *names],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        # not killed: the kernel would end its programs, but not what those have started
        if process.poll() is None:
            process.terminate()
        process.communicate()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Everything that it has started, directly or not."""
    return psutil.Process(process.pid).children(recursive=True)


def wait_until_ready(process: subprocess.Popen[str]) -> list[str]:
    """Its lines up to `ready`."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != "ready":
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        lines.append(line.rstrip("\n"))
    return lines


def states(folder: Path) -> dict[str, state.ProcessState]:
    """By name, as `hub status` reads them."""
    run = state.read(folder)
    return {process.name: process for process in run.processes} if run else {}


def is_gone(process: psutil.Process) -> bool:
    """Ended; a zombie counts, when there is no init process that collects orphans."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_leaves_nothing_running(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    """Not the programs, and not what they have started, nor a state that says so."""
    process = start("works", "stubborn")
    wait_until_ready(process)
    everything = family(process)
    assert len(everything) == 3
    process.send_signal(number)
    assert process.wait(20) == 0
    assert all(map(is_gone, everything))
    assert state.read(tmp_path) is None
    assert "does not stop within 1 s: killed" in (tmp_path / "logs/hub.log").read_text()


def test_programs_stop_in_reverse_order(start: Start, tmp_path: Path) -> None:
    """What others need goes last; each waits for the one before it."""
    process = start("works", "stubborn")
    lines = wait_until_ready(process)
    ready = [match[1] for line in lines if (match := re.search(r"(\w+) is ready \(process \d+", line))]
    assert ready == ["works", "stubborn"]
    works = psutil.Process(states(tmp_path)["works"].pid)
    process.terminate()
    asked = tmp_path / "logs/stubborn.log"
    wait_for("the stubborn one is asked", lambda: asked.exists() and asked.read_text())
    assert works.is_running()
    assert not is_gone(works)


def test_a_killed_supervisor_leaves_nothing_running(start: Start) -> None:
    """`kill -9` of the one who would clean up: the kernel does it."""
    process = start("alone", "stubborn")
    wait_until_ready(process)
    programs = family(process)
    assert len(programs) == 2
    process.kill()
    process.wait()
    wait_for("the programs are gone", lambda: all(map(is_gone, programs)), 5)


def test_a_killed_process_is_back_in_a_second(start: Start, tmp_path: Path) -> None:
    """Several times; each is counted, with how it ended."""
    process = start("works")
    wait_until_ready(process)
    for times in (1, 2, 3):
        before = states(tmp_path)["works"]
        assert before.pid
        children = psutil.Process(before.pid).children()
        os.kill(before.pid, signal.SIGKILL)

        def is_back(before: state.ProcessState = before) -> bool:
            now = states(tmp_path)["works"]
            return now.state == "ready" and now.pid != before.pid

        wait_for("ready again", is_back, 3)
        assert states(tmp_path)["works"].restarts == times
        assert states(tmp_path)["works"].last_exit == "killed by SIGKILL"
        assert all(map(is_gone, children))  # an orphan would hold on to ports and files


def test_a_program_that_never_works_ends_the_start_with_its_last_words(start: Start) -> None:
    """After a few attempts, and what had started before it is stopped."""
    process = start("works", "broken")
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "broken: does not start: ended with exit code 1" in errors
    assert "cannot find the thing" in errors
    assert output.count("starts again in") == 5


def test_a_wrong_setting_is_reported_and_not_tried_again(start: Start) -> None:
    """Exit code 78 says that starting again changes nothing."""
    process = start("misconfigured")
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "setting HUB_X is wrong" in errors
    assert "starts again" not in output


def test_a_second_signal_waits_no_longer_than_the_third(start: Start) -> None:
    """Somebody who presses Ctrl-C three times wants it to end now."""
    process = start("stubborn")
    wait_until_ready(process)
    everything = family(process)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert all(map(is_gone, everything))
