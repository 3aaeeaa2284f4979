"""Clients of `/track` whose events are in order, and what must have come of them: for tests that disturb a hub."""

from __future__ import annotations

import threading
import time
import uuid
from collections import defaultdict
from contextlib import closing
from typing import Final

import httpx

from hub.settings import Kafka
from hub.store import open_store
from schemas.codec import decode_stored
from schemas.topics import STORED
from tests.kafka_tools import eventually, read
from tests.plain_http import NO_TLS

CLIENTS: Final = 6
PROFILES: Final = 5
"""Of each client."""
SOME: Final = 300
"""Events between two things that are done."""


class Load:
    """
    Clients, each with profiles of its own, that send one event after the other, each until it is accepted.

    So an event that is answered with anything but success is sent again under its id before the next one is.
    """

    def __init__(self, url: str, source: str = "web") -> None:
        """Args: url: of the API. source: there is one of this id."""
        self._url = url
        self._source = source
        self._over = threading.Event()
        self.accepted: dict[str, list[str]] = defaultdict(list)
        """Ids of events by profile, in the order in which they were sent."""
        self.refused = 0
        """Requests that were not answered with success."""
        self.failure = ""
        self._threads = [threading.Thread(target=self._client) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
        else:  # whatever is not accepted may never be
            self.failure = self.failure or "the test has failed"
            self._over.set()
            for thread in self._threads:
                thread.join()

    def stop(self) -> None:
        """All that was begun is accepted: else nobody knew whether it is there."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert not self.failure, self.failure

    @property
    def count(self) -> int:
        """Events that were accepted so far."""
        return sum(map(len, list(self.accepted.values())))

    def more(self, within_s: float = 120.0) -> None:
        """Wait until some more are accepted."""
        before = self.count
        eventually(lambda: self.failure or self.count > before + SOME, within_s)
        assert not self.failure, self.failure

    def _client(self) -> None:
        done, profiles = 0, [str(uuid.uuid4()) for _ in range(PROFILES)]
        with httpx.Client(base_url=self._url, timeout=30, verify=NO_TLS) as http:
            while not self._over.is_set() and not self.failure:
                profile = profiles[done % PROFILES]
                event = str(uuid.uuid4())
                body = {
                    "source": {"id": self._source},
                    "profile": {"id": profile},
                    "events": [{"type": "seen", "id": event}],
                }
                while not self._accepted(http, body):
                    self.refused += 1
                    if self.failure:
                        return
                    time.sleep(0.02)
                self.accepted[profile].append(event)
                done += 1

    def _accepted(self, http: httpx.Client, body: object) -> bool:
        try:
            answer = http.post("/track", json=body)
        except httpx.TransportError:
            return False
        if answer.status_code == 503 and "retry-after" in answer.headers:
            return False
        if not answer.is_success:
            self.failure = f"{answer.status_code}: {answer.text}"
        return answer.is_success

    def check(self, kafka: Kafka, namespace: str, store_url: str) -> None:
        """All that was accepted is stored once, told, and both in the order in which it was sent. After `stop`."""
        sent = dict(self.accepted)
        with closing(open_store(store_url, readonly=True)) as store:

            def stored() -> int:
                return sum(counts.stored for _, counts in store.counters())

            eventually(lambda: stored() >= self.count, 180)
            assert stored() == self.count == store.count("events", "")
            for profile, ids in sent.items():
                places = []
                for id in ids:
                    found = store.get("events", id)
                    assert found is not None, f"{id} was accepted and is not stored"
                    at = found["metadata"]["position"]
                    places.append((at["epoch"], at["offset"], at["place"]))
                assert places == sorted(places), f"{profile} was not applied in the order in which it was sent"
        told: dict[str, dict[str, None]] = defaultdict(dict)
        for message in read(kafka, namespace, STORED):
            one = decode_stored(message.value() or b"")
            told[one["profile_id"]].setdefault(one["id"])  # again after a fault, and then the same
        assert {profile: list(ids) for profile, ids in told.items()} == sent
