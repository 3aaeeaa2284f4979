"""The checker knows who is who, and names a merge that is missing, one too many, or one that is half done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.chaos.checker import ledger as ledgers
from hub.chaos.checker.ledger import Ledger, Step, Writer
from hub.chaos.checker.model import Found, check
from hub.chaos.checker.persons import address, persons
from tests.unit.test_chaos_model import PARTITIONS, SOURCE, event, profile

STEPS = [
    Step("c1", "cas", 6, 1_000, "red", " Ann@T.example"),
    Step("a1", "ann", 1, 250, "blue"),
    Step("b1", "bob", 1, 5, "red"),
    Step("a2", "ann", 2, 3_000, "green", "mailto:ANN@t.EXAMPLE\t"),
    Step("c2", "cas", 7, 40, "grey"),
    Step("d1", "dan", 1, 7, "red", "dan@t.example"),
]
"""Ann and cas are one person; cas' second event, number 7, came when they were one already."""


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> None:
    for id, partition in (("cas", 4), ("dan", 0), ("abe", 3)):
        monkeypatch.setitem(PARTITIONS, id, partition)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    writer = Writer(tmp_path / "ledger.jsonl")
    for step in STEPS:
        writer.sent(f"payload {step.id}", [step])
        writer.acked(f"payload {step.id}")
    writer.close()
    return ledgers.read(tmp_path / "ledger.jsonl")


def found() -> Found:
    """What a hub without fault says: cas became part of ann, whose offsets go on. Dan came without a session."""
    both = profile("ann cas", 4, 42.9, (10.0, 7), 30.0, ["blue", "green", "red", "grey"])
    dan = profile("dan", 1, 0.07, (0.07, 1), 0.07, ["red"])
    dan["stats"]["visits"] = 0
    events = [event(one, 10 + number, "ann" if one.id == "c2" else "") for number, one in enumerate(STEPS)]
    events[5]["session"] = None
    return Found(
        events=events,
        profiles={
            "ann": both,
            "cas": both,
            "bob": profile("bob", 1, 0.05, (0.05, 1), 0.05, ["red"]),
            "dan": dan,
        },
        left=["ann", "bob", "dan"],
        letters={},
        balance={
            "balanced": True,
            "causes": [],
            "totals": {"received": 6, "stored": 6, "duplicate": 0, "dropped": 0, "dead": 0, "in_flight": 0},
            "sources": [{"source": SOURCE, "received": 6, "stored": 6, "duplicate": 0, "dropped": 0, "dead": 0}],
        },
        sources=[SOURCE],
    )


def named(ledger: Ledger, there: Found) -> set[tuple[str, str]]:
    """Kind and subject of each violation."""
    return {(violation.kind, violation.subject) for violation in check(ledger, there).violations}


def test_a_hub_that_merges_as_it_must(ledger: Ledger) -> None:
    verdict = check(ledger, found())
    assert verdict.violations == []
    figures = {name: verdict.figures[name] for name in ("profiles", "persons", "profiles_merged", "merges_wrong")}
    assert figures == {"profiles": 4, "persons": 3, "profiles_merged": 1, "merges_wrong": 0}


@pytest.mark.parametrize(
    "spelling", ["ann@t.example", "  Ann@T.Example\t", "mailto:ANN@T.EXAMPLE", " mailto:ann@t.example"]
)
def test_an_address_has_many_spellings(spelling: str) -> None:
    assert address(spelling) == "ann@t.example"


def test_ids_are_connected_by_others_and_the_smallest_survives() -> None:
    """In whatever order: x and y have no address in common."""
    steps = [
        Step("1", "x", 1, 1, "", "one@t.example"),
        Step("2", "y", 1, 1, "", "two@t.example"),
        Step("3", "z", 1, 1, "", "two@t.example"),
        Step("4", "z", 2, 1, "", "one@t.example"),
        Step("5", "w", 1, 1, ""),
        Step("6", "v", 1, 1, "", "three@t.example"),
    ]
    expected = {"x": "x", "y": "x", "z": "x", "w": "w", "v": "v"}
    assert persons(steps) == persons(reversed(steps)) == expected


