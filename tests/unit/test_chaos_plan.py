"""The plan of a chaos run: the same for the same seed, and everything has its turn."""

from __future__ import annotations

from collections import Counter

import pytest

from hub.chaos.checker.persons import address, persons
from hub.chaos.plan import (
    DOORS,
    KINDS,
    LINKS,
    MOST_IDS,
    PROCESSES,
    STORE_LINKS,
    STORE_PARTS,
    all_faults,
    engine_faults,
    faults,
    load,
    people,
)

DEFAULT = 80
"""How many faults `hub chaos` does unless it is told otherwise."""
FIRST = [("kill", "collector-2"), ("slow", "agents-kafka"), ("full", "kafka"), ("pause", "scheduler")]
TIMES = (3.191766188055073, 0.0, 281.80203707265804)
"""Of seed 1: when the first one begins, how long it lasts, when the last one begins."""


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
    assert {kind for kind, _ in all_faults()} == KINDS.keys() - {"command", "block"}
    assert {target for _, target in all_faults()} >= {*PROCESSES, *LINKS}
    short = faults(3, 12, 30, all_faults())
    assert {fault.kind for fault in short} == KINDS.keys() - {"command", "block"}
    assert faults(3, 0, 30, all_faults()) == [], "load alone can be had too"


def test_a_seed_that_somebody_has_quoted_is_still_the_same_run() -> None:
    """docs/chaos.md has a run of seed 1, tests/live/test_chaos.py one of seed 660."""
    planned = faults(1, DEFAULT, 300, all_faults())
    assert [(fault.kind, fault.target) for fault in planned[:4]] == FIRST
    assert (planned[0].at_s, planned[0].lasts_s, planned[-1].at_s) == pytest.approx(TIMES)
    short = {(fault.kind, fault.target) for fault in faults(660, 9, 25, all_faults())}
    assert short >= {("restart", "agents"), ("kill", "scheduler"), ("freeze", "worker")}


@pytest.mark.parametrize("seed", range(5))
def test_a_search_engine_has_every_other_fault(seed: int) -> None:
    theirs = engine_faults(links=True, process=True)
    ours = [fault for fault in all_faults() if fault not in theirs]
    planned = faults(seed, DEFAULT, 300, theirs, ours)
    assert planned == faults(seed, DEFAULT, 300, theirs, ours)
    drawn = [(fault.kind, fault.target) for fault in planned]
    assert len(drawn) == DEFAULT
    assert set(drawn[0::2]) == set(theirs)
    assert set(drawn[1::2]) < set(ours)
    assert {kind for kind, _ in drawn} == KINDS.keys() - {"command"}
    assert {kind for kind, _ in drawn[:20:2]} == {kind for kind, _ in theirs}, "a short run has all that can be done"
    assert [fault.at_s for fault in planned] == sorted(fault.at_s for fault in planned)
    odd = faults(seed, 7, 30, theirs, ours)
    assert [(fault.kind, fault.target) in theirs for fault in odd] == [True, False, True, False, True, False, True]


def test_a_search_engine_is_hurt_as_far_as_it_can_be_reached() -> None:
    every = engine_faults(links=True, process=True)
    assert {target for _, target in every} == {*STORE_LINKS, *STORE_PARTS}
    blocks = {("full", "store"), *(("block", part) for part in STORE_PARTS)}
    assert set(engine_faults(links=False, process=False)) == blocks
    signals = {(kind, "store") for kind in ("kill", "restart", "pause", "freeze")}
    assert set(engine_faults(links=False, process=True)) == blocks | signals


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
