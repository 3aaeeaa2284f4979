"""Who is stuck, and who has nothing to do, or waits for somebody else?"""

from __future__ import annotations

from workers.agents.watchdog import Look, Watchdog


def look(end: int, committed: int, *, steps: int = 0, mine: frozenset[int] = frozenset({0})) -> Look:
    return Look({0: end, 1: 50}, {0: committed, 1: 0}, mine, {"slices": steps})


def test_triggers_that_wait_without_a_step_are_counted_from_when_they_came() -> None:
    dog = Watchdog()
    assert dog.look(look(0, 0), 0.0) == (0, 0.0)
    assert dog.look(look(0, 0), 100.0) == (0, 0.0), "there is nothing to do"
    assert dog.look(look(5, 0), 110.0) == (5, 10.0)
    assert dog.look(look(9, 0), 150.0) == (9, 50.0), "the lag grows, and the commit stands still"


def test_a_commit_a_step_or_another_share_of_the_work_begins_the_time_anew() -> None:
    dog = Watchdog()
    dog.look(look(9, 0), 0.0)
    assert dog.look(look(9, 1), 30.0) == (8, 0.0)
    assert dog.look(look(9, 1, steps=1), 60.0) == (8, 0.0), "a long slice is no fault"
    assert dog.look(look(9, 1, steps=1, mine=frozenset({0, 1})), 90.0) == (58, 0.0)
    assert dog.look(look(9, 1, steps=1, mine=frozenset({0, 1})), 95.0) == (58, 5.0)


def test_what_others_read_is_theirs_unless_this_one_reads_nothing() -> None:
    dog = Watchdog()
    assert dog.look(look(3, 3), 0.0)[0] == 0
    assert dog.look(look(3, 3, mine=frozenset()), 1.0)[0] == 50, "perhaps nobody does"


def test_a_lane_that_stands_still_is_not_hidden_by_the_other() -> None:
    dog = Watchdog()

    def both(committed: int, slices: int, flows: int, *busy: str) -> Look:
        return Look({0: 9}, {0: committed}, frozenset({0}), {"slices": slices, "flows": flows}, frozenset(busy))

    assert dog.look(both(0, 0, 0, "flows"), 0.0) == (9, 0.0)
    assert dog.look(both(1, 1, 1, "slices", "flows"), 30.0) == (8, 0.0), "it has just begun"
    assert dog.look(both(2, 1, 2, "slices", "flows"), 50.0) == (7, 20.0)
    assert dog.look(both(3, 2, 2, "slices", "flows"), 70.0) == (6, 20.0), "now it is the other one"
    assert dog.look(both(4, 2, 2, "slices"), 80.0) == (5, 10.0), "which has nothing in hand any more"
