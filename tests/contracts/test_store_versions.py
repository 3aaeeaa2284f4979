"""What every store promises of the versions of definitions, and whoever hands them over."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from hub.api.recorder import Recorder
from hub.definitions.catalogue import Applied, Catalogue
from hub.errors import Unavailable
from hub.store import Store
from hub.store.port import DefinitionVersion
from tests.kafka_tools import eventually


def version(number: int, spec: str | None = "{}", *, id: str = "a", at_ms: int = 1_000) -> DefinitionVersion:
    return DefinitionVersion("bridge", id, number, at_ms, spec)


def test_versions_are_kept_once_and_found_newest_first(store: Store) -> None:
    store.keep_versions([version(1, '{"n":1}'), version(5, None), version(3, '{"n":3}'), version(4, id="b")])
    store.keep_versions([version(1, '{"n":"other"}'), version(7)])  # told again: the first stays
    found = store.versions("bridge", "a", 10, None)
    assert [(one.version, one.spec) for one in found] == [(7, "{}"), (5, None), (3, '{"n":3}'), (1, '{"n":1}')]
    assert [one.version for one in store.versions("bridge", "a", 2, 5)] == [3, 1]
    assert store.versions("bridge", "c", 10, None) == []
    assert store.versions("source", "a", 10, None) == []
    assert store.version("bridge", "a", 3) == version(3, '{"n":3}')
    assert store.version("bridge", "a", 2) is None
    assert store.version("bridge", "b", 3) is None
    assert (store.ever_defined("bridge"), store.ever_defined("source")) == ({"a", "b"}, set())


def test_a_topic_that_is_made_anew_hides_no_version(store: Store) -> None:
    """Its offsets begin at 0 again: the same number, at another time."""
    store.keep_versions([version(1, '{"n":"old"}'), version(1, '{"n":"new"}', at_ms=2_000)])
    assert store.version("bridge", "a", 1) == version(1, '{"n":"new"}', at_ms=2_000)
    assert len(store.versions("bridge", "a", 10, None)) == 2


class Away:
    """A store that takes nothing until it is back."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.tried = threading.Event()
        self.back = threading.Event()

    def keep_versions(self, versions: Iterable[DefinitionVersion]) -> None:
        if not self.back.is_set():
            self.tried.set()
            raise Unavailable("store", "away")
        self._store.keep_versions(versions)

    def versions(self, kind: str, id: str, size: int, before: int | None) -> list[DefinitionVersion]:
        return self._store.versions(kind, id, size, before)

    def version(self, kind: str, id: str, version: int) -> DefinitionVersion | None:
        return self._store.version(kind, id, version)

    def ever_defined(self, kind: str) -> set[str]:
        return self._store.ever_defined(kind)

    def close(self) -> None:
        self.back.clear()


def test_a_store_that_is_away_gets_its_versions_later(store: Store) -> None:
    away = Away(store)
    recorder = Recorder(lambda: away)
    catalogue = Catalogue()
    catalogue.on_record(recorder.take)
    catalogue.apply(b"source/shop", b'{"spec":{"name":"Shop"},"updated_at_ms":5}', 0, 9)
    catalogue.apply(b"source/shop", None, 1, 10)
    catalogue.apply(b"source/shop", b"no json", 2, 11)  # in force nowhere
    catalogue.apply(b"pigeon/shop", b'{"spec":{},"updated_at_ms":5}', 3, 12)
    assert away.tried.wait(10)
    assert not recorder.settle(0)
    assert catalogue.entry("source", "shop") is None  # it holds nothing up
    away.back.set()
    assert recorder.settle(20)
    assert store.versions("source", "shop", 10, None) == [
        DefinitionVersion("source", "shop", 1, 10, None),
        DefinitionVersion("source", "shop", 0, 5, '{"name":"Shop"}'),
    ]
    recorder.close()
    assert not away.back.is_set()  # it was given back


def test_many_versions_are_all_kept(store: Store) -> None:
    recorder = Recorder(lambda: store)
    for number in range(1_200):
        recorder.take(Applied("source", "shop", number, number, {"n": number}))
    eventually(lambda: recorder.settle(1))
    assert [one.version for one in store.versions("source", "shop", 1_000, None)] == list(range(1_199, 199, -1))
    recorder.take(Applied("source", "shop", 1_200, 0, None))
    recorder.settle(20)
