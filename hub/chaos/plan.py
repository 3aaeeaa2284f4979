"""What a run does: its faults and its load, made from a seed. Pure."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from hub.chaos.checker.ledger import Step

PROCESSES: Final = ("api", "collector", "collector-2", "bridges", "agents", "worker", "scheduler", "kafka", "valkey")
"""Of the hub that the kit starts."""
COLLECTORS: Final = ("collector", "collector-2")
TO_KAFKA: Final = ("api", "collector", "collector-2", "bridges", "agents", "worker", "scheduler")
"""Those whose connections to Kafka go through a proxy of their own."""
LINKS: Final = ("load-api", *(f"{name}-kafka" for name in TO_KAFKA))
TO_STORE: Final = ("api", "collector", "collector-2", "agents", "worker", "scheduler")
"""Those whose connections to a search engine go through a proxy of their own."""
STORE: Final = "store"
ALL_LINKS: Final = "all-store"
"""Those of TO_STORE at once."""
STORE_LINKS: Final = (*(f"{name}-store" for name in TO_STORE), ALL_LINKS)
STORE_PARTS: Final = (STORE, "store-events", "store-profiles", "store-batches")
"""What of a search engine may refuse writes: all of the hub's indices, or some of them."""

KINDS: Final = {
    "kill": "SIGKILL",
    "restart": "SIGTERM; the supervisor starts it again",
    "strand": "nothing moves between it and Kafka, then SIGKILL: what it has stored it could not hand on",
    "pause": "SIGSTOP for up to 2 s, then SIGCONT",
    "freeze": "SIGSTOP for longer than the group's session and the delivery timeout, then SIGCONT",
    "clock": "its wall clock jumps, and jumps back",
    "cut": "connections break, and new ones too",
    "stall": "connections stay, nothing moves on them",
    "slow": "every piece is held up, both ways",
    "join": "one more collector, or agents process, joins its group and leaves it: rebalances",
    "full": "the disk is full; of a search engine: its flood stage is reached, its indices are read-only",
    "block": "a search engine refuses writes (index.blocks.write)",
    "refuse": "Kafka refuses writes to events.v1 (an ACL)",
    "command": "a command of yours",
}
"""Every kind of fault."""

DOORS: Final = ("rest", "topic")
HOT_SHARE: Final = 0.25
HOT: Final = "hot"
LABELS: Final = 8
EMAIL_SHARE: Final = 0.125
MOST_IDS: Final = 4
"""Of one person."""


class Options(NamedTuple):
    """`run`: names the run in every id and definition; load of the same name and seed is the same."""

    seed: int
    run: str
    seconds: float
    faults: int
    rate: float = 1.0  # times the usual


class Fault(NamedTuple):
    """`at_s`: seconds from the start of the load, at the earliest; `size`: what it means depends on the kind."""

    number: int
    kind: str
    target: str
    at_s: float
    lasts_s: float
    size: float = 0.0


class Payload(NamedTuple):
    """
    One payload or message.

    Attributes:
        due_s: Seconds from the start of the load.
        impatient: The sender waits for a second only, the first time.
        forsaken: The sender does not send it again if the first attempt fails.
        twice: It is sent once more after it was acknowledged.
        bad: It is no event.
    """

    id: str
    profile: str
    steps: tuple[Step, ...]
    due_s: float
    impatient: bool
    forsaken: bool
    twice: bool
    bad: bool


class Person(NamedTuple):
    """
    Whose a profile id is.

    Attributes:
        addresses: Its e-mail addresses.
        from_s: Seconds from the start of the load, from when on this id sends them.
    """

    addresses: tuple[str, ...]
    from_s: float


def all_faults() -> list[tuple[str, str]]:
    """Every kind with every target that it is made for."""
    return [
        *(("kill", name) for name in PROCESSES),
        *(("restart", name) for name in PROCESSES),
        *(("strand", name) for name in COLLECTORS),
        *(("pause", name) for name in PROCESSES),
        *(("freeze", name) for name in PROCESSES if name != "valkey"),
        *(("clock", name) for name in TO_KAFKA),
        *((kind, link) for kind in ("cut", "stall", "slow") for link in LINKS),
        *(("join", f"{name}-{how}") for name in ("collector", "agents") for how in ("leaves", "is-killed")),
        *(("full", disk) for disk in ("store", "kafka")),
        ("refuse", "kafka"),
    ]


def engine_faults(*, links: bool, process: bool) -> list[tuple[str, str]]:
    """
    The same of a search engine as the hub's store.

    Args: links: whether there are proxies in front of it. process: whether it can be sent signals.
    """
    return [
        *((kind, STORE) for kind in ("kill", "restart", "pause", "freeze") if process),
        *(("block", part) for part in STORE_PARTS),
        ("full", STORE),
        *((kind, link) for kind in ("cut", "stall", "slow") for link in STORE_LINKS if links),
    ]


def faults(seed: int, count: int, seconds: float, *choices: Sequence[tuple[str, str]]) -> list[Fault]:
    """
    `count` faults, spread over the run: every kind comes before one comes again, every target of a kind likewise.

    Args: choices: kinds and targets to draw from; of several in turn.
    """
    rng = random.Random(f"faults {seed}")
    decks = [_deck(rng, choice, count) for choice in choices]
    deck = [fault for turn in zip(*decks, strict=True) for fault in turn]
    begin, end = min(3.0, seconds / 10), seconds * 0.95
    gap = (end - begin) / max(1, count)
    planned = []
    for number, (kind, target) in enumerate(deck[:count], 1):
        at_s = begin + gap * (number - 1 + rng.uniform(0, 0.6))
        planned.append(Fault(number, kind, target, at_s, _lasts(rng, kind), _size(rng, kind, target)))
    return planned


