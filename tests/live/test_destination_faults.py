"""Targets over TLS, and targets that are killed and started again while events are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from hub.log.admin import LogAdmin
from hub.settings import Kafka
from schemas.topics import EVENTS
from tests.destinations import WITHIN_S, Running, numbers, running, store
from tests.servers.relay import relay
from tests.servers.running import Own, own
from tests.sources import World
from tests.targets import Sink, open_sink
from tests.targets.own import KINDS, Kind

pytestmark = pytest.mark.slow

KILLS: Final = 3
ROUND: Final = 300
"""Events that are stored around each of them."""
AT_ONCE: Final = 30
"""Events in one go: a round lasts long enough for the kill to come in its middle."""
MOST: Final = 1000
"""Messages that a destination sends before it commits, at most: so many may come again after a kill."""
RETRY: Final = {"first_s": 0.1, "longest_s": 0.5}
FAST: Final = ("nats", "redis_streams")
"""Of KINDS: those that `make test` runs."""


@pytest.fixture(
    scope="module", params=[name if name in FAST else pytest.param(name, marks=pytest.mark.long) for name in KINDS]
)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = KINDS[request.param]
    return found


@pytest.fixture(scope="module")
def server(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own(kind.server, tmp_path_factory.mktemp(kind.server)) as made:
        yield made


@asynccontextmanager
async def secured(kind: Kind, server: Own, sink: Sink, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The destination's settings, with TLS."""
    async with AsyncExitStack() as stack:
        port = 0
        if kind.relayed:
            port = await stack.enter_async_context(relay(urlsplit(server.url).port or 0, folder))
        ca = (folder if kind.relayed else server.home / "tls") / "ca.pem"
        yield {**sink.definition["settings"], **kind.secure(server, ca, port)}


def untrusting(settings: dict[str, Any]) -> dict[str, Any]:
    """The same without the authority of our own: those that the system knows have never heard of it."""
    found = {name: value for name, value in settings.items() if name != "ca_file"}
    if "options" in found:
        found["options"] = {name: value for name, value in found["options"].items() if name != "ssl.ca.location"}
    return found


async def come(sink: Sink, count: int) -> list[int]:
    """All that has arrived, as soon as that is every one of `count` events."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            found = numbers(await asyncio.to_thread(sink.arrived))
            if len(set(found)) >= count:
                return found


async def failed(destination: Running, words: str) -> None:
    """It cannot send, says why with these words, and has sent and buried nothing."""
    status = await destination.until(state="failed")
    assert words in status.last_error
    assert (status.forwarded, status.refused) == (0, 0)


@pytest.mark.timeout(240)
async def test_killed_again_and_again_it_has_every_event_in_the_end(
    kind: Kind, server: Own, ours: Kafka, namespace: str, tmp_path: Path
) -> None:
    """Over TLS. What comes again is what was sent and not committed; it comes before what is behind it."""
    with kind.place(server, namespace) as sink:
        async with secured(kind, server, sink, tmp_path) as settings:
            definition = {**sink.definition, "settings": settings, "retry": RETRY}
            async with running(ours, namespace, sink.kind, definition) as destination:
                for number in range(KILLS):
                    first = number * ROUND
                    last = first + ROUND - AT_ONCE
                    load = asyncio.create_task(asyncio.to_thread(feed, ours, namespace, range(first, last)))
                    await destination.until(forwarded=first + AT_ONCE)
                    if kind.keeps:
                        server.kill()
                    else:
                        server.stop()
                    if not number:  # it may find the new server at once; later it sees that nobody is there
                        server.start()
                    await load
                    await asyncio.to_thread(store, ours, namespace, range(last, first + ROUND))
                    if number:
                        await destination.until(state="failed")
                        server.start()
                    status = await destination.until(forwarded=first + ROUND, lag=0, state="running")
                    assert status.refused == 0
        found = await come(sink, KILLS * ROUND)
    assert set(found) == set(range(KILLS * ROUND))
    assert steps(found) == []
    again = len(found) - len(set(found))
    assert again <= (0 if sink.exactly_once else KILLS * MOST)
    assert sum(LogAdmin(ours, namespace).end_offsets(EVENTS).values()) == 0, "nothing was buried"


def feed(ours: Kafka, namespace: str, events: range) -> None:
    for begin in events[::AT_ONCE]:
        store(ours, namespace, range(begin, begin + AT_ONCE))


def steps(found: Sequence[int]) -> list[tuple[int, int]]:
    """Where one of a profile comes before another one that was stored earlier: in its first coming, or again."""
    wrong = []
    for profile in range(3):
        mine = [n for n in found if n % 3 == profile]
        wrong += [(a, b) for a, b in zip([profile - 3, *mine], mine, strict=False) if b > a + 3]
    return wrong


async def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(
    kind: Kind, server: Own, ours: Kafka, namespace: str, tmp_path: Path
) -> None:
    with kind.place(server, namespace) as sink:
        store(ours, namespace, range(3))
        async with secured(kind, server, sink, tmp_path) as settings:
            definition = {**sink.definition, "settings": untrusting(settings)}
            async with running(ours, namespace, sink.kind, definition) as destination:
                await failed(destination, kind.untrusted)
        assert list(await asyncio.to_thread(sink.arrived)) == []


IN_FRONT: Final[dict[str, Callable[[dict[str, Any], int], dict[str, Any]]]] = {
    "http": lambda _, port: {"url": f"https://localhost:{port}/in"},
    "smtp": lambda _, port: {"host": "localhost", "port": port, "security": "tls"},
    "sqs": lambda _, port: {"endpoint_url": f"https://localhost:{port}"},
}
"""Settings that lead to a relay with TLS."""


def plain_port(settings: dict[str, Any]) -> int:
    """Where the server is without it."""
    return int(settings.get("port") or urlsplit(settings.get("endpoint_url") or settings["url"]).port or 0)


@pytest.mark.parametrize("name", IN_FRONT)
async def test_a_server_behind_something_that_ends_tls(
    name: str, kafka: str, ours: Kafka, namespace: str, shared_folder: Path, tmp_path: Path
) -> None:
    with open_sink(name, World(kafka, shared_folder, namespace)) as sink:
        plain = sink.definition["settings"]
        store(ours, namespace, range(12))
        async with relay(plain_port(plain), tmp_path) as port:
            settings = {**plain, **IN_FRONT[name](plain, port)}
            async with running(ours, namespace, name, {**sink.definition, "settings": settings}) as destination:
                await failed(destination, "settings.ca_file")
            definition = {**sink.definition, "settings": {**settings, "ca_file": str(tmp_path / "ca.pem")}}
            async with running(ours, namespace, name, definition) as destination:
                await destination.until(forwarded=12)
        assert set(await come(sink, 12)) == set(range(12))
