"""One program's place in the supervisor, with a real program: what a death and a failed start leave behind."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.stack.lines import Lines
from hub.stack.process import Program
from hub.stack.slot import Slot
from tests.waiting import wait_for


class Disk:
    """What a start needs to write to."""

    def __init__(self) -> None:
        self.full = False

    def prepare(self) -> None:
        if self.full:
            raise OSError(28, "No space left on device")


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def slot(tmp_path: Path, disk: Disk) -> Iterator[Slot]:
    """Of a program that is ready at once and runs until it is killed; it is ready, and has said so."""
    program = Program(
        name="works",
        argv=(sys.executable, "-c", "import signal; signal.pause()"),
        ready=lambda: True,
        prepare=disk.prepare,
    )
    lines = Lines(tmp_path, None)
    slot = Slot(program, lines, lambda: None)
    slot.start()
    wait_for("ready", lambda: slot.ready)
    slot.tend(time.monotonic())
    assert slot.state().state == "ready"
    yield slot
    slot.end()
    lines.close()


def kill(slot: Slot) -> None:
    """And let the slot see it."""
    child = slot.child
    assert child is not None
    child.send(signal.SIGKILL)
    wait_for("its end", lambda: child.code is not None)
    assert slot.tend(time.monotonic())


def test_a_look_between_a_death_and_the_next_start_changes_nothing(slot: Slot) -> None:
    """Another process's news wakes the supervisor at any time."""
    kill(slot)
    assert slot.due is not None
    assert not slot.tend(slot.due - 0.001)
    assert slot.state().state == "waiting"
    assert slot.tend(slot.due)
    wait_for("ready again", lambda: slot.ready)
    assert slot.restarts == 1


def test_a_start_that_finds_the_disk_full_is_tried_again(slot: Slot, disk: Disk) -> None:
    kill(slot)
    disk.full = True
    for _ in range(3):
        assert slot.due is not None
        assert slot.tend(slot.due)
        assert slot.state().state == "waiting"
        assert "No space left on device" in slot.state().last_exit
    disk.full = False
    assert slot.due is not None
    assert slot.tend(slot.due)
    wait_for("ready again", lambda: slot.ready)
