"""The plan of a chaos run: the same for the same seed, and everything has its turn."""

from __future__ import annotations

from collections import Counter

import pytest

from hub.chaos.checker.persons import address, persons
from hub.chaos.plan import DOORS, KINDS, LINKS, MOST_IDS, PROCESSES, all_faults, faults, load, people

DEFAULT = 80
"""How many faults `hub chaos` does unless it is told otherwise."""


def test_the_same_seed_makes_the_same_run() -> None:
    assert faults(7, 50, 300, all_faults()) == faults(7, 50, 300, all_faults())
    assert faults(7, 50, 300, all_faults()) != faults(8, 50, 300, all_faults())
    one = load(7, "s7", "rest", rate=40, seconds=20, profiles=40)
    assert one == load(7, "s7", "rest", rate=40, seconds=20, profiles=40)
    assert one != load(8, "s7", "rest", rate=40, seconds=20, profiles=40)


@pytest.mark.parametrize("seed", range(5))
def test_every_fault_comes_before_one_comes_again(seed: int) -> None:
    planned = faults(seed, DEFAULT, 300, all_faults())
    assert {(fault.kind, fault.target) for fault in planned} == set(all_faults())
    assert [fault.at_s for fault in planned] == sorted(fault.at_s for fault in planned)
    assert planned[0].at_s > 0
    assert planned[-1].at_s < 300


def test_every_kind_every_process_and_every_link_is_in_it() -> None:
    assert {kind for kind, _ in all_faults()} == KINDS.keys() - {"command"}
    assert {target for _, target in all_faults()} >= {*PROCESSES, *LINKS}
    short = faults(3, 12, 30, all_faults())
    assert {fault.kind for fault in short} == KINDS.keys() - {"command"}
    assert faults(3, 0, 30, all_faults()) == [], "load alone can be had too"


def test_what_is_sent() -> None:
    planned = load(1, "s1", "rest", rate=100, seconds=60, profiles=40)
    profiles = Counter(payload.profile for payload in planned)
    assert profiles.most_common(1)[0][0] == "chaos-s1-hot-rest"
    assert profiles["chaos-s1-hot-rest"] > 5 * sorted(profiles.values())[-2]
    for name in profiles:
        seqs = [step.seq for payload in planned if payload.profile == name for step in payload.steps]
        assert set(seqs) == set(range(1, max(seqs) + 1))
    assert any(payload.twice for payload in planned)
    assert any(payload.forsaken for payload in planned)
    ids = Counter(step.id for payload in planned for step in payload.steps)
    assert max(ids.values()) > 1, "no event was sent again in another payload"
    assert len({payload.id for payload in planned}) == len(planned)


def test_several_profiles_are_one_person_by_addresses_in_many_spellings() -> None:
    whose = people(1, "s1", seconds=60, profiles=40)
    planned = [payload for door in DOORS for payload in load(1, "s1", door, rate=100, seconds=60, profiles=40)]
    assert {payload.profile for payload in planned} <= whose.keys()
    told = [(payload, step.email) for payload in planned for step in payload.steps if step.email]
    for payload, email in told:
        assert address(email) in whose[payload.profile].addresses
    events = sum(len(payload.steps) for payload in planned)
    assert 0.04 < len(told) / events < 0.13, "one in eight, from the time on at which an id comes out with it"
    assert len({email for _, email in told}) > 2 * len({address(email) for _, email in told})

    person_of = persons(step for payload in planned for step in payload.steps)
    sizes = Counter(Counter(person_of.values()).values())
    assert set(sizes) == set(range(1, MOST_IDS + 1))
    doors = {id.rpartition("-")[2] for id, person in person_of.items() if person != id}
    assert doors == {id.rpartition("-")[2] for id, person in person_of.items() if person == id} == set(DOORS)


def test_a_run_shares_no_id_with_another() -> None:
    ours, theirs = (load(1, run, "topic", rate=30, seconds=30, profiles=40) for run in ("a", "b"))
    ids = [
        {id for payload in one for step in payload.steps for id in (step.id, step.email.strip().lower()) if id}
        | {id for payload in one for id in (payload.id, payload.profile)}
        for one in (ours, theirs)
    ]
    assert not ids[0] & ids[1]
    assert any(payload.bad and not payload.steps for payload in ours)
