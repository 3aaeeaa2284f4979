"""What was sent and how it was answered: a file of JSON lines, written by the load, read by the checker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """
    One event as it was sent. `seq` counts from 1 within its profile; `cents` is the amount; `email` as it was spelled,
    empty for none.
    """

    id: str
    profile: str
    seq: int
    cents: int
    label: str
    email: str = ""


@dataclass
class Ledger:
    """
    Everything that was sent.

    Attributes:
        steps: In the order in which they were first sent, by id.
        acked: Ids of those that the hub has promised to keep: a 2xx, or the source topic has the message.
        refused: Payloads that got another answer than 2xx or 5xx, and what it was: none should.
        bad: Messages that are no event, by their mark: whether the topic has acknowledged them.
        deliveries: Events of payloads that were acknowledged, each time that one was.
    """

    steps: dict[str, Step] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    bad: dict[str, bool] = field(default_factory=dict)
    deliveries: int = 0


class Writer:
    """Appends to the file. What is written is with the operating system when the call returns."""

    def __init__(self, path: Path) -> None:
        """Raises: FileExistsError: a ledger is of one run."""
        self._file = path.open("x", encoding="utf-8", buffering=1)

    def sent(self, payload: str, steps: Iterable[Step]) -> None:
        """Call it before the first attempt."""
        rows = [[step.id, step.profile, step.seq, step.cents, step.label, step.email] for step in steps]
        self._write(kind="sent", payload=payload, steps=rows)

    def acked(self, payload: str) -> None:
        """It was answered with a 2xx. As often as it was."""
        self._write(kind="acked", payload=payload)

    def unknown(self, payload: str, why: str) -> None:
        """One attempt ended without a promise: a 5xx, no answer in time, a lost connection."""
        self._write(kind="unknown", payload=payload, why=why)

    def refused(self, payload: str, why: str) -> None:
        """It was answered with neither 2xx nor 5xx."""
        self._write(kind="refused", payload=payload, why=why)

    def bad(self, mark: str, *, acked: bool) -> None:
        """A message that is no event: before it goes out, and when the topic has it."""
        self._write(kind="bad", mark=mark, acked=acked)

    def close(self) -> None:
        """No more."""
        self._file.close()

    def _write(self, **entry: Any) -> None:
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")


def read(path: Path) -> Ledger:
    """The file of a run that is over."""
    ledger = Ledger()
    payloads: dict[str, list[str]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            kind = entry["kind"]
            if kind == "sent":
                steps = [Step(*row) for row in entry["steps"]]
                payloads[entry["payload"]] = [step.id for step in steps]
                for step in steps:
                    ledger.steps.setdefault(step.id, step)
            elif kind == "acked":
                ids = payloads[entry["payload"]]
                ledger.acked.update(ids)
                ledger.deliveries += len(ids)
            elif kind == "refused":
                ledger.refused[entry["payload"]] = entry["why"]
            elif kind == "bad":
                ledger.bad[entry["mark"]] = ledger.bad.get(entry["mark"], False) or entry["acked"]
    return ledger
