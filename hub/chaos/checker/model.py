"""The model: what the hub must have, given what was sent; every difference is a violation. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.chaos.checker import flows, heartbeats, segments
from hub.chaos.checker.documents import holder, place, sender
from hub.chaos.checker.fields import Applied, has, must_have
from hub.chaos.checker.flows import Flows
from hub.chaos.checker.heartbeats import Heartbeat
from hub.chaos.checker.ledger import Ledger, Step
from hub.chaos.checker.persons import persons
from hub.chaos.checker.segments import Segments
from hub.chaos.checker.violations import KINDS, Violation


@dataclass
class Found:
    """
    What the hub's REST interface says once it has come to rest.

    Attributes:
        events: Documents of our sources, as GET /events lists them: twice if they are stored twice.
        profiles: Documents by the id that was asked for, which is that of any profile that was merged, too.
        left: Ids, of those that were asked for, that have a document of their own.
        letters: By mark, how many dead letters hold it; those that hold none are under "".
        balance: GET /balance?verify=true.
        sources: Ours.
        segments: Ours, and what the hub says of them; None: there are none.
        heartbeat: Ours, and its events; None: there is none.
        flows: Ours, their runs, and what they have done; None: there are none.
    """

    events: Sequence[Mapping[str, Any]]
    profiles: Mapping[str, Mapping[str, Any]]
    left: Sequence[str]
    letters: Mapping[str, int]
    balance: Mapping[str, Any]
    sources: Sequence[str]
    segments: tuple[Segments, segments.Seen] | None = None
    heartbeat: Heartbeat | None = None
    flows: tuple[Flows, flows.Seen] | None = None


@dataclass
class Verdict:
    """What the checker has to say. `figures`: how much there was to check."""

    violations: list[Violation] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Violations of each kind, the ones that there are none of too."""
        counted = Counter(violation.kind for violation in self.violations)
        return {kind: counted[kind] for kind in KINDS}


def check(ledger: Ledger, found: Found) -> Verdict:
    """
    Compare. Who is who is decided by the events that are stored or must be: one without a promise connects two profiles
    when it is there, and not because they were merged. Order is promised for each id sent, fields for a person.
    """
    stored = _by_id(found.events)
    kept = [step for id, step in ledger.steps.items() if id in ledger.acked or id in stored]
    person_of = persons(kept)
    merges = list(_merges(found, person_of))
    violations = [
        *(Violation("refused", payload, why) for payload, why in ledger.refused.items()),
        *_presence(ledger, stored, person_of),
        *_order(ledger, stored),
        *merges,
        *_profiles(kept, ledger.acked, stored, found, person_of),
        *_segments(kept, stored, found, person_of),
        *(() if found.heartbeat is None else heartbeats.check(found.heartbeat, person_of)),
        *_flows(kept, stored, found, person_of),
        *_dead(ledger, found.letters),
        *_balance(ledger, found, stored),
    ]
    unknown = ledger.steps.keys() - ledger.acked
    figures = {
        "events_sent": len(ledger.steps),
        "events_acknowledged": len(ledger.acked),
        "events_without_a_promise": len(unknown),
        "of_these_stored": len(unknown & stored.keys()),
        "events_stored": len(stored),
        "events_acknowledged_again": ledger.deliveries - len(ledger.acked),
        "profiles": len({step.profile for step in ledger.steps.values()}),
        "persons": len(set(person_of.values())),
        "profiles_merged": sum(profile["id"] != id for id, profile in found.profiles.items()),
        "merges_wrong": len(merges),
        "faulty_messages": len(ledger.bad),
        **({} if found.segments is None else segments.figures(*found.segments)),
        **({} if found.heartbeat is None else heartbeats.figures(found.heartbeat)),
        **({} if found.flows is None else flows.figures(found.flows[1])),
    }
    return Verdict(violations, figures)


