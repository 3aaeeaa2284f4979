"""The checker names what is wrong: answers of a hub that has kept every promise, then one thing changed in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from hub.chaos.checker import ledger as ledgers
from hub.chaos.checker.flows import Flows, Rule, Seen
from hub.chaos.checker.ledger import Ledger, Step, Writer
from hub.chaos.checker.model import Found, check

SOURCE: Final = "chaos-t"
STEPS: Final = [
    Step("a1", "ann", 1, 1_010, "red"),
    Step("b1", "bob", 1, 99, "red"),
    Step("a2", "ann", 2, 30_025, "blue"),
    Step("a3", "ann", 3, 5, "red"),
    Step("b2", "bob", 2, 700, "green"),
]
PARTITIONS: Final = {"ann": 2, "bob": 5}


def event(step: Step, offset: int, holder: str = "", at: str = "") -> dict[str, Any]:
    """As GET /events lists it. Args: holder: the profile that it was applied to, if it was sent for another one."""
    metadata: dict[str, Any] = {
        "position": {"epoch": 1, "partition": PARTITIONS[holder or step.profile], "offset": offset, "place": 0},
        "time": {"insert": at or f"2026-11-25T12:00:{offset:02d}.000Z", "create": None},
    }
    properties = {"seq": step.seq, "amount": step.cents / 100, "label": step.label, "one": 1}
    return {
        "id": step.id,
        "profile": {"id": holder or step.profile},
        "session": {"id": f"{step.profile}-session"},
        "properties": properties | ({"email": step.email} if step.email else {}),
        "metadata": metadata | ({"sent_as": step.profile} if holder else {}),
    }


def profile(
    ids: str, events: int, total: float, ends: tuple[float, int], highest: float, labels: list[str]
) -> dict[str, Any]:
    """As GET /profiles/{id} gives it. Args: ids: the smallest first. ends: first amount, number of the last event."""
    first, last = ends
    return {
        "id": ids.partition(" ")[0],
        "ids": ids.split(),
        "stats": {"events": events, "visits": len(ids.split())},
        "traits": {
            "count": events,
            "sum": total,
            "first": first,
            "last": last,
            "highest": highest,
            "labels": labels,
        },
    }


def written(path: Path) -> Ledger:
    """What was sent: all of it acknowledged, `a2` twice, one faulty message."""
    writer = Writer(path)
    for number, step in enumerate(STEPS):
        writer.sent(f"p{number}", [step])
        if step.id == "a2":
            writer.unknown(f"p{number}", "503")
            writer.acked(f"p{number}")
        writer.acked(f"p{number}")
    writer.bad("chaos-bad-1", acked=False)
    writer.bad("chaos-bad-1", acked=True)
    writer.close()
    return ledgers.read(path)


def found() -> Found:
    """What a hub without fault says."""
    return Found(
        events=[event(step, 10 + number) for number, step in enumerate(STEPS)],
        profiles={
            "ann": profile("ann", 3, 310.4, (10.1, 3), 300.25, ["red", "blue"]),
            "bob": profile("bob", 2, 7.99, (0.99, 2), 7.0, ["red", "green"]),
        },
        left=["ann", "bob"],
        letters={"chaos-bad-1": 1},
        balance={
            "balanced": True,
            "causes": [],
            "verified": {"stored_events": 5, "agrees": True},
            "totals": {"received": 7, "stored": 5, "duplicate": 1, "dropped": 0, "dead": 1, "in_flight": 0},
            "sources": [
                {"source": SOURCE, "received": 7, "stored": 5, "duplicate": 1, "dropped": 0, "dead": 1},
                {"source": "other", "received": 1, "stored": 1, "duplicate": 0, "dropped": 0, "dead": 0},
            ],
        },
        sources=[SOURCE],
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return written(tmp_path / "ledger.jsonl")


def named(ledger: Ledger, there: Found) -> set[tuple[str, str]]:
    """Kind and subject of each violation."""
    return {(violation.kind, violation.subject) for violation in check(ledger, there).violations}


def test_a_hub_that_keeps_every_promise(ledger: Ledger) -> None:
    verdict = check(ledger, found())
    assert verdict.violations == []
    assert verdict.figures == {
        "events_sent": 5,
        "events_acknowledged": 5,
        "events_without_a_promise": 0,
        "of_these_stored": 0,
        "events_stored": 5,
        "events_acknowledged_again": 1,
        "profiles": 2,
        "persons": 2,
        "profiles_merged": 0,
        "merges_wrong": 0,
        "faulty_messages": 1,
    }
    assert not any(verdict.counts().values())


def lose(there: Found) -> None:
    there.events = [one for one in there.events if one["id"] != "a2"]


def store_twice(there: Found) -> None:
    there.events = [*there.events, event(STEPS[2], 40)]


def count_twice(there: Found) -> None:
    there.profiles["ann"]["stats"]["events"] = 4  # type: ignore[index]


def swap(there: Found) -> None:
    there.events[0]["metadata"]["position"]["offset"] = 12
    there.events[2]["metadata"]["position"]["offset"] = 10


def move(there: Found) -> None:
    there.events[3]["metadata"]["position"]["partition"] = 4


def invent(there: Found) -> None:
    there.events = [*there.events, event(Step("x", "bob", 9, 1, "red"), 60)]


def alter(there: Found) -> None:
    there.events[1]["properties"]["amount"] = 0.98


def give_away(there: Found) -> None:
    there.events[1]["profile"]["id"] = "ann"


def lose_profile(there: Found) -> None:
    del there.profiles["bob"]  # type: ignore[attr-defined]


def visit_again(there: Found) -> None:
    there.profiles["bob"]["stats"]["visits"] = 2  # type: ignore[index]


def trait(name: str, value: object) -> Callable[[Found], None]:
    def change(there: Found) -> None:
        there.profiles["ann"]["traits"][name] = value

    return change


def sheet(where: str, name: str, value: object) -> Callable[[Found], None]:
    def change(there: Found) -> None:
        row = there.balance["sources"][0] if where == "source" else there.balance[where] if where else there.balance
        row[name] = value

    return change


def letters(count: dict[str, int]) -> Callable[[Found], None]:
    def change(there: Found) -> None:
        there.letters = count

    return change


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (lose, ("lost", "a2")),
        (store_twice, ("doubled", "a2")),
        (count_twice, ("doubled", "ann")),
        (trait("count", 4), ("doubled", "ann")),
        (swap, ("reordered", "a2")),
        (move, ("reordered", "ann")),
        (invent, ("unsent", "x")),
        (alter, ("altered", "b1")),
        (give_away, ("altered", "b1")),
        (lose_profile, ("profile", "bob")),
        (visit_again, ("profile", "bob")),
        (trait("sum", 310.39), ("profile", "ann")),
        (trait("sum", 310.40000000000003), ("profile", "ann")),
        (trait("sum", None), ("profile", "ann")),
        (trait("count", 2), ("profile", "ann")),
        (trait("first", 300.25), ("profile", "ann")),
        (trait("last", 2), ("profile", "ann")),
        (trait("highest", 10.1), ("profile", "ann")),
        (trait("labels", ["blue", "red"]), ("profile", "ann")),
        (trait("labels", ["red", "blue", "red"]), ("profile", "ann")),
        (letters({}), ("dead", "chaos-bad-1")),
        (letters({"chaos-bad-1": 2}), ("dead", "chaos-bad-1")),
        (letters({"chaos-bad-1": 1, "": 1}), ("dead", "unknown")),
        (sheet("", "balanced", False), ("balance", "all")),
        (sheet("", "verified", {"stored_events": 4, "agrees": False}), ("balance", "all")),
        (sheet("totals", "received", 8), ("balance", "all")),
        (sheet("source", "stored", 4), ("balance", SOURCE)),
        (sheet("source", "dropped", 1), ("balance", SOURCE)),
        (sheet("source", "dead", 0), ("balance", SOURCE)),
        (sheet("source", "received", 5), ("balance", SOURCE)),
    ],
    ids=lambda value: getattr(value, "__name__", None) if callable(value) else "-".join(value),
)
def test_what_is_wrong_is_named(ledger: Ledger, tamper: Callable[[Found], None], expected: tuple[str, str]) -> None:
    there = found()
    tamper(there)
    assert expected in named(ledger, there)


def test_an_answer_that_is_no_answer(ledger: Ledger) -> None:
    ledger.refused["p9"] = "422 bad_time"
    assert named(ledger, found()) == {("refused", "p9")}


def with_a_flow() -> Found:
    """It has run for ann, because of `a2`."""
    there = found()
    flows = Flows("acts", Rule("blue", 0, 1_000), "waits", Rule("grey", 0, 1), "hears", Rule("grey", 0, 1), "told")
    ran = {"id": "r", "flow": "acts", "event": "a2", "profile": "ann", "state": "done", "error": "", "due_at": None}
    change = {"id": "c", "profile": {"id": "ann"}, "properties": {"flow": "acts", "run": "r"}}
    told = {"id": "t", "profile": {"id": "ann"}, "properties": {"because": "a2"}}
    there.flows = flows, Seen({"acts": [ran], "waits": [], "hears": []}, [change], [told])
    there.profiles["ann"]["stats"]["events"] = 5  # type: ignore[index]
    there.profiles["ann"]["traits"].update(acted=1, acted_sum=300.25, acted_last="a2")
    there.balance["totals"].update(received=9, stored=7)
    own = {"source": "@flow", "received": 2, "stored": 2, "duplicate": 0, "dropped": 0, "dead": 0}
    there.balance["sources"].append(own)
    return there


def test_what_flows_do_is_received_stored_and_counted(ledger: Ledger) -> None:
    assert named(ledger, with_a_flow()) == set()
    there = with_a_flow()
    there.balance["sources"][-1]["stored"] = 1
    assert named(ledger, there) == {("balance", "@flow")}
    there = with_a_flow()
    count_twice(there)
    assert named(ledger, there) == {("profile", "ann")}, "what flows send is among the profile's events"
    there = with_a_flow()
    trait("acted", 2)(there)
    assert named(ledger, there) == {("flow", "ann")}


class TestWithoutAPromise:
    """An event that got a 503, or no answer, and was not sent again."""

    @pytest.fixture
    def doubtful(self, ledger: Ledger) -> Ledger:
        ledger.acked.remove("a2")
        ledger.deliveries -= 2
        return ledger

    def test_may_be_stored(self, doubtful: Ledger) -> None:
        assert named(doubtful, found()) == set()
        assert check(doubtful, found()).figures["of_these_stored"] == 1

    def test_may_be_missing(self, doubtful: Ledger) -> None:
        there = found()
        lose(there)
        there.profiles["ann"].update(profile("ann", 2, 10.15, (10.1, 3), 10.1, ["red"]))  # type: ignore[attr-defined]
        there.balance["totals"].update(received=6, stored=4)
        there.balance["sources"][0].update(received=6, stored=4)
        assert named(doubtful, there) == set()

    def test_must_count_if_it_is_stored_and_must_not_if_it_is_missing(self, doubtful: Ledger) -> None:
        there = found()
        there.profiles["ann"].update(profile("ann", 2, 10.15, (10.1, 3), 10.1, ["red"]))  # type: ignore[attr-defined]
        assert ("profile", "ann") in named(doubtful, there)
        there = found()
        lose(there)
        assert ("doubled", "ann") in named(doubtful, there)

    def test_is_stored_once_at_most(self, doubtful: Ledger) -> None:
        there = found()
        store_twice(there)
        assert ("doubled", "a2") in named(doubtful, there)

    def test_may_come_late_and_is_then_the_last(self, doubtful: Ledger) -> None:
        there = found()
        there.events[2]["metadata"]["position"]["offset"] = 30
        there.profiles["ann"]["traits"]["last"] = 2
        assert named(doubtful, there) == set()
        there.profiles["ann"]["traits"]["last"] = 3
        assert named(doubtful, there) == {("profile", "ann")}


def test_a_faulty_message_that_came_twice_is_one_letter_and_dead_twice(ledger: Ledger) -> None:
    there = found()
    there.balance["totals"].update(received=8, dead=2)
    there.balance["sources"][0].update(received=8, dead=2)
    assert named(ledger, there) == set()


def test_a_ledger_is_of_one_run(tmp_path: Path) -> None:
    written(tmp_path / "ledger.jsonl")
    with pytest.raises(FileExistsError):
        Writer(tmp_path / "ledger.jsonl")
