"""Each event that lets a flow run has had one run, to its end; and all that a run does was done once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from hub.chaos.checker.documents import holder
from hub.chaos.checker.fields import decimal
from hub.chaos.checker.ledger import Step
from hub.chaos.checker.violations import Violation

SOURCE: Final = "@flow"
HEARD: Final = "heard"
MISSED: Final = "missed"
"""Nodes behind the pause that an event ends, and behind the same when none came: what they add to has their name."""


class Rule(NamedTuple):
    """Which events let a flow run: those with the label and an amount of `least` at least and less than `below`."""

    label: str
    least: int
    below: int

    def lets(self, step: Step) -> bool:
        """Whether an event does."""
        return step.label == self.label and self.least * 100 <= step.cents < self.below * 100


class Flows(NamedTuple):
    """
    What the kit has defined: three flows, by their ids, and what lets them run.

    Attributes:
        acts: Adds 1 to `traits.acted` and the event's amount to `traits.acted_sum`, sets `traits.acted_last` to the
            event's id, and raises an event that names the event. It is another version from mid-run on.
        waits: Adds 1 to `traits.waited`, after a while.
        hears: Adds 1 to `traits.heard` when the profile has an event that `acts` raises, or to `traits.missed` when it
            has none for a while.
        told_type: Of the events that are raised.
    """

    acts: str
    acts_on: Rule
    waits: str
    waits_on: Rule
    hears: str
    hears_on: Rule
    told_type: str

    @property
    def rules(self) -> dict[str, Rule]:
        """By the id of the flow."""
        return {self.acts: self.acts_on, self.waits: self.waits_on, self.hears: self.hears_on}

    def events(self, steps: Iterable[Step]) -> int:
        """How many events come of these: one for what changes the profile, one that is raised."""
        rules = (*self.rules.values(), self.acts_on)
        return sum(rule.lets(step) for step in steps for rule in rules)


class Seen(NamedTuple):
    """
    What the hub says of them.

    Attributes:
        runs: By flow, as GET /flows/{id}/runs lists them.
        changes: Documents of the events with which runs change profiles.
        told: Documents of the events that runs raise.
    """

    runs: Mapping[str, Sequence[Mapping[str, Any]]]
    changes: Sequence[Mapping[str, Any]]
    told: Sequence[Mapping[str, Any]]

    @property
    def events(self) -> Sequence[Mapping[str, Any]]:
        """All documents."""
        return [*self.changes, *self.told]


def check(
    flows: Flows,
    seen: Seen,
    *,
    stored: Collection[Step],
    profiles: Mapping[str, Mapping[str, Any]],
    person_of: Mapping[str, str],
) -> Iterator[Violation]:
    """Args: stored: what is. profiles: documents by any id. person_of: by profile id, the smallest of its person."""
    yield from _runs(flows, seen, stored, person_of)
    yield from _changes(seen, person_of)
    yield from _told(flows, seen.told, stored, person_of)
    yield from _fields(flows, seen.changes, stored, profiles, person_of)


def figures(seen: Seen) -> dict[str, int]:
    """How much there was to check."""
    nodes = Counter(_nodes(seen.changes))
    return {
        "flow_runs": sum(map(len, seen.runs.values())),
        "flow_changes": len(seen.changes),
        "events_raised": len(seen.told),
        "pauses_ended_by_an_event": nodes[HEARD],
        "pauses_without_an_event": nodes[MISSED],
    }


def _runs(flows: Flows, seen: Seen, stored: Collection[Step], person_of: Mapping[str, str]) -> Iterator[Violation]:
    for flow, rule in flows.rules.items():
        must = {step.id: step for step in stored if rule.lets(step)}
        ran = Counter(run["event"] for run in seen.runs[flow])
        for id in must.keys() - ran.keys():
            yield Violation("flow", id, f"lets {flow} run, and it has not")
        for run in seen.runs[flow]:
            id, whose = run["event"], run["profile"]
            if id not in must:
                yield Violation("flow", str(id), f"lets {flow} not run, and it has: {run['id']}")
                continue
            if ran[id] > 1:
                yield Violation("flow", id, f"{flow} has run {ran[id]} times because of it: {run['id']} is one")
            if person_of.get(whose) != person_of[must[id].profile]:
                yield Violation("flow", id, f"run {run['id']} of {flow} is about {whose}, another person")
            if run["state"] != "done":
                why = run["error"] or (f"until {run['due_at']}" if run["due_at"] else "")
                yield Violation("flow", id, f"run {run['id']} of {flow} is {run['state']} {why}".rstrip())


def _changes(seen: Seen, person_of: Mapping[str, str]) -> Iterator[Violation]:
    """Each of our runs changes its profile once."""
    every = {run["id"]: run for runs in seen.runs.values() for run in runs}
    made = Counter(change["properties"]["run"] for change in seen.changes)
    for id in made.keys() - every.keys():
        yield Violation("flow", id, "has changed a profile, and is no run")
    for id, run in every.items():
        if run["state"] == "done" and made[id] != 1:
            yield Violation("flow", run["event"], f"run {id} of {run['flow']} has changed the profile {made[id]} times")
    for change in seen.changes:
        here = every.get(change["properties"]["run"])
        if here is not None and person_of.get(holder(change)) != person_of.get(here["profile"]):
            yield Violation("flow", here["event"], f"run {here['id']} has changed {holder(change)}, another person")


def _told(
    flows: Flows, told: Sequence[Mapping[str, Any]], stored: Collection[Step], person_of: Mapping[str, str]
) -> Iterator[Violation]:
    """Each event that `acts` is for is named by one that was raised."""
    must = {step.id: step for step in stored if flows.acts_on.lets(step)}
    raised = Counter(event["properties"]["because"] for event in told)
    for id in must.keys() | raised.keys():
        wanted = 1 if id in must else 0
        if raised[id] != wanted:
            yield Violation("flow", id, f"is named by {raised[id]} events that were raised, and not by {wanted}")
    for event in told:
        step = must.get(event["properties"]["because"])
        if step is not None and person_of.get(holder(event)) != person_of[step.profile]:
            yield Violation("flow", step.id, f"event {event['id']} was raised for {holder(event)}, another person")


def _fields(
    flows: Flows,
    changes: Sequence[Mapping[str, Any]],
    stored: Collection[Step],
    profiles: Mapping[str, Mapping[str, Any]],
    person_of: Mapping[str, str],
) -> Iterator[Violation]:
    steps_of: dict[str, list[Step]] = defaultdict(list)
    for step in stored:
        steps_of[person_of[step.profile]].append(step)
    behind: dict[str, Counter[str]] = defaultdict(Counter)
    for change in changes:
        behind[person_of.get(holder(change), "")].update(_nodes([change]))
    for person, steps in steps_of.items():
        traits = profiles.get(person, {}).get("traits", {})
        acted, waited, heard = ([step for step in steps if rule.lets(step)] for rule in flows.rules.values())
        must = {
            "acted": Decimal(len(acted)),
            "acted_sum": Decimal(sum(step.cents for step in acted)) / 100,
            "waited": Decimal(len(waited)),
            HEARD: Decimal(behind[person][HEARD]),
            MISSED: Decimal(len(heard) - behind[person][HEARD]),
        }
        for name, number in must.items():
            value = traits.get(name)
            if decimal(value or 0) != number:
                yield Violation("flow", person, f"traits.{name} is {value}, and must be {number}")
        # which of them was the last, where runs of several events were under way at once, nobody has promised
        last = traits.get("acted_last")
        if (last is None) is bool(acted) or last not in (None, *(step.id for step in acted)):
            yield Violation(
                "flow", person, f"traits.acted_last is {last}, and {flows.acts} has run for {len(acted)} others"
            )


def _nodes(changes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Nodes that changes were made by."""
    for change in changes:
        for one in change["properties"].get("changes", ()):
            yield one.get("node", "")
