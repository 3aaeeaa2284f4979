"""What a hub has to have of an installation of the predecessor: worked out of its documents once more, in few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hub.store.port import Kind, Store
from tests.predecessor import SOURCE, Data

KINDS: Final = ("event", "session", "profile")


class Model:
    """Of one installation, in a hub that has nothing else."""

    def __init__(self, data: Data) -> None:
        """Args: data: as it was loaded."""
        self.read = {kind: len(data.of(kind)) for kind in KINDS}
        self.events: dict[str, dict[str, Any]] = {}
        self.duplicates: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        for doc in sorted(data.of("event")):
            one = doc.source
            if doc.id in self.events:
                self.duplicates["event"] += 1
            elif one["type"] and one["metadata"]["time"].get("create"):
                self.events[doc.id] = one
            else:
                self.left["event"] += 1
        self.sessions = {doc.id: doc.source for doc in data.of("session") if doc.source["profile"]}
        self.left["session"] = self.read["session"] - len(self.sessions)
        self.profiles: dict[str, dict[str, Any]] = {}
        for doc in data.of("profile"):
            known = self.profiles.get(doc.id)
            self.duplicates["profile"] += known is not None
            if known is None or _update(known) <= _update(doc.source):
                self.profiles[doc.id] = doc.source

    def adds_up(self, counts: Mapping[str, int]) -> bool:
        """Whether a task's counts are what became of everything."""
        for kind, taken in (("event", self.events), ("session", self.sessions), ("profile", self.profiles)):
            expected = {"read": self.read[kind], "taken": len(taken), "left": self.left[kind]}
            expected["duplicate"] = self.duplicates[kind]
            for name, number in expected.items():
                assert counts.get(f"{kind}s {name}", 0) == number, (kind, name, number, counts)
        return True

    def is_level(self, store: Store) -> bool:
        """Whether the collector has all of it."""
        theirs = sum(one["source"]["id"] == SOURCE for one in self.events.values())
        documents = len(self.profiles) + len(self.sessions)
        return (
            store.count("events", f'source.id = "{SOURCE}"') == theirs
            and store.count("events", 'source.id = "@migration"') == documents
            and store.count("events", 'source.id = "@predecessor"') == len(self.events) - theirs
            and all(store.get("profiles", id) is not None for one in self.profiles.values() for id in _ids(one))
        )

    def check(self, store: Store) -> None:
        """All that the hub has is as it was there."""
        self._check_balance(store)
        for id, theirs in self.events.items():
            _check_event(store, id, theirs)
        for id, session in self.sessions.items():
            _check_session(store, id, session)
        per_profile = Counter(one["profile"]["id"] for one in self.events.values() if one["profile"])
        for id, profile in self.profiles.items():
            _check_profile(store, id, profile, per_profile[id])
        assert store.count("profiles", "") == len(self.profiles)
        assert store.count("sessions", "") == len(self.sessions)
        assert store.count("dead-letters", "") == 0

    def _check_balance(self, store: Store) -> None:
        books = store.books(0, 1 << 40)
        assert books.wrong == []
        stored = sum(one.stored for source, one in books.totals.items() if source != "@segments")
        assert stored == len(self.events) + len(self.sessions) + len(self.profiles)


def _check_event(store: Store, id: str, theirs: Mapping[str, Any]) -> None:
    ours = _found(store, "events", id)
    assert ours["type"] == theirs["type"].lower().replace(" ", "-")
    assert ours["metadata"]["time"]["create"] == told(theirs["metadata"]["time"]["create"])
    whose = [(one["profile"] or {}).get("id", "") for one in (ours, theirs)]
    # it may have become part of another of its ids meanwhile
    assert len({id and store.survivor(id) for id in whose}) == 1
    assert (ours["session"] or {}).get("id") == (theirs["session"] or {}).get("id")
    assert ours["properties"] == theirs["properties"]
    assert ours["context"]["page"] == theirs["context"]["page"]
    assert ours["tags"]["values"][0] == "shop"
    assert ours["outcome"]["changes"] == []
    assert "visit_started" not in ours["metadata"]["flags"]
    assert "c2VjcmV0" not in str(ours)


def _check_session(store: Store, id: str, theirs: Mapping[str, Any]) -> None:
    ours = _found(store, "sessions", id)
    assert ours["metadata"]["status"] == "ended"
    assert ours["metadata"]["time"]["insert"] == told(theirs["metadata"]["time"]["insert"])
    assert ours["metadata"]["channel"] == "web"
    assert ours["context"]["screen"] == theirs["context"]["screen"]
    assert ours["context"]["predecessor"]["device"] == {"name": "phone"}
    assert ours["properties"] == theirs["properties"]


def _check_profile(store: Store, id: str, theirs: Mapping[str, Any], events: int) -> None:
    for one in _ids(theirs):
        assert id in _found(store, "profiles", one)["ids"], one
    ours = _found(store, "profiles", id)
    traits = {key.replace(".", "_"): value for key, value in theirs["traits"].items() if value is not None}
    assert ours["traits"] == traits
    assert ours["data"]["pii"] == {"firstname": theirs["data"]["pii"]["firstname"]}
    assert ours["data"]["contact"]["email"] == theirs["data"]["contact"]["email"]
    assert ours["data"]["preferences"]["colors"] == ["red"]
    assert ours["data"]["anonymous"] is False
    started = theirs["data"]["metrics"]["ltcosc"]
    assert ours["data"].get("metrics", {}).get("ltcosc", 0) == started
    assert ours["stats"]["events"] == events
    assert ours["stats"]["visits"] == theirs["metadata"]["time"]["visit"]["count"]
    assert ours["stats"].get("views", 0) == theirs["stats"]["views"]
    counters = {name: number for name, number in theirs["stats"]["counters"].items() if number}
    assert ours["stats"].get("counters", {}) == counters
    assert ours["interests"] == theirs["interests"]
    granted = {name: {"granted": True, "revoke": None} for name in theirs["consents"]}
    assert ours["consents"] == granted
    assert ours["segments"] == sorted(theirs["segments"])
    assert ours["aux"].get("active", True) is theirs["active"]
    assert ours["aux"]["note"] == "x"
    time = ours["metadata"]["time"]
    assert time["insert"] == told(theirs["metadata"]["time"]["insert"])
    assert time["visit"]["current"] == told(theirs["metadata"]["time"]["visit"]["current"])


def _found(store: Store, kind: Kind, id: str) -> dict[str, Any]:
    found = store.get(kind, id)
    assert found is not None, (kind, id)
    return found


def _ids(profile: Mapping[str, Any]) -> list[str]:
    return [id for id in profile["ids"] if not id.startswith("emm-")]


def _update(profile: Mapping[str, Any]) -> str:
    return str(profile["metadata"]["time"]["update"])


def told(time: str) -> str:
    """As this hub writes it."""
    moment = datetime.fromisoformat(time).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