def not_merged(there: Found) -> None:
    there.profiles = {
        **there.profiles,
        "ann": profile("ann", 2, 32.5, (2.5, 2), 30.0, ["blue", "green"]),
        "cas": profile("cas", 2, 10.4, (10.0, 7), 10.0, ["red", "grey"]),
    }
    there.left = ["ann", "bob", "cas", "dan"]


def left_behind(there: Found) -> None:
    there.left = ["ann", "bob", "cas", "dan"]


def lost_id(there: Found) -> None:
    there.profiles = {id: one for id, one in there.profiles.items() if id != "cas"}


def one_too_many(there: Found) -> None:
    together = profile("bob dan", 2, 0.12, (0.05, 1), 0.07, ["red"])
    there.profiles = {**there.profiles, "bob": together, "dan": together}
    there.left = ["ann", "bob"]


def wrong_survivor(there: Found) -> None:
    both = {**there.profiles["ann"], "id": "cas"}
    there.profiles = {**there.profiles, "ann": both, "cas": both}
    there.left = ["bob", "cas", "dan"]


def forgotten_id(there: Found) -> None:
    there.profiles["ann"]["ids"].remove("cas")


def unlisted(there: Found) -> None:
    there.left = ["bob", "dan"]


def trait(name: str, value: object) -> Callable[[Found], None]:
    def change(there: Found) -> None:
        there.profiles["ann"]["traits"][name] = value

    change.__name__ = f"{name}-{value}"
    return change


def stat(name: str, value: object) -> Callable[[Found], None]:
    def change(there: Found) -> None:
        there.profiles["ann"]["stats"][name] = value

    change.__name__ = f"{name}-{value}"
    return change


def elsewhere(there: Found) -> None:
    there.events[4]["profile"]["id"] = "bob"
    there.events[4]["metadata"]["position"]["partition"] = PARTITIONS["bob"]


def sender_forgotten(there: Found) -> None:
    del there.events[4]["metadata"]["sent_as"]


def put(there: Found, place: int, one: dict[str, Any]) -> None:
    there.events = [*there.events[:place], one, *there.events[place + 1 :]]


def overtaken(there: Found) -> None:
    """Both of cas' events went to ann, the second one before the first."""
    put(there, 0, event(STEPS[0], 20, "ann"))


