"""The load: a publisher that never stops, and a ledger of what the broker has confirmed."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Final, NamedTuple, TypeAlias

PROFILES: Final = 60
EVERY_S: Final = 0.1
AGAIN_S: Final = 0.3


class Message(NamedTuple):
    """
    One event. Attributes: number: counts within its profile. id: its own. named: whether its body says its id; else
    the hub makes one, of what the broker calls the message.
    """

    profile: str
    number: int
    id: str
    named: bool
    phase: str

    @property
    def body(self) -> bytes:
        """A payload of the `/track` shape."""
        event = {"type": "made", "properties": {"n": self.number}}
        payload = {"profile": {"id": self.profile}, "events": [event]}
        return json.dumps({"id": self.id, **payload} if self.named else payload).encode()


Send: TypeAlias = Callable[[Sequence[Message]], None]
"""Returns when the broker has confirmed all of them. Raises anything: some, all or none may be there."""


class Load:
    """
    Sends from a thread of its own; the next message of a profile goes when the last one is confirmed, or given up.

    What is not confirmed is sent again if its body says its id; else it is given up, and nothing is promised of it.
    """

    def __init__(self, sender: Callable[[], AbstractContextManager[Send]], rate: int) -> None:
        """Args: sender: connects to the broker. rate: messages a second."""
        self.phase = ""
        self.given_up = 0
        self.confirmed: list[Message] = []
        """Only ever grows."""
        self.attempted: set[tuple[str, int]] = set()
        self.last_error = ""
        self._sender = sender
        self._batch = max(1, min(PROFILES, int(rate * EVERY_S)))
        self._again: list[Message] = []
        self._numbers = [0] * PROFILES
        self._next = 0
        self._stop = threading.Event()
        self._go = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        """It is held until `go`."""
        self._thread.start()

    def go(self) -> None:
        """Send."""
        self._idle.clear()
        self._go.set()

    def hold(self, within_s: float) -> None:
        """Returns when what was sent is confirmed. Raises AssertionError: it is not."""
        self._go.clear()
        assert self._idle.wait(within_s), f"the broker confirms nothing for {within_s:g} s: {self.last_error}"

    def stop(self) -> None:
        """For good, at once."""
        self._stop.set()
        self._go.set()
        self._thread.join()

    def _run(self) -> None:
        stack = ExitStack()
        send: Send | None = None
        due = time.monotonic()
        while not self._stop.is_set():
            batch = self._again + (self._new() if self._go.is_set() else [])
            if not batch:
                self._idle.set()
                self._go.wait()
                due = time.monotonic()
                continue
            try:
                if send is None:
                    send = stack.enter_context(self._sender())
                send(batch)
            except Exception as exc:  # noqa: BLE001 - the broker is away: that is what is tried
                self.last_error = repr(exc)
                self._again = [message for message in batch if message.named]
                self.given_up += len(batch) - len(self._again)
                send = None
                _close(stack)
                self._stop.wait(AGAIN_S)
            else:
                self._again = []
                self.confirmed += batch
            due = max(due + EVERY_S, time.monotonic() - 1.0)  # what a broker that is away has missed is not made up for
            self._stop.wait(max(0.0, due - time.monotonic()))
        _close(stack)

    def _new(self) -> list[Message]:
        """Of profiles in turn, none of which waits for a confirmation."""
        busy = {message.profile for message in self._again}
        made: list[Message] = []
        for _ in range(PROFILES):
            if len(made) + len(busy) >= self._batch:
                break
            number, self._next = self._next, (self._next + 1) % PROFILES
            profile = f"p{number:03d}"
            if profile in busy:
                continue
            self._numbers[number] += 1
            made.append(Message(profile, self._numbers[number], str(uuid.uuid4()), number % 2 == 0, self.phase))
        self.attempted |= {(message.profile, message.number) for message in made}
        return made


def _close(stack: ExitStack) -> None:
    with suppress(Exception):  # of a connection that is broken
        stack.close()
