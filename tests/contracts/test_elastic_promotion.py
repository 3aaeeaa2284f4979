"""Promotions on a search engine, which has no transactions: all of one or nothing, whoever is killed at it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import pytest

from hub.errors import Fenced, Unavailable
from hub.model import Wanted
from hub.pipeline.applied import Promoted
from hub.search_engine import Layout
from hub.store.elastic import ElasticStore, promotion
from tests.contracts.batches import NOW_MS, batch, profile
from tests.contracts.test_store_epochs import (  # noqa: F401 - run here again
    test_a_log_that_is_numbered_anew_goes_on_where_it_was,
    test_a_log_that_is_numbered_anew_twice_is_as_one_that_was_once,
    test_who_wrote_before_its_log_was_numbered_anew_is_fenced,
)
from tests.contracts.test_store_promotion import document

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
"""The first one starts the servers, and fetches them on a new machine."""

NAMES = [f"p{number}" for number in range(4)]


class Killed(BaseException):
    """Nobody catches it: as SIGKILL."""


@pytest.fixture
def store(elastic: ElasticStore) -> ElasticStore:
    """The one that the shared tests ask for."""
    return elastic


@pytest.fixture
def another(elastic: ElasticStore, search_engine: str, namespace: str) -> Iterator[Callable[[], ElasticStore]]:
    """Opens the store once more."""
    opened: list[ElasticStore] = []

    def another() -> ElasticStore:
        opened.append(ElasticStore(search_engine, namespace, layout=Layout(copies=0)))
        return opened[-1]

    yield another
    for one in opened:
        one.close()


def profiles(store: ElasticStore) -> dict[str, tuple[int, Any]]:
    """Version and number of each."""
    found = store.known(Wanted(NAMES, [], [])).profiles
    return {id: (one.version, one.doc["traits"]["n"]) for id, one in found.items()}


@contextmanager
def killed_at(store: ElasticStore, number: int) -> Iterator[None]:
    """It is killed before its request of this number."""
    asked, requests = store._engine.asked, 0

    def watched(ask: Any) -> Any:
        nonlocal requests
        requests += 1
        if requests >= number:
            raise Killed
        return asked(ask)

    store._engine.asked = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        store._engine.asked = asked  # type: ignore[method-assign]


def promote(store: ElasticStore, n: int, most_s: float = 10) -> None:
    with store.promotion("next", at_ms=NOW_MS, most_s=most_s) as pause:
        pause.note_mapped({"purchase": {"spending": f"{n}"}})
        for id in (*NAMES, "gone"):
            pause.replace([document(id, n=n)])


def test_all_or_nothing_whoever_is_killed_at_it(
    elastic: ElasticStore, another: Callable[[], ElasticStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "PART_BYTES", 60)  # two profiles
    epoch = elastic.epoch("topic")
    elastic.write(batch(*(profile(id, 1, n=0) for id in NAMES), progress={0: (0, 1)}, epoch=epoch))
    before, decided, most_s, number = 0, list[int](), 0.5, 0
    while number < 40:
        try:
            with killed_at(elastic, number + 1):
                promote(elastic, number + 1, most_s)
        except Killed:
            is_over = False
        except Unavailable:  # this machine is slow
            most_s *= 2
            continue
        else:
            is_over = True
        number += 1
        with closing(another()) as store:
            assert store.progress(epoch) == {0: number}
            (n,) = {n for _, n in profiles(store).values()}
            assert n in (before, number)
            if n == number:
                decided.append(n)
            before = n
            assert {version for version, _ in profiles(store).values()} == {1}
            store.write(batch(progress={0: (number, number + 1)}, epoch=epoch))
            assert [one.mapped["purchase"]["spending"] for one in store.promoted()] == [str(one) for one in decided]
        if is_over:
            assert before == number
            assert len(decided) > 1  # of some it was only found afterwards
            return
    raise AssertionError("it never ends")


def test_who_writes_meanwhile_waits_and_is_fenced_then(
    elastic: ElasticStore, another: Callable[[], ElasticStore]
) -> None:
    elastic.write(batch(profile("p1", 1, n=1), progress={0: (0, 1)}))
    writing = another()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            writing.write(batch(profile("p1", 2, n=2), progress={0: (1, 2)}))
        except Fenced as exc:
            failed.append(exc)

    with elastic.promotion("next", at_ms=NOW_MS, most_s=30) as pause:
        pause.replace([document("p1", n=7)])
        waiting = threading.Thread(target=write)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert profiles(elastic) == {"p1": (1, 1)}
    waiting.join()
    assert [type(one) for one in failed] == [Fenced]
    fresh = another()
    assert (profiles(fresh), fresh.progress(1)) == ({"p1": (1, 7)}, {0: 1})
    fresh.write(batch(profile("p1", 2, n=3), progress={0: (1, 2)}))
    assert profiles(fresh) == {"p1": (2, 3)}


def test_whoever_waits_too_long_goes_on(elastic: ElasticStore, another: Callable[[], ElasticStore]) -> None:
    """Though the block does not end, whatever it waits for."""
    elastic.write(batch(profile("p1", 1, n=1), progress={0: (0, 1)}))
    writing = another()

    def hang() -> None:
        with elastic.promotion("next", at_ms=NOW_MS, most_s=0.2) as pause:
            pause.replace([document("p1", n=5)])
            writing.write(batch(profile("p1", 2, n=2), progress={0: (1, 2)}))

    with pytest.raises(Unavailable, match="had to wait"):
        hang()
    assert (profiles(writing), writing.promoted()) == ({"p1": (2, 2)}, [])
    elastic.write(batch(profile("p1", 3, n=3), progress={0: (2, 3)}))  # nobody is fenced
    assert profiles(elastic) == {"p1": (3, 3)}


def test_what_fails_changes_nothing(elastic: ElasticStore, another: Callable[[], ElasticStore]) -> None:
    elastic.write(batch(profile("p1", 1, n=1), progress={0: (0, 1)}))

    def fail() -> None:
        with elastic.promotion("next", at_ms=NOW_MS, most_s=30) as pause:
            pause.replace([document("p1", n=5)])
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    another().write(batch(profile("p1", 2, n=2), progress={0: (1, 2)}))  # and nobody waits
    assert profiles(elastic) == {"p1": (2, 2)}


def test_what_was_applied_is_told(elastic: ElasticStore) -> None:
    epoch = elastic.epoch("topic")
    elastic.write(batch(profile("p1"), progress={0: (0, 5), 3: (2, 9)}, epoch=epoch))
    with elastic.promotion("none", at_ms=NOW_MS, most_s=10):
        pass
    assert elastic.promoted() == []
    mapped = {"purchase": {"spending": "abcdef"}}
    with elastic.promotion("next", at_ms=NOW_MS, most_s=10) as pause:
        pause.note_mapped(mapped)
    assert elastic.promoted() == [Promoted(epoch, {0: 5, 3: 9}, mapped)]
    assert msgspec.json.encode(elastic.promoted()[0].progress) == b'{"0":5,"3":9}'
