"""What two hundred segments cost the collector, how soon one is entered and left, and how long a back-fill takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any, Final

import msgspec
import pytest

from hub.pipeline.documents import iso
from hub.pipeline.segment_events import ENTERED, LEFT
from hub.redis import client
from hub.segments.runs import Runs
from hub.store.factory import open_store
from hub.store.port import Store
from schemas.codec import decode_stored
from schemas.segments import Run
from schemas.topics import DEFINITIONS, STORED
from tests.bench import crowd, payloads, preload, processes, segments
from tests.bench.conftest import Bench
from tests.bench.passage import Arrivals
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.test_collector import CORE, EVENTS
from tests.bench.tracking import Course, follow
from tests.bench.visibility import figures
from tests.kafka_tools import write as write_records
from tests.waiting import wait_for

SEGMENTS: Final = 200
RATE: Final = 1_000
SECONDS: Final = 8
EACH: Final = 20
PROFILES: Final = 1_000_000
NEW: Final = 10
MEMBERS: Final = 100_000
SPREAD_S: Final = 60
READY_S: Final = 10
"""From when all is started until the first moment."""

COST: Final = (
    f"As section 3, beside a namespace of its own with {SEGMENTS} segments (tests/bench/segments.py: fields, "
    "histories with spans of time and without, ages); a purchase concerns 12 to 15 of them, and profiles keep 61 "
    "histories. `bare` is without segments, in turn. Events on entering and leaving are stored on top and not counted."
)
ENTER: Final = (
    f"API and collector as processes, an embedded Kafka, SQLite; {RATE:,} purchases of about 550 bytes a second for "
    f"{SECONDS} s, sent by the clock; {SEGMENTS} segments, one mapping. Each {EACH}th purchase takes a new profile "
    "into a segment: from the answer of /track until `segment-entered` could be read from stored.v1, and until "
    "GET /profiles/{id}, asked for every 3 ms, has the segment. Loader, reader, API, collector and Kafka share the "
    "cores."
)
FILL: Final = (
    f"{PROFILES:,} profiles of some 700 bytes in SQLite; {NEW} new segments at once: six on fields, two of them with "
    "time, two with histories that no profile keeps yet; each is for another hundredth of the profiles. Agents, "
    "worker and collector as processes: from the definitions until the last `segment-entered` is on stored.v1."
)
LEAVE: Final = (
    f"{MEMBERS:,} members of a segment that ends for each at a time of its own, spread evenly over {SPREAD_S} s. "
    "Agents and collector as processes, no other load: from that time until `segment-left` could be read from "
    "stored.v1."
)


@pytest.mark.bench
@pytest.mark.timeout(1_500)
def test_segments_collector(bench: Bench) -> None:
    """At least 75 % of the rate without any."""
    without = f"{bench.namespace}none"
    bench.prepare(without)
    for namespace in (bench.namespace, without):
        bench.define("mapping", "spending", dict(payloads.MAPPING), namespace)
        preload.events(bench.kafka, namespace, EVENTS)
    define(bench, segments.conditions(SEGMENTS))
    courses: list[Course] = []
    bare: list[Course] = []
    shares: list[float] = []
    for run in range(RUNS):
        bare.append(collect(bench, without, run)[0])
        course, events = collect(bench, bench.namespace, run)
        courses.append(course)
        shares.append((events - EVENTS) / EVENTS * 100)
    write(
        "12. Collector, two hundred segments",
        COST,
        [
            Row("events/s", [one.rate for one in courses], [one.rate for one in bare], Floor(0.75, "ratio")),
            Row(
                "CPU s per 100,000 events",
                [one.cpu_s_per_100k for one in courses],
                [one.cpu_s_per_100k for one in bare],
            ),
            Row("entered or left, per 100 events", shares),
        ],
        bench.began,
    )


def collect(bench: Bench, namespace: str, run: int) -> tuple[Course, int]:
    """One run with a store of its own, and how many events are in it then."""
    url = f"sqlite:///{bench.folder / f'{namespace}-{run}.sqlite'}"
    with closing(open_store(url)) as store:
        variables = bench.variables(namespace, url)
        with processes.hub("collector", bench.folder, variables, core=CORE) as process:
            course = follow(process, lambda: sum(store.latest_progress()[1].values()), EVENTS, timeout_s=240)
        assert store.count("profiles", "") == payloads.PROFILES
        return course, store.count("events", "")


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_segments_entered(bench: Bench) -> None:
    """p99 at most 300 ms."""
    bench.define("mapping", "spending", dict(payloads.MAPPING))
    define(bench, segments.conditions(SEGMENTS))
    topic = STORED.name(bench.namespace)
    with ExitStack() as stack:
        bench.open_store().close()
        stack.enter_context(processes.hub("collector", bench.folder, bench.variables()))
        api = stack.enter_context(processes.api(bench.folder, bench.variables()))
        runs = [
            processes.ask("entering", api.port, RATE, SECONDS, EACH, run, bench.kafka.bootstrap, topic)
            for run in range(RUNS + 1)
        ][1:]
    write(
        "13. Accepted to in the segment",
        ENTER,
        [
            _quantile(runs, "on stored.v1, p50, ms", "told", "p50"),
            _quantile(runs, "on stored.v1, p99, ms", "told", "p99", 300),
            _quantile(runs, "in the profile, p50, ms", "visible", "p50"),
            _quantile(runs, "in the profile, p99, ms", "visible", "p99", 300),
        ],
        bench.began,
    )


def _quantile(runs: list[dict[str, Any]], what: str, of: str, quantile: str, limit: float | None = None) -> Row:
    floor = None if limit is None else Floor(limit, at_most=True)
    return Row(what, [run[of][quantile] for run in runs], (), floor)


@pytest.mark.bench
@pytest.mark.timeout(1_500)
def test_segments_backfill(bench: Bench, valkey: str) -> None:
    """At most two minutes."""
    crowd.fill(bench, PROFILES)
    looked_s, took_s = [], []
    variables = {**bench.variables(), "HUB_REDIS__URL": valkey}
    with ExitStack() as stack:
        store = stack.enter_context(closing(bench.open_store()))
        runs = Runs(stack.enter_context(closing(client(valkey))), bench.namespace)
        for command in ("collector", "agents", "worker"):
            stack.enter_context(processes.hub(command, bench.folder, variables))
        for run in range(RUNS):
            took = backfill(bench, store, runs, run)
            looked_s.append(took[0])
            took_s.append(took[1])
    write(
        "14. Back-fill of new segments",
        FILL,
        [Row("all profiles are looked at, s", looked_s), Row("all are in, s", took_s, (), Floor(120, at_most=True))],
        bench.began,
    )


def backfill(bench: Bench, store: Store, runs: Runs, number: int) -> tuple[float, float]:
    """Seconds from the definitions until all profiles were looked at, and until all who belong to them are in."""
    new = _bands(number)
    began, told = time.monotonic(), bench.records(STORED)
    expected = told + PROFILES // 100 * NEW
    define(bench, new)

    def ended() -> Run | None:
        found = [runs.filled().get(id) for id in new]
        ends = [runs.run(one.run) for one in found if one is not None]
        return ends[0] if len(ends) == NEW and all(one is not None and one.ended_ms for one in ends) else None

    run = wait_for("all profiles are looked at", ended, 400)
    looked_s = time.monotonic() - began
    wait_for("all are in", lambda: bench.records(STORED) >= expected, 400)
    took_s = time.monotonic() - began
    assert run is not None
    assert run.state == "done", run.error
    sizes = store.segment_sizes()
    assert {sizes[id] for id in new} == {PROFILES // 100}
    return looked_s, took_s


def _bands(number: int) -> dict[str, str]:
    """New segments, each for a hundredth of the profiles."""
    rests = [""] * 6 + ["traits.renews > now - 3650 days"] * 2
    rests += ["never(refund)", "count(purchase) in last 30 days = 0"]
    width, found = PROFILES // 100, {}
    for place, rest in enumerate(rests):
        first = (number * NEW + place) % 100 * width
        band = f"traits.n BETWEEN {first} AND {first + width - 1}"
        found[f"b{number}-{place}"] = f"{band} AND {rest}" if rest else band
    return found


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_segments_left(bench: Bench, valkey: str) -> None:
    """p99 at most 2 s late."""
    define(bench, {"member": "traits.until > now"})
    version = bench.records(DEFINITIONS) - 1
    first_ms = time.time_ns() // 1_000_000 + 1_000 * (READY_S + MEMBERS // 4_000)

    def until_ms(number: int) -> int:
        return first_ms + number * SPREAD_S * 1_000 // MEMBERS

    def member(number: int) -> dict[str, Any]:
        document, at_ms = crowd.person(number), until_ms(number)
        document["traits"]["until"] = iso(at_ms)
        document["segments"] = ["member"]
        entry = {"since": iso(crowd.BEGAN_MS), "event": None, "by": "condition", "definition": version}
        document["metadata"] |= {"segments": {"member": entry}, "judged": version, "due": at_ms}
        return document

    crowd.fill(bench, MEMBERS, member, until_ms)
    variables = {**bench.variables(), "HUB_REDIS__URL": valkey}
    with processes.hub("collector", bench.folder, variables), processes.hub("agents", bench.folder, variables):
        arrivals = Arrivals(bench.kafka.bootstrap, STORED.name(bench.namespace), MEMBERS)
        left_s = first_ms / 1_000 - time.time()
        assert left_s > 0, "the profiles were not made in time: give READY_S more"
        time.sleep(left_s)
        arrivals.start()
        arrivals.join()
    due = {crowd.person(number)["id"]: until_ms(number) for number in range(MEMBERS)}
    late = sorted(_late_s(arrivals, due))
    assert len(late) == MEMBERS
    assert late[0] >= 0, f"somebody has left {-late[0]:g} s too early"
    seen = figures(late)
    rows = [
        Row("late, p50, s", [seen["p50"]]),
        Row("late, p99, s", [seen["p99"]], (), Floor(2, at_most=True)),
        Row("late, the latest, s", [late[-1]]),
    ]
    write("15. Left on time", LEAVE, rows, bench.began)


def _late_s(arrivals: Arrivals, due_ms: Mapping[str, int]) -> Iterator[float]:
    for at_ns, value in arrivals.found:
        stored = decode_stored(value)
        assert stored["type"] == LEFT, f"{stored['type']}, which is not {LEFT} or {ENTERED}"
        yield at_ns / 1e9 - due_ms[stored["profile_id"]] / 1e3


def define(bench: Bench, conditions: Mapping[str, str]) -> None:
    """Put segments onto definitions.v1, all at once."""
    values = (
        (
            f"segment/{id}".encode(),
            msgspec.json.encode({"kind": "segment", "id": id, "spec": {"condition": condition}, "updated_at_ms": 0}),
        )
        for id, condition in conditions.items()
    )
    write_records(bench.kafka, DEFINITIONS.name(bench.namespace), values)