def _deck(rng: random.Random, choice: Sequence[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    deck: list[tuple[str, str]] = []
    while len(deck) < count:
        deck += _shuffled(rng, choice)
    return deck[:count]


def _shuffled(rng: random.Random, choice: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    by_kind: dict[str, list[tuple[str, str]]] = {}
    for fault in choice:
        by_kind.setdefault(fault[0], []).append(fault)
    for targets in by_kind.values():
        rng.shuffle(targets)
    kinds = list(by_kind)
    while kinds:
        rng.shuffle(kinds)
        for kind in kinds:
            yield by_kind[kind].pop()
        kinds = [kind for kind in kinds if by_kind[kind]]


def _lasts(rng: random.Random, kind: str) -> float:
    shortest, longest = {
        "strand": (0.3, 1.5),
        "pause": (0.2, 2.0),
        "freeze": (7.5, 9.0),
        "clock": (2.0, 5.0),
        "cut": (0.1, 3.0),
        "stall": (1.0, 4.0),
        "slow": (2.0, 5.0),
        "join": (2.0, 5.0),
        "full": (2.0, 4.0),
        "block": (2.0, 4.0),
        "refuse": (1.0, 3.0),
    }.get(kind, (0.0, 0.0))
    return round(rng.uniform(shortest, longest), 2)


def _size(rng: random.Random, kind: str, target: str) -> float:
    """Clock: seconds ahead. Slow: seconds that a piece is held."""
    if kind == "clock":
        size = rng.choice((-7200.0, -300.0, -3.0, 3.0, 300.0, 7200.0))
        # after a greater step forward there is, rightly, no heartbeat until the clock is there again
        return min(size, 3.0) if target == "agents" else size
    return round(rng.uniform(0.05, 0.4), 2) if kind == "slow" else 0.0


def people(seed: int, run: str, *, seconds: float, profiles: int) -> dict[str, Person]:
    """
    By profile id, of both doors, the person behind it: one to four ids each, which come out with it at various times.

    A person with two addresses may show them with different ids: then these are two, until one id has sent both.
    """
    rng = random.Random(f"people {seed}")
    whos = [HOT, *(f"{number:03d}" for number in range(profiles))]
    ids = [profile_id(run, door, who) for door in DOORS for who in whos]
    rng.shuffle(ids)
    made: dict[str, Person] = {}
    while ids:
        name = f"person-{len(made)}"
        addresses = tuple(f"{name}{tag}@{run}.example" for tag in ("", ".work")[: rng.randint(1, 2)])
        for id in [ids.pop() for _ in range(min(len(ids), rng.randint(1, MOST_IDS)))]:
            made[id] = Person(addresses, rng.uniform(0, 0.8 * seconds))
    return made


def profile_id(run: str, door: str, who: str) -> str:
    """The door comes last: so an id of either may be the smallest of a person, and survive."""
    return f"chaos-{run}-{who}-{door}"


def spelled(address: str, rng: random.Random) -> str:
    """An address as people write it."""
    written = rng.choice((str.lower, str.upper, str.title))(address)
    return f"{rng.choice(('', ' ', '  '))}{rng.choice(('', '', 'mailto:'))}{written}{rng.choice(('', ' ', chr(9)))}"


def load(seed: int, run: str, door: str, *, rate: float, seconds: float, profiles: int) -> list[Payload]:
    """
    An open loop's payloads, by the time at which they are due.

    Args: run: in every id; so that two runs on one hub share none. door: `rest` (several events a payload, some of them
    sent before) or `topic` (one event a message, some no event). rate: payloads a second.
    """
    rng = random.Random(f"load {seed} {door}")
    persons = people(seed, run, seconds=seconds, profiles=profiles)
    seqs: dict[str, int] = {}
    newest: dict[str, Step] = {}
    planned = []
    for number in range(int(rate * seconds)):
        due_s = (number + rng.random()) / rate
        who = HOT if rng.random() < HOT_SHARE else f"{rng.randrange(profiles):03d}"
        profile = profile_id(run, door, who)
        person = persons[profile]
        bad = door == "topic" and rng.random() < 0.02
        count = 0 if bad else rng.randint(1, 4) if door == "rest" else 1
        steps = []
        for _ in range(count):
            seqs[profile] = seqs.get(profile, 0) + 1
            tells = due_s >= person.from_s and rng.random() < EMAIL_SHARE
            email = spelled(rng.choice(person.addresses), rng) if tells else ""
            steps.append(step(run, profile, seqs[profile], rng, email))
        sent = tuple(steps)
        if door == "rest" and profile in newest and rng.random() < 0.04:
            sent = (newest[profile], *sent)
        if steps:
            newest[profile] = steps[-1]
        planned.append(
            Payload(
                id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run} {door} {number}")),
                profile=profile,
                steps=sent,
                due_s=due_s,
                impatient=rng.random() < 0.2,
                forsaken=not bad and rng.random() < 0.03,
                twice=not bad and rng.random() < 0.04,
                bad=bad,
            )
        )
    return planned


def step(run: str, profile: str, seq: int, rng: random.Random, email: str = "") -> Step:
    """One event. Its id is the same in every run with this name."""
    id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run} {profile} {seq}"))
    return Step(id, profile, seq, rng.randint(1, 100_000), f"label-{rng.randrange(LABELS)}", email)
