"""The model: what the hub must have, given what was sent; every difference is a violation. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from hub.chaos.checker.ledger import Ledger, Step

KINDS: Final = {
    "refused": "a payload without fault got another answer than 2xx or 5xx",
    "lost": "acknowledged, but not stored",
    "doubled": "stored twice, or counted twice in its profile",
    "reordered": "stored before an event of the same profile that was acknowledged before it was sent",
    "unsent": "stored, but nobody has sent it",
    "altered": "stored with other content than was sent",
    "profile": "a field of a profile is not what its events make",
    "dead": "a message without fault is a dead letter, or a faulty one is none or several",
    "balance": "the balance sheet does not add up, or says other than the ledger",
    "down": "a process did not come back after a fault",
}
"""Every kind of violation, and what it means."""


class Violation(NamedTuple):
    """One broken promise. `kind`: of KINDS; `subject`: an event, a profile, a payload, a source."""

    kind: str
    subject: str
    detail: str


@dataclass
class Found:
    """
    What the hub's REST interface says once it has come to rest.

    Attributes:
        events: Documents of our sources, as GET /events lists them: twice if they are stored twice.
        profiles: Documents by the id that was asked for.
        letters: By mark, how many dead letters hold it; those that hold none are under "".
        balance: GET /balance?verify=true.
        sources: Ours.
    """

    events: Sequence[Mapping[str, Any]]
    profiles: Mapping[str, Mapping[str, Any]]
    letters: Mapping[str, int]
    balance: Mapping[str, Any]
    sources: Sequence[str]


@dataclass
class Verdict:
    """What the checker has to say. `figures`: how much there was to check."""

    violations: list[Violation] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Violations of each kind, the ones that there are none of too."""
        counted = Counter(violation.kind for violation in self.violations)
        return {kind: counted[kind] for kind in KINDS}


def check(ledger: Ledger, found: Found, persons: Mapping[str, str] | None = None) -> Verdict:
    """
    Compare.

    Args: persons: by profile id, the id that all ids of this person end up as; nothing for one that stays itself. Order
    is promised for each id that was sent, fields for the person.
    """
    persons = persons or {}
    stored = _by_id(found.events)
    violations = [
        *(Violation("refused", payload, why) for payload, why in ledger.refused.items()),
        *_presence(ledger, stored),
        *_order(ledger, stored),
        *_profiles(ledger, stored, found.profiles, persons),
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
        "faulty_messages": len(ledger.bad),
    }
    return Verdict(violations, figures)


def _by_id(events: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    stored: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        stored[event["id"]].append(event)
    return dict(stored)


def _presence(ledger: Ledger, stored: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[Violation]:
    for id, step in ledger.steps.items():
        copies = stored.get(id, [])
        if not copies and id in ledger.acked:
            yield Violation("lost", id, f"number {step.seq} of {step.profile} was acknowledged and is not stored")
        if len(copies) > 1:
            yield Violation("doubled", id, f"number {step.seq} of {step.profile} is stored {len(copies)} times")
        for copy in copies[:1]:
            sent = {"seq": step.seq, "amount": step.cents / 100, "label": step.label, "one": 1}
            profile = (copy["profile"] or {}).get("id")
            if copy["properties"] != sent or profile != step.profile:
                yield Violation(
                    "altered", id, f"sent {sent} of {step.profile}, found {copy['properties']} of {profile}"
                )
    for id in stored.keys() - ledger.steps.keys():
        yield Violation("unsent", id, f"is stored, with {stored[id][0]['properties']}")


def _order(ledger: Ledger, stored: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[Violation]:
    """
    By the place on the log. Only what was acknowledged has an order: the next payload of its profile was sent after
    that, and not before.
    """
    newest: dict[str, tuple[tuple[int, ...], int]] = {}
    for id, step in ledger.steps.items():
        if id not in ledger.acked or id not in stored:
            continue
        place = _place(stored[id][0])
        before, seq = newest.get(step.profile, (place, 0))
        if place < before:
            detail = f"number {step.seq} of {step.profile} is at {place}, before number {seq} at {before}"
            yield Violation("reordered", id, detail)
        else:
            newest[step.profile] = (place, step.seq)
    partitions: dict[str, set[int]] = defaultdict(set)
    for id, step in ledger.steps.items():
        if id in stored:
            partitions[step.profile].add(_place(stored[id][0])[1])
    for profile, numbers in partitions.items():
        if len(numbers) > 1:
            yield Violation("reordered", profile, f"its events lie on several partitions: {sorted(numbers)}")


def _place(event: Mapping[str, Any]) -> tuple[int, ...]:
    position = event["metadata"]["position"]
    # the epoch first, then the partition: of one profile it is always the same
    return position["epoch"], position["partition"], position["offset"], position["place"]


def _profiles(
    ledger: Ledger,
    stored: Mapping[str, list[Mapping[str, Any]]],
    profiles: Mapping[str, Mapping[str, Any]],
    persons: Mapping[str, str],
) -> Iterator[Violation]:
    of_person: dict[str, list[Step]] = defaultdict(list)
    for id, step in ledger.steps.items():
        if id in ledger.acked or id in stored:
            of_person[persons.get(step.profile, step.profile)].append(step)
    for person, steps in of_person.items():
        profile = profiles.get(person)
        if profile is None:
            yield Violation("profile", person, f"is not there, and has {len(steps)} events")
            continue
        yield from _fields(person, profile, _in_order(steps, ledger, stored))


def _in_order(steps: Sequence[Step], ledger: Ledger, stored: Mapping[str, list[Mapping[str, Any]]]) -> list[Step]:
    """As the model applies them: as sent. What has no promise may come at any time: only the log knows when."""
    if all(step.id in ledger.acked for step in steps) and len({step.profile for step in steps}) == 1:
        return list(steps)
    return sorted((step for step in steps if step.id in stored), key=lambda step: _place(stored[step.id][0]))


def _fields(person: str, profile: Mapping[str, Any], steps: Sequence[Step]) -> Iterator[Violation]:
    traits = profile.get("traits", {})
    cents = sum(step.cents for step in steps)
    labels = list(dict.fromkeys(step.label for step in steps))
    events, count = profile["stats"]["events"], traits.get("count")
    if events > len(steps) or (isinstance(count, int) and count > len(steps)):
        yield Violation("doubled", person, f"counts {events} and {count} events, and has {len(steps)}")
    expected = {
        "stats.events": (len(steps), events),
        "traits.count": (len(steps), count),
        "traits.sum": (Decimal(cents) / 100, _decimal(traits.get("sum"))),
        "traits.last": (steps[-1].seq if steps else None, traits.get("last")),
        "traits.highest": (Decimal(max((s.cents for s in steps), default=0)) / 100, _decimal(traits.get("highest"))),
        "traits.labels": (labels, traits.get("labels")),
    }
    for name, (wanted, there) in expected.items():
        if wanted != there:
            yield Violation("profile", person, f"{name} is {there}, and must be {wanted}")


def _decimal(value: object) -> Decimal | None:
    # by way of the shortest text that means the number, as JSON has it
    return Decimal(repr(value)) if isinstance(value, int | float) else None


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
    if ours["received"] < ledger.deliveries:
        detail = f"received {ours['received']}, but {ledger.deliveries} were acknowledged"
        yield Violation("balance", subject, detail)