def _by_id(events: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    stored: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        stored[event["id"]].append(event)
    return dict(stored)


def _presence(
    ledger: Ledger, stored: Mapping[str, list[Mapping[str, Any]]], person_of: Mapping[str, str]
) -> Iterator[Violation]:
    for id, step in ledger.steps.items():
        copies = stored.get(id, [])
        if not copies and id in ledger.acked:
            yield Violation("lost", id, f"number {step.seq} of {step.profile} was acknowledged and is not stored")
        if len(copies) > 1:
            yield Violation("doubled", id, f"number {step.seq} of {step.profile} is stored {len(copies)} times")
        for copy in copies[:1]:
            sent = {"seq": step.seq, "amount": step.cents / 100, "label": step.label, "one": 1}
            if step.email:
                sent["email"] = step.email
            whose, where = sender(copy), holder(copy)
            if copy["properties"] != sent or whose != step.profile:
                yield Violation("altered", id, f"sent {sent} of {step.profile}, found {copy['properties']} of {whose}")
            elif person_of.get(where) != person_of[step.profile]:
                yield Violation("altered", id, f"was sent for {step.profile}, and is with {where}, another person")
    for id in stored.keys() - ledger.steps.keys():
        yield Violation("unsent", id, f"is stored, with {stored[id][0]['properties']}")


def _order(ledger: Ledger, stored: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[Violation]:
    """
    By the place on the log. Only what was acknowledged has an order: the next payload of its profile was sent after
    that, and not before.

    A profile that was merged goes on in another one, which has a smaller id: there its events have other places, all of
    them after those that it has got as itself.
    """
    newest: dict[str, tuple[Mapping[str, Any], int]] = {}
    partitions: dict[str, set[int]] = defaultdict(set)
    for id, step in ledger.steps.items():
        if id not in stored:
            continue
        event = stored[id][0]
        partitions[holder(event)].add(place(event)[1])
        if id not in ledger.acked:
            continue
        before, seq = newest.get(step.profile, (event, 0))
        if holder(event) > holder(before) or (holder(event) == holder(before) and place(event) < place(before)):
            here, there = (f"{place(one)} of {holder(one)}" for one in (event, before))
            yield Violation(
                "reordered", id, f"number {step.seq} of {step.profile} is at {here}, number {seq} at {there}"
            )
        else:
            newest[step.profile] = event, step.seq
    for profile, numbers in partitions.items():
        if len(numbers) > 1:
            yield Violation("reordered", profile, f"its events lie on several partitions: {sorted(numbers)}")


def _merges(found: Found, person_of: Mapping[str, str]) -> Iterator[Violation]:
    """One profile a person, with the smallest of its ids, and every one of its ids answers with it."""
    ids_of: dict[str, set[str]] = defaultdict(set)
    for id, person in person_of.items():
        ids_of[person].add(id)
        profile = found.profiles.get(id)
        if profile is None and id != person:
            yield Violation("merge", id, f"answers with no profile, and is part of {person}")
        elif profile is not None and profile["id"] != person:
            yield Violation("merge", id, f"answers with {profile['id']}, and is part of {person}")
        elif id in found.left and id != person:
            yield Violation("merge", id, f"still has a profile of its own, and is part of {person}")
    for person, ids in ids_of.items():
        profile = found.profiles.get(person)
        if profile is not None and sorted(profile["ids"]) != sorted(ids):
            yield Violation("merge", person, f"says that its ids are {profile['ids']}, and they are {sorted(ids)}")
        if profile is not None and person not in found.left:
            yield Violation("merge", person, "is found by its id alone, and not by a search")


def _profiles(
    kept: Iterable[Step],
    acked: Container[str],
    stored: Mapping[str, list[Mapping[str, Any]]],
    found: Found,
    person_of: Mapping[str, str],
) -> Iterator[Violation]:
    others: Counter[str] = Counter()
    for event in (
        *(() if found.heartbeat is None else found.heartbeat.events),
        *(() if found.flows is None else found.flows[1].events),
    ):
        others[person_of.get(holder(event), "")] += 1
    of_person: dict[str, dict[str, list[Step]]] = defaultdict(lambda: defaultdict(list))
    for step in kept:
        of_person[person_of[step.profile]][step.profile].append(step)
    for person, ids in of_person.items():
        profile = found.profiles.get(person)
        sent_as = {id: _in_order(steps, acked, stored) for id, steps in ids.items()}
        if profile is None:
            yield Violation("profile", person, f"is not there, and has {sum(map(len, sent_as.values()))} events")
            continue
        yield from _fields(person, profile, sent_as, others[person])


def _segments(
    kept: Iterable[Step],
    stored: Mapping[str, list[Mapping[str, Any]]],
    found: Found,
    person_of: Mapping[str, str],
) -> Iterator[Violation]:
    if found.segments is not None:
        ours, seen = found.segments
        yield from segments.check(ours, seen, kept=kept, stored=stored, profiles=found.profiles, person_of=person_of)


def _flows(
    kept: Iterable[Step],
    stored: Mapping[str, list[Mapping[str, Any]]],
    found: Found,
    person_of: Mapping[str, str],
) -> Iterator[Violation]:
    if found.flows is not None:
        ours, seen = found.flows
        there = [step for step in kept if step.id in stored]
        yield from flows.check(ours, seen, stored=there, profiles=found.profiles, person_of=person_of)


def _in_order(
    steps: Sequence[Step], acked: Container[str], stored: Mapping[str, list[Mapping[str, Any]]]
) -> list[Applied]:
    """Those of one id, as sent. But what has no promise may come at any time: then only the log knows when."""
    if not all(step.id in acked for step in steps):
        steps = sorted((step for step in steps if step.id in stored), key=lambda step: place(stored[step.id][0]))
        # a profile goes on in smaller ones; what it has got before stays in front
        steps = sorted(steps, key=lambda step: holder(stored[step.id][0]), reverse=True)
    return [Applied(step, *_when(stored.get(step.id, []))) for step in steps]


def _when(copies: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Time and session of an event; of one that is missing there are none."""
    for event in copies:
        time = event["metadata"]["time"]
        return time["create"] or time["insert"], (event["session"] or {}).get("id") or ""
    return "", ""


def _fields(
    person: str, profile: Mapping[str, Any], sent_as: Mapping[str, Sequence[Applied]], others: int
) -> Iterator[Violation]:
    ids = {id: events for id, events in sent_as.items() if events}
    values, allowed = has(profile, several=len(ids) > 1), must_have(ids, others)
    for name in ("stats.events", "traits.count"):
        number, must = values[name], allowed[name][0]
        if isinstance(number, int) and number > must:
            yield Violation("doubled", person, f"{name} is {number}, and it has {must} events")
    for name, value in values.items():
        if value not in allowed[name]:
            yield Violation("profile", person, f"{name} is {value}, and must be {' or '.join(map(str, allowed[name]))}")


def _dead(ledger: Ledger, letters: Mapping[str, int]) -> Iterator[Violation]:
    for mark, acked in ledger.bad.items():
        count = letters.get(mark, 0)
        if count > 1 or (acked and count == 0):
            yield Violation("dead", mark, f"a faulty message is {count} dead letters")
    for mark in letters.keys() - ledger.bad.keys():
        yield Violation("dead", mark or "unknown", f"{letters[mark]} dead letters of messages without fault")


def _balance(ledger: Ledger, found: Found, stored: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[Violation]:
    sheet = found.balance
    if not sheet["balanced"]:
        yield Violation("balance", "all", "; ".join(sheet["causes"]) or "not balanced, without a cause")
    if not sheet.get("verified", {}).get("agrees", True):
        yield Violation("balance", "all", f"the store has other than was counted: {sheet['verified']}")
    totals = sheet["totals"]
    accounted = sum(totals[name] for name in ("stored", "duplicate", "dropped", "dead", "in_flight"))
    if totals["received"] != accounted:
        yield Violation("balance", "all", f"received {totals['received']}, accounted for {accounted}: {totals}")
    ours: Counter[str] = Counter()
    for row in sheet["sources"]:
        if row["source"] in found.sources:
            ours.update({name: number for name, number in row.items() if name != "source"})
    subject = ", ".join(found.sources)
    for name, wanted in (("stored", len(stored)), ("dropped", 0)):
        if ours[name] != wanted:
            yield Violation("balance", subject, f"{name}: {ours[name]}, and must be {wanted}")
    letters = sum(found.letters.values())
    # a faulty message that a killed bridge has handed over twice is one letter, and dead twice
    if ours["dead"] < letters or (ours["dead"] and not letters):
        yield Violation("balance", subject, f"dead: {ours['dead']}, and there are {letters} dead letters")
    if found.flows is not None:
        yield from _balance_of_flows(sheet, len(found.flows[1].events))
    if ours["received"] < ledger.deliveries:
        detail = f"received {ours['received']}, but {ledger.deliveries} were acknowledged"
        yield Violation("balance", subject, detail)


def _balance_of_flows(sheet: Mapping[str, Any], events: int) -> Iterator[Violation]:
    """What flows do is received and stored as what is sent. There may be flows of others."""
    counted: Counter[str] = Counter()
    for row in sheet["sources"]:
        if row["source"] == flows.SOURCE:
            counted.update({name: number for name, number in row.items() if name != "source"})
    if counted["stored"] < events or counted["received"] < counted["stored"]:
        detail = f"received {counted['received']}, stored {counted['stored']}, and there are {events} events of ours"
        yield Violation("balance", flows.SOURCE, detail)
