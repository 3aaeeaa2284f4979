"""docs/kill-matrix.json, which keeps the last run of each broker, and docs/kill-matrix.md, which is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.matrix.brokers import NAMES
from tests.matrix.run import FAULTS, Result

FOLDER: Final = Path(__file__).parents[2] / "docs"
JSON: Final = "kill-matrix.json"
PAGE: Final = "kill-matrix.md"
HEAD: Final = """# The kill matrix

Every broker that a bridge can read, on its real server, with a publisher that never stops, a bridge process, a
collector and a Kafka of their own, while all of them are killed, cut off and locked out. This page is written by

```sh
.venv/bin/python -m tests.matrix
```

which takes about seven minutes a broker; `make chaos` runs it too. It exits with 1 when a promise was broken. A part:
`python -m tests.matrix redis_streams --kills 3 --faults bridge,broker`; `--help` has the rest.

## What is done

{faults}

## What is sent and checked

Sixty profiles, each with events that count from 1; the next message of a profile is sent when the broker has confirmed
the last one (publisher confirms, `acks=all`, a commit). Half of the profiles' messages say their own id; one of these
that was not confirmed is sent again, as a careful sender would. The others have the id that the bridge makes of what
the broker calls the message; one of these that was not confirmed is given up, and nothing is promised of it.

- **lost**: the broker has confirmed it, and it is not stored.
- **doubled**: stored more than once.
- **out of order**: stored after one of its profile that was sent when it was confirmed. A broker that promises no order
  has a dash.
- **until lag 0**: the longest time from the end of a fault until everything is stored that was confirmed before it, and
  the first that was confirmed after it, with the load going on. At the end of each row the load is held, and the
  bridge has to say that its lag is 0.

The event store is read for it, not what the bridge says of itself. Besides, profiles must have counted what is stored,
nothing may be a dead letter, and no process may end by itself. A row has the messages that were sent while its faults
were done.
"""


def write(results: Sequence[Result], command: str, conditions: Mapping[str, str], folder: Path = FOLDER) -> None:
    """
    Put runs in the place of earlier ones of the same brokers.

    Args:
        command: That made them.
        conditions: By name, such as the date and the machine.
        folder: Of both files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / JSON
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    kept |= {result.name: as_json(result, command, conditions) for result in results}
    kept = {name: kept[name] for name in NAMES if name in kept}
    file.write_bytes(msgspec.json.format(json.dumps(kept).encode()) + b"\n")
    (folder / PAGE).write_text("\n".join(_page(kept)) + "\n")


def as_json(result: Result, command: str, conditions: Mapping[str, str]) -> dict[str, Any]:
    """The whole of it."""
    return {
        "good": result.good,
        "product": result.product,
        **conditions,
        "command": command,
        "seed": result.options.seed,
        "rate": result.options.rate,
        "cut_s": result.options.cut_s,
        "seconds": result.seconds,
        "notes": result.notes,
        "given_up": result.given_up,
        "troubles": list(result.troubles),
        "faults": {name: figures._asdict() for name, figures in result.figures.items()},
        "not_done": dict(result.not_done),
        "in_order": result.in_order,
    }


def _page(kept: Mapping[str, Any]) -> Iterator[str]:
    rows = [f"| `{name}` | {words} |" for name, words in FAULTS.items()]
    yield HEAD.format(faults="\n".join(["| fault | how |", "|---|---|", *rows]))
    yield "## The figures\n"
    for name, run in kept.items():
        yield f"### {name}\n"
        verdict = "every promise kept" if run["good"] else "**promises broken**"
        yield (
            f"{run['product']}. {run['date']}, commit {run['commit']}, seed {run['seed']}, {run['rate']} messages/s, "
            f"{run['seconds']:.0f} s, `{run['command']}`: {verdict}."
            + (f" {run['given_up']} messages were not confirmed and given up." if run["given_up"] else "")
        )
        if run["notes"]:
            yield f"Here {run['notes']}."
        yield ""
        yield "| fault | messages | times | lost | doubled | out of order | until lag 0 |"
        yield "|---|---:|---:|---:|---:|---:|---:|"
        for fault, each in run["faults"].items():
            order = str(each["reordered"]) if run["in_order"] else "-"
            times, lag = (each["times"], f"{each['lag_s']:.1f} s") if each["times"] else ("", "")
            yield f"| {fault} | {each['messages']:,} | {times} | {each['lost']} | {each['doubled']} | {order} | {lag} |"
        for fault, why in run["not_done"].items():
            yield f"| {fault} | not done: {why} | | | | | |"
        yield ""
        yield from (f"- {words}" for words in run["troubles"])
        if run["troubles"]:
            yield ""
    machines = sorted({run["machine"] for run in kept.values()})
    yield "Measured on " + "; ".join(machines) + "."
