"""Processes in order: started, watched, started again when they die, stopped. Runs in the main thread."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hub.errors import Refused
from hub.stack.lines import Lines
from hub.stack.process import Program
from hub.stack.slot import Slot
from hub.stack.state import ProcessState
from hub.stack.wake import Wake

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ATTEMPTS: Final = 5
"""So often may a process die before it was ever ready; then the start has failed."""
NEWS_S: Final = 10.0
"""A start that takes longer says every so often what it waits for."""


@dataclass(frozen=True)
class Stage:
    """
    Programs that start together once all before them are ready, and what is done when they are.

    `is_late`: nobody waits for them, and one that does not start does not end the others.
    """

    programs: Sequence[Program]
    then: Callable[[], None] = lambda: None  # may block; raises PortError, which ends the start
    is_late: bool = False


class Stopped(Exception):
    """A stop was asked for before the start was through."""


class Supervisor:
    """
    Runs stages. `changed` is called after every change, with the states of all processes.

    The loop sleeps in `_wake`: signals, children that have ended or become ready, and a restart that is due wake it.
    """

    def __init__(
        self, stages: Sequence[Stage], lines: Lines, changed: Callable[[Sequence[ProcessState]], None]
    ) -> None:
        """Starts nothing yet."""
        self._stages = stages
        self._lines = lines
        self._changed = changed
        self._wake = Wake()
        self._slots: list[list[Slot]] = [
            [Slot(program, lines, self._wake.call) for program in stage.programs] for stage in stages
        ]

    def run(self, on_ready: Callable[[], None]) -> None:
        """
        Start everything, call `on_ready`, keep it running until SIGINT, SIGTERM or SIGHUP; stop in reverse order.

        Raises:
            Refused: A process cannot be started, with its last lines. Everything is stopped again.
            PortError: From a stage's `then`. Likewise.
        """
        with self._wake.on(STOP_SIGNALS):
            try:
                self._start()
                on_ready()
                while not self._wake.signals:
                    self._tend()
            except Stopped:
                pass
            finally:
                self._stop()

    def _start(self) -> None:
        for stage, slots in zip(self._stages, self._slots, strict=True):
            began = news_at = time.monotonic()
            for slot in slots:
                slot.start()
            if stage.is_late:
                continue
            while not all(slot.told_ready for slot in slots):
                self._tend(until=news_at + NEWS_S)
                self._give_up_if_hopeless(slots)
                if time.monotonic() >= news_at + NEWS_S:
                    news_at = time.monotonic()
                    waiting = ", ".join(slot.name for slot in slots if not slot.told_ready)
                    self._lines.say(f"waiting for {waiting} since {news_at - began:.0f} s")
                if self._wake.signals:
                    raise Stopped
            stage.then()

    def _give_up_if_hopeless(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            if slot.failed or (slot.deaths >= ATTEMPTS and not slot.was_ready):
                raise Refused(slot.name, f"does not start: {slot.last_exit}. Its last lines:\n{slot.last_words()}")

    def _tend(self, until: float | None = None) -> None:
        """Wait for something to happen, or for a restart that is due; then see to every process."""
        dues = [slot.due for slots in self._slots for slot in slots if slot.due is not None]
        dues += [until] if until is not None else []
        timeout = max(0.0, min(dues) - time.monotonic()) if dues else None
        self._wake.wait(timeout)
        if self._wake.signals:
            return
        changed = [slot.tend(time.monotonic()) for slots in self._slots for slot in slots]
        if any(changed):
            self.publish()

    def _stop(self) -> None:
        running = sum(slot.child is not None for slots in self._slots for slot in slots)
        if running:
            self._lines.say("stopping")
        for slots in reversed(self._slots):
            for slot in reversed(slots):
                slot.ask_to_stop()
            for slot in reversed(slots):
                self._wait_for_end(slot)
            self.publish()

    def _wait_for_end(self, slot: Slot) -> None:
        deadline = time.monotonic() + slot.program.stop_s
        while slot.child is not None and slot.child.code is None:
            if not self._wake.wait(max(0.0, deadline - time.monotonic())):
                self._lines.say(f"{slot.name} does not stop within {slot.program.stop_s:.0f} s: killed")
                break
            if self._wake.signals > 2:  # somebody is impatient
                break
        slot.end()

    def publish(self) -> None:
        """Tell `changed` how things stand."""
        self._changed([slot.state() for slots in self._slots for slot in slots])
