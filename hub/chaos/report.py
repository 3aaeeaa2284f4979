"""The result of a run: as JSON, and for people."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec

from hub.chaos.checker.model import Verdict
from hub.chaos.checker.violations import KINDS as VIOLATIONS
from hub.chaos.checker.violations import Violation
from hub.chaos.plan import KINDS, Fault
from hub.chaos.recovery import Recovery

SAMPLES: Final = 20


class Done(NamedTuple):
    """
    A fault that was done.

    Attributes:
        began_s: Seconds from the start of the load.
        alone: Whether no other fault began before the hub had recovered from this one.
    """

    fault: Fault
    began_s: float
    took_s: float
    recovery: Recovery
    alone: bool


class Result(NamedTuple):
    """One run."""

    seed: int
    run: str
    seconds: float
    conditions: dict[str, Any]
    faults: Sequence[Done]
    verdict: Verdict
    latencies_s: Sequence[float]
    attempts: int
    failures: dict[str, int]
    balance: dict[str, Any]

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not self.verdict.violations


def as_json(result: Result) -> dict[str, Any]:
    """The whole of it; of the violations the first twenty of each kind."""
    samples: dict[str, list[Violation]] = defaultdict(list)
    for violation in result.verdict.violations:
        if len(samples[violation.kind]) < SAMPLES:
            samples[violation.kind].append(violation)
    return {
        "good": result.good,
        "seed": result.seed,
        "run": result.run,
        "seconds": result.seconds,
        "conditions": result.conditions,
        "figures": result.verdict.figures,
        "violations": result.verdict.counts(),
        "samples": [violation._asdict() for kind in samples.values() for violation in kind],
        "balance": {name: result.balance.get(name) for name in ("totals", "balanced", "causes", "verified")},
        "load": {
            "attempts": result.attempts,
            "without_acknowledgement": dict(sorted(result.failures.items())),
            "latency_ms": percentiles(result.latencies_s),
        },
        "faults": [
            {
                **done.fault._asdict(),
                "began_s": round(done.began_s, 2),
                "took_s": round(done.took_s, 2),
                "alone": done.alone,
                **{name: None if s is None else round(s, 3) for name, s in done.recovery._asdict().items()},
            }
            for done in result.faults
        ],
    }


def write(results: Sequence[Result], file: Path) -> None:
    """JSON: one run as an object, several as a list."""
    documents = [as_json(result) for result in results]
    document = documents[0] if len(documents) == 1 else documents
    file.write_bytes(msgspec.json.format(json.dumps(document).encode()) + b"\n")


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds by name; nothing for no measurement."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * p))] * 1000, 1) for name, p in places.items()}


def as_text(result: Result) -> Iterator[str]:
    """Lines."""
    figures = result.verdict.figures
    yield f"seed {result.seed}, run {result.run}: {result.seconds:g} s of load, {len(result.faults)} faults"
    for name, number in figures.items():
        yield f"  {name.replace('_', ' '):<28} {number:>9,}"
    yield f"  {'attempts':<28} {result.attempts:>9,}"
    for why, number in sorted(result.failures.items()):
        yield f"  {'  ended with ' + why:<28} {number:>9,}"
    yield "  latency, due to acknowledged: " + ", ".join(
        f"{name} {ms:,.0f} ms" for name, ms in percentiles(result.latencies_s).items()
    )
    yield ""
    yield from _recoveries(result.faults)
    yield ""
    for kind, number in result.verdict.counts().items():
        yield f"  {kind:<10} {number:>6}   {VIOLATIONS[kind]}"
    samples: dict[str, int] = defaultdict(int)
    for violation in result.verdict.violations:
        samples[violation.kind] += 1
        if samples[violation.kind] <= SAMPLES:
            yield f"  {violation.kind.upper()} {violation.subject}: {violation.detail}"
    totals = result.balance.get("totals", {})
    yield "  balance: " + ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in totals.items())
    yield f"every promise kept (seed {result.seed})" if result.good else f"PROMISES BROKEN (seed {result.seed})"


def _recoveries(faults: Sequence[Done]) -> Iterator[str]:
    """Seconds after the end of the fault, median and worst, of those that no other fault came upon if there are any."""
    yield (
        f"  {'fault':<9} {'of':<21} {'times':>5} {'lasts':>6}   "
        + " ".join(f"{name:>13}" for name in ("ready", "accepts", "stores", "bridges"))
    )
    grouped: dict[tuple[str, str], list[Done]] = defaultdict(list)
    for done in faults:
        grouped[done.fault.kind, done.fault.target].append(done)
    for kind in KINDS:
        for (its_kind, target), ones in sorted(grouped.items()):
            if its_kind == kind:
                lasts = median(one.took_s for one in ones)
                alone = [one for one in ones if one.alone]
                columns = (_spread([one.recovery[place] for one in alone or ones]) for place in range(4))
                name = target if alone else f"{target} *"
                yield f"  {kind:<9} {name:<21} {len(ones):>5} {lasts:>5.1f}s   " + " ".join(columns)
    yield "  Seconds from the end of the fault. * the next fault began before the hub had recovered from this one"


def _spread(seconds: Sequence[float | None]) -> str:
    there = [one for one in seconds if one is not None]
    if not there:
        return f"{'-':>13}"
    text = f"{median(there):.2f}" if len(there) == 1 else f"{median(there):.2f} / {max(there):.2f}"
    return f"{text:>13}"