def back_again(there: Found) -> None:
    """The first one went to ann, and the second one to cas, who was none any more."""
    put(there, 0, event(STEPS[0], 10, "ann"))
    put(there, 4, event(STEPS[4], 14))


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (not_merged, {("merge", "cas"), ("merge", "ann"), ("profile", "ann")}),
        (left_behind, {("merge", "cas")}),
        (lost_id, {("merge", "cas")}),
        (one_too_many, {("merge", "dan"), ("merge", "bob"), ("profile", "bob"), ("doubled", "bob")}),
        (wrong_survivor, {("merge", "ann"), ("merge", "cas")}),
        (forgotten_id, {("merge", "ann")}),
        (unlisted, {("merge", "ann")}),
        # one side is missing, or is there twice
        (trait("sum", 32.5), {("profile", "ann")}),
        (trait("sum", 52.9), {("profile", "ann")}),
        (trait("count", 2), {("profile", "ann")}),
        (trait("count", 6), {("profile", "ann"), ("doubled", "ann")}),
        (stat("events", 2), {("profile", "ann")}),
        (stat("visits", 1), {("profile", "ann")}),
        (trait("first", 2.5), {("profile", "ann")}),
        (trait("last", 2), {("profile", "ann")}),
        (trait("highest", 10.0), {("profile", "ann")}),
        (trait("labels", ["blue", "green"]), {("profile", "ann")}),
        (trait("labels", ["blue", "green", "red", "grey", "red"]), {("profile", "ann")}),
        (elsewhere, {("altered", "c2")}),
        (sender_forgotten, {("altered", "c2")}),
        (overtaken, {("reordered", "c2")}),
        (back_again, {("reordered", "c2")}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_wrong_is_named(
    ledger: Ledger, tamper: Callable[[Found], None], expected: set[tuple[str, str]]
) -> None:
    there = found()
    tamper(there)
    assert expected <= named(ledger, there)
    assert check(ledger, there).figures["merges_wrong"] == sum(
        violation.kind == "merge" for violation in check(ledger, there).violations
    )


def test_labels_of_two_ids_may_come_in_any_order(ledger: Ledger) -> None:
    there = found()
    trait("labels", ["red", "grey", "blue", "green"])(there)
    assert named(ledger, there) == set()


class TestClocks:
    """Between two ids time decides, as the hub says when it received their events; within one id the log does."""

    def test_the_last_is_of_the_id_with_the_latest_event(self, ledger: Ledger) -> None:
        there = found()
        there.events[3]["metadata"]["time"]["insert"] = "2026-11-25T12:00:59.000Z"
        assert named(ledger, there) == {("profile", "ann")}
        trait("last", 2)(there)
        assert named(ledger, there) == set()
        # the clock was ahead for cas' first event: what cas sends after that is later still
        there.events[0]["metadata"]["time"]["insert"] = "2026-11-25T13:00:00.000Z"
        assert named(ledger, there) == {("profile", "ann")}
        trait("first", 2.5)(there)
        trait("last", 7)(there)
        assert named(ledger, there) == set()

    def test_the_first_is_of_the_id_that_began_earliest(self, ledger: Ledger) -> None:
        there = found()
        there.events[0]["metadata"]["time"]["insert"] = "2026-11-25T12:00:30.000Z"
        trait("first", 2.5)(there)
        assert named(ledger, there) == set()
        trait("first", 10.0)(there)
        assert named(ledger, there) == {("profile", "ann")}

    def test_a_clock_that_went_back_may_make_a_later_event_the_first(self, ledger: Ledger) -> None:
        """It depends on whether ann's second event came before or after the merge."""
        there = found()
        there.events[3]["metadata"]["time"]["insert"] = "2026-11-25T11:00:00.000Z"
        for amount in (10.0, 30.0):
            trait("first", amount)(there)
            assert named(ledger, there) == set()
        for amount in (2.5, 0.4):
            trait("first", amount)(there)
            assert named(ledger, there) == {("profile", "ann")}

    def test_within_one_id_the_first_stays_the_first(self, ledger: Ledger) -> None:
        there = found()
        there.events[4]["metadata"]["time"]["insert"] = "2026-11-25T11:00:00.000Z"
        trait("last", 2)(there)
        assert named(ledger, there) == set()
        trait("first", 0.4)(there)
        assert named(ledger, there) == {("profile", "ann")}


class TestWithoutAPromise:
    """The event that connects ann and cas got a 503, or no answer, and was not sent again."""

    @pytest.fixture
    def doubtful(self, ledger: Ledger) -> Ledger:
        ledger.acked.remove("a2")
        ledger.deliveries -= 1
        return ledger

    def test_it_connects_them_when_it_is_stored(self, doubtful: Ledger) -> None:
        assert named(doubtful, found()) == set()
        there = found()
        not_merged(there)
        assert ("merge", "cas") in named(doubtful, there)

    def test_it_does_not_when_it_is_missing(self, doubtful: Ledger) -> None:
        """Even if the hub has merged them: who is who is decided by events."""
        there = found()
        there.events = [one for one in there.events if one["id"] != "a2"]
        put(there, 3, event(STEPS[4], 14))
        for sums in (there.balance["totals"], there.balance["sources"][0]):
            sums.update(received=5, stored=5)
        assert ("merge", "cas") in named(doubtful, there)
        not_merged(there)
        there.profiles["ann"].update(profile("ann", 1, 2.5, (2.5, 1), 2.5, ["blue"]))  # type: ignore[attr-defined]
        assert named(doubtful, there) == set()

    def test_it_counts_where_the_log_has_it(self, doubtful: Ledger) -> None:
        """Cas' own come before those that were forwarded, whatever their offsets are on two partitions."""
        doubtful.acked.remove("c1")
        doubtful.deliveries -= 1
        there = found()
        put(there, 0, event(STEPS[0], 40, at="2026-11-25T12:00:10.000Z"))
        assert named(doubtful, there) == set()


def test_an_id_of_which_nothing_is_stored_is_nobody(ledger: Ledger) -> None:
    ledger.steps["z1"] = Step("z1", "abe", 1, 1, "red", "ann@t.example")
    assert named(ledger, found()) == set()
