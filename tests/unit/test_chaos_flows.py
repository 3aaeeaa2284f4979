"""The checker says what flows must have done, and names what was not done, or not once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from hub.chaos.checker.flows import Flows, Rule, Seen, check, figures
from hub.chaos.checker.ledger import Step

OURS: Final = Flows(
    acts="acts",
    acts_on=Rule("red", 5, 20),
    waits="waits",
    waits_on=Rule("blue", 0, 20),
    hears="hears",
    hears_on=Rule("green", 0, 20),
    told_type="told",
)
STEPS: Final = [
    Step("a1", "ann", 1, 500, "red"),
    Step("c1", "cas", 1, 1_999, "red"),
    Step("a2", "ann", 2, 499, "red"),
    Step("c2", "cas", 2, 2_000, "red"),
    Step("a3", "ann", 3, 1_000, "blue"),
    Step("c3", "cas", 3, 1, "green"),
    Step("b1", "bob", 1, 700, "green"),
    Step("e1", "eve", 1, 700, "grey"),
]
"""Ann and cas are one person. An amount is too small, one too large."""
PERSON_OF: Final = {"ann": "ann", "cas": "ann", "bob": "bob", "eve": "eve"}


def run(flow: str, event: str, profile: str) -> dict[str, Any]:
    """As GET /flows/{id}/runs lists it."""
    whole = {"id": f"{flow} {event}", "flow": flow, "event": event, "profile": profile}
    return whole | {"state": "done", "error": "", "due_at": None}


def change(run_id: str, profile: str, *nodes: str) -> dict[str, Any]:
    """The event with which a run changes its profile."""
    changes = [{"op": "increment", "field": f"traits.{node}", "value": 1, "node": node} for node in nodes]
    properties = {"flow": run_id.partition(" ")[0], "run": run_id, "changes": changes}
    return {"id": f"changed by {run_id}", "profile": {"id": profile}, "properties": properties}


def told(because: str, profile: str) -> dict[str, Any]:
    """An event that a run has raised."""
    return {"id": f"told of {because}", "profile": {"id": profile}, "properties": {"because": because}}


class Told:
    """What a hub without fault says, to be changed by a test: cas became part of ann after `c1`."""

    def __init__(self) -> None:
        self.runs = {
            "acts": [run("acts", "c1", "cas"), run("acts", "a1", "ann")],
            "waits": [run("waits", "a3", "ann")],
            "hears": [run("hears", "c3", "cas"), run("hears", "b1", "bob")],
        }
        self.changes = [
            change("acts a1", "ann", "acted", "acted_sum"),
            change("acts c1", "cas", "acted", "acted_sum"),
            change("waits a3", "ann", "waited"),
            change("hears c3", "ann", "heard"),
            change("hears b1", "bob", "missed"),
        ]
        self.told = [told("a1", "ann"), told("c1", "ann")]
        traits = {"acted": 2, "acted_sum": 24.99, "acted_last": "c1", "waited": 1, "heard": 1}
        self.traits: dict[str, dict[str, Any]] = {"ann": traits, "bob": {"missed": 1}, "eve": {}}

    def seen(self) -> Seen:
        return Seen(self.runs, self.changes, self.told)

    def wrong(self) -> set[str]:
        """Subjects of the violations."""
        profiles = {id: {"traits": traits} for id, traits in self.traits.items()}
        found = list(check(OURS, self.seen(), stored=STEPS, profiles=profiles, person_of=PERSON_OF))
        assert all(one.kind == "flow" for one in found)
        return {one.subject for one in found}


def test_a_hub_without_fault() -> None:
    hub = Told()
    assert hub.wrong() == set()
    assert figures(hub.seen()) == {
        "flow_runs": 5,
        "flow_changes": 5,
        "events_raised": 2,
        "pauses_ended_by_an_event": 1,
        "pauses_without_an_event": 1,
    }
    assert OURS.events(STEPS) == 7


def test_either_of_two_runs_may_be_the_last() -> None:
    hub = Told()
    hub.traits["ann"]["acted_last"] = "a1"
    assert hub.wrong() == set()


def no_run(hub: Told) -> None:
    del hub.runs["waits"][0], hub.changes[2]


def two_runs(hub: Told) -> None:
    """Of two versions."""
    hub.runs["acts"].append(run("acts", "a1", "ann") | {"id": "another"})
    hub.changes.append(change("another", "ann", "acted"))


def run_of_what_lets_none_run(hub: Told) -> None:
    hub.runs["acts"].append(run("acts", "c2", "cas"))
    hub.changes.append(change("acts c2", "cas", "acted"))


def run_of_another_person(hub: Told) -> None:
    hub.runs["waits"] = [run("waits", "a3", "bob")]


def paused_for_ever(hub: Told) -> None:
    hub.runs["waits"][0] |= {"state": "paused", "due_at": "2026-11-26T12:00:00.000Z"}


def failed(hub: Told) -> None:
    hub.runs["acts"][1] |= {"state": "failed", "error": "count: no number"}


def change_is_missing(hub: Told) -> None:
    del hub.changes[0]


def changed_twice(hub: Told) -> None:
    hub.changes.append(hub.changes[0])


def changed_by_nobody(hub: Told) -> None:
    hub.changes.append(change("acts zz", "ann", "acted"))


def changed_another(hub: Told) -> None:
    hub.changes[2] = change("waits a3", "bob", "waited")


def not_told(hub: Told) -> None:
    del hub.told[0]


def told_twice(hub: Told) -> None:
    hub.told.append(hub.told[0])


def told_of_what_lets_none_run(hub: Told) -> None:
    hub.told.append(told("a2", "ann"))


def told_another(hub: Told) -> None:
    hub.told[0] = told("a1", "bob")


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        (no_run, "a3"),
        (two_runs, "a1"),
        (run_of_what_lets_none_run, "c2"),
        (run_of_another_person, "a3"),
        (paused_for_ever, "a3"),
        (failed, "a1"),
        (change_is_missing, "a1"),
        (changed_twice, "a1"),
        (changed_by_nobody, "acts zz"),
        (changed_another, "a3"),
        (not_told, "a1"),
        (told_twice, "a1"),
        (told_of_what_lets_none_run, "a2"),
        (told_another, "a1"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[Told], None], subject: str) -> None:
    hub = Told()
    change(hub)
    assert hub.wrong() == {subject}


@pytest.mark.parametrize(
    ("person", "trait", "value"),
    [
        ("ann", "acted", 3),
        ("ann", "acted", 1),
        ("ann", "acted_sum", 30.0),
        ("ann", "acted_last", "a3"),
        ("ann", "waited", 2),
        ("ann", "heard", 0),
        ("ann", "missed", 1),
        ("bob", "missed", None),
        ("bob", "heard", 1),
        ("eve", "acted", 1),
        ("eve", "acted_last", "a1"),
    ],
)
def test_a_field_that_runs_have_not_made(person: str, trait: str, value: object) -> None:
    hub = Told()
    hub.traits[person][trait] = value
    assert hub.wrong() == {person}
