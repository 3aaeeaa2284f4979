"""Redis streams and lists beyond the contract: what a message is made of, who takes over, errors in words, faults."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import redis

from bridges.base import Batch, Bridge, Place, Rewind
from hub.chaos.proxy import Proxy
from hub.errors import Refused, Unavailable
from hub.stack import ports
from tests.live.reading import Pump, bridge, error_of, nothing_more, opened, take, taken
from tests.servers.relay import relay
from tests.servers.running import Own, own
from tests.sources.redis import ListSource, StreamSource

MB: Final = 1024 * 1024
SOURCES: Final[dict[str, Callable[[str, str], StreamSource | ListSource]]] = {
    "redis_streams": StreamSource,
    "redis_list": lambda url, key: ListSource(url, key, "left"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def client(server: Own) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as made:
        yield made


@pytest.fixture
def stream(server: Own, namespace: str) -> StreamSource:
    return StreamSource(server.url, namespace)


@pytest.fixture
def queue(server: Own, namespace: str) -> ListSource:
    return ListSource(server.url, namespace, "left")


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, server: Own, namespace: str) -> StreamSource | ListSource:
    return SOURCES[request.param](server.url, namespace)


def bodies(first: int, after: int) -> list[bytes]:
    return [f"m{n}".encode() for n in range(first, after)]


# what a message is made of


@pytest.mark.parametrize(
    ("fields", "field", "body", "headers"),
    [
        ({"body": "b", "kind": "order"}, "", b"b", [("kind", b"order")]),
        ({"kind": "order", "data": "d", "n": "1"}, "", b"d", [("kind", b"order"), ("n", b"1")]),
        ({"body": "b", "event": "e"}, "event", b"e", [("body", b"b")]),
        ({"event": "e", "n": "1"}, "", b'{"event":"e","n":"1"}', []),
        ({"body": "b"}, "event", b'{"body":"b"}', []),
        ({"body": b"\xff\x00"}, "", b"\xff\x00", []),
        ({"raw": b"\xff\x00", "n": "1"}, "", b'{"raw":{"base64":"/wA="},"n":"1"}', []),
    ],
)
async def test_fields_of_an_entry(
    stream: StreamSource,
    client: redis.Redis,
    fields: dict[str, Any],
    field: str,
    body: bytes,
    headers: list[tuple[str, bytes]],
) -> None:
    id = client.xadd(stream.key, fields).decode()
    async with opened("redis_streams", {**stream.settings, "field": field}) as reading:
        [found] = await taken(reading, 1)
    assert (found.body, list(found.headers)) == (body, headers)
    assert (found.position, found.time_ms) == (f"{stream.key}/{id}", int(id.partition("-")[0]))
    assert (found.meta()["stream"], found.meta()["entry"]) == (stream.key, id)


async def test_a_field_that_an_entry_has_twice_is_a_list(stream: StreamSource, client: redis.Redis) -> None:
    client.execute_command("XADD", stream.key, "*", "a", "1", "b", "2", "a", "3", "a", "4")
    async with opened("redis_streams", stream.settings) as reading:
        [found] = await taken(reading, 1)
    assert json.loads(found.body) == {"a": ["1", "3", "4"], "b": "2"}


async def test_ids_that_the_sender_counts_are_no_times(stream: StreamSource, client: redis.Redis) -> None:
    client.xadd(stream.key, {"body": "a"}, id="7-1")
    async with opened("redis_streams", stream.settings) as reading:
        [found] = await taken(reading, 1)
    assert (found.position, found.time_ms) == (f"{stream.key}/7-1", None)


async def test_a_message_of_a_list_has_a_number_and_the_time_when_it_was_first_taken(
    queue: ListSource, client: redis.Redis
) -> None:
    queue.put([b"same", b"same", bytes(range(256))])
    before = int(time.time() * 1000)
    async with opened("redis_list", queue.settings) as reading:
        found = await taken(reading, 3, acknowledge=False)
    assert [delivery.meta()["number"] for delivery in found] == [1, 2, 3]
    assert [delivery.body for delivery in found] == [b"same", b"same", bytes(range(256))]
    assert all(delivery.time_ms and delivery.time_ms >= before - 1000 for delivery in found)
    assert client.hlen(f"{queue.key}:t.bridge.b") == 4, "three under way, and the last number"


async def test_10_mb(source: StreamSource | ListSource) -> None:
    large = bytes(range(256)) * (10 * MB // 256)
    source.put([b"before", large, b"after"])
    async with opened(source.kind, source.settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 3)] == [b"before", large, b"after"]


async def test_of_large_messages_few_are_taken_at_a_time(source: StreamSource | ListSource) -> None:
    large = [bytes([n]) * MB for n in range(150)]
    source.put(large)
    async with opened(source.kind, source.settings) as reading:
        batches: list[Batch] = []
        while sum(len(batch.deliveries) for batch in batches) < len(large):
            batches.append(await reading.take(500))
            await reading.ack(batches[-1])
    assert [delivery.body for batch in batches for delivery in batch.deliveries] == large
    assert max(len(batch.deliveries) for batch in batches) <= 32, "a first guess, and what 16 MiB have room for"


# streams and their groups


async def test_several_streams_in_one_bridge(server: Own, namespace: str) -> None:
    keys = [f"{namespace}.{name}" for name in "abc"]
    for key in keys:
        StreamSource(server.url, key).put([f"{key}{n}".encode() for n in range(200)])
    settings = {"url": server.url, "streams": keys}
    async with opened("redis_streams", settings) as reading:
        await taken(reading, 30, acknowledge=False)
    async with opened("redis_streams", settings) as reading:
        found = await taken(reading, 600)
        parts = {part.name: part for part in reading.parts()}
    for key in keys:
        came = [delivery for delivery in found if delivery.position.startswith(f"{key}/")]
        assert [delivery.body for delivery in came] == [f"{key}{n}".encode() for n in range(200)], "in its order"
        assert parts[key].position == came[-1].position
    async with opened("redis_streams", settings) as reading:
        assert await nothing_more(reading)


async def test_what_a_dead_consumer_left_is_taken_over(stream: StreamSource, client: redis.Redis) -> None:
    group = "shop"
    client.xgroup_create(stream.key, group, "0")
    stream.put(bodies(0, 50))
    client.xreadgroup(group, "dead", {stream.key: ">"}, count=50)
    settings = {**stream.settings, "group": group}
    async with opened("redis_streams", {**settings, "claim_after_s": 3600}) as reading:
        assert await nothing_more(reading), "it may be alive"
    async with opened("redis_streams", {**settings, "claim_after_s": 0.5}) as reading:
        stream.put(bodies(50, 60))
        found = {delivery.body for delivery in await taken(reading, 60)}
    assert found == {*bodies(0, 60)}
    assert client.xpending(stream.key, group)["pending"] == 0


async def test_what_waits_for_our_kafka_is_not_claimed_from_ourselves(stream: StreamSource) -> None:
    stream.put(bodies(0, 20))
    async with opened("redis_streams", {**stream.settings, "claim_after_s": 0.2, "timeout_s": 1}) as reading:
        held = await take(reading, 20)
        for _ in range(3):
            assert await nothing_more(reading)
        for batch in held:
            await reading.ack(batch)


async def test_entries_that_were_trimmed_before_they_were_taken_stop_nothing(
    stream: StreamSource, client: redis.Redis
) -> None:
    stream.put(bodies(0, 20))
    async with opened("redis_streams", stream.settings) as reading:
        await taken(reading, 20, acknowledge=False)
    client.xtrim(stream.key, maxlen=5, approximate=False)
    stream.put(bodies(20, 25))
    async with opened("redis_streams", stream.settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 10)] == bodies(15, 25)
    assert client.xpending(stream.key, "t.bridge.b")["pending"] == 0


async def test_a_stream_that_is_deleted_and_made_again_is_read_from_its_beginning(
    stream: StreamSource, client: redis.Redis
) -> None:
    stream.put(bodies(0, 10))
    pump = Pump("redis_streams", stream.settings)
    await pump.until(bodies(0, 10))
    for part in range(1, 4):
        client.delete(stream.key)
        await asyncio.to_thread(stream.put, bodies(part * 10, part * 10 + 10))
        await pump.until(bodies(0, part * 10 + 10))
    await pump.end()
    assert pump.order == bodies(0, 40)


async def test_latest_begins_at_the_end_and_stays_there(stream: StreamSource) -> None:
    stream.put(bodies(0, 5))
    settings = {**stream.settings, "start": "latest"}
    async with opened("redis_streams", settings):
        pass
    stream.put(bodies(5, 6))  # while nobody reads: not to be skipped
    async with opened("redis_streams", settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 1)] == bodies(5, 6)


@pytest.mark.parametrize("to", ["beginning", "time", "offset", "stream/offset"])
async def test_rewind(stream: StreamSource, client: redis.Redis, to: Place | str) -> None:
    ids = [
        client.xadd(stream.key, {"body": body}, id=f"{1_790_000_000_000 + n // 2}-{n % 2}")
        for n, body in enumerate(bodies(0, 20))
    ]
    async with opened("redis_streams", stream.settings) as reading:
        await taken(reading, 20)
        assert await nothing_more(reading)
    where, first = {
        "beginning": (Rewind("beginning"), 0),
        "time": (Rewind("time", at_ms=1_790_000_000_003), 6),
        "offset": (Rewind("offset", offset=ids[13].decode()), 13),
        "stream/offset": (Rewind("offset", offset=f"{stream.key}/{ids[12].decode()}"), 12),
    }[to]
    await bridge("redis_streams", stream.settings).rewind(where)
    async with opened("redis_streams", stream.settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 20 - first)] == bodies(first, 20)
        assert await nothing_more(reading)


@pytest.mark.parametrize(("offset", "words"), [("yesterday", "no place in a stream"), ("other/1-1", "does not read")])
async def test_rewind_to_nowhere_is_refused(stream: StreamSource, offset: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        await bridge("redis_streams", stream.settings).rewind(Rewind("offset", offset=offset))


async def test_acknowledged_entries_can_be_removed(stream: StreamSource, client: redis.Redis) -> None:
    stream.put(bodies(0, 30))
    async with opened("redis_streams", {**stream.settings, "delete": True}) as reading:
        await taken(reading, 20)
        assert client.xlen(stream.key) == 10


# what is seen from outside


async def test_a_look_takes_nothing_and_leaves_the_running_bridge_alone(source: StreamSource | ListSource) -> None:
    source.put(bodies(0, 20))
    looked = await bridge(source.kind, source.settings).sample(5)
    assert len(looked) == 5
    assert {delivery.body for delivery in looked} < {*bodies(0, 20)}
    async with opened(source.kind, source.settings) as reading:
        first = await taken(reading, 1)
        await bridge(source.kind, source.settings).sample(5)
        assert [delivery.body for delivery in first + await taken(reading, 19)] == bodies(0, 20)


async def test_the_lag_falls_to_nothing(source: StreamSource | ListSource) -> None:
    source.put(bodies(0, 300))
    async with opened(source.kind, source.settings) as reading:
        assert reading.lag() == 300
        await taken(reading, 300)
        await until(reading, lambda: reading.lag() == 0)


async def until(reading: Bridge, reached: Callable[[], bool]) -> None:
    """As a bridge process does: it goes on taking."""
    async with asyncio.timeout(30):
        while not reached():
            await reading.take(100)


# who may


async def test_tls_with_an_authority_of_our_own(source: StreamSource | ListSource, server: Own, tmp_path: Path) -> None:
    source.put([b"%d" % n * 1_000 for n in range(300)])
    # the Valkey of the wheel has no TLS
    async with relay(urlsplit(server.url).port or 0, tmp_path) as port:
        settings = {**source.settings, "url": f"rediss://localhost:{port}", "ca_file": str(tmp_path / "ca.pem")}
        async with opened(source.kind, settings) as reading:
            assert len(await taken(reading, 300)) == 300
        for url, ca_file, kind, words in (
            (f"rediss://localhost:{port}", "", Refused, "not trusted"),
            (f"rediss://localhost:{port}", "/no/such/ca.pem", Refused, "/no/such/ca.pem"),
            (f"redis://localhost:{port}", "", Unavailable, "write rediss:// in settings.url"),
            (server.url.replace("redis:", "rediss:"), "", Unavailable, "if the server speaks no TLS there"),
        ):
            settings = {**source.settings, "url": url, "ca_file": ca_file, "timeout_s": 1}
            error = await error_of(bridge(source.kind, settings))
            assert isinstance(error, kind), error
            assert words in str(error)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"url": "redis://no.such.host.invalid"}, Unavailable, ["no.such.host.invalid:6379", "settings.url"]),
        ({"url": "redis://127.0.0.1:1"}, Unavailable, ["nobody listens at 127.0.0.1:1", "settings.url"]),
        ({"url": "redis://127.0.0.1:PORT/999"}, Refused, ["a database that the server does not have"]),
        (
            {"username": "reader", "password": "env:WRONG"},
            Refused,
            ["invalid username-password pair", "settings.password"],
        ),
        ({"password": "env:WRONG"}, Refused, ["settings.password"]),
        ({"username": "reader", "password": "env:NOT_SET"}, Refused, ["variable NOT_SET"]),
        ({"username": "stranger", "password": "env:RIGHT"}, Refused, ["permissions", "ACL SETUSER"]),
        ({"streams": "not.there", "key": "A_STRING"}, (Unavailable, Refused), ["there is no stream|is a string"]),
        ({"streams": "A_STRING", "key": "A_STRING"}, Refused, ["is a string|WRONGTYPE"]),
    ],
)
async def test_errors_name_the_cause_and_the_mend(
    source: StreamSource | ListSource,
    server: Own,
    client: redis.Redis,
    changes: dict[str, Any],
    kind: type[Exception] | tuple[type[Exception], ...],
    words: list[str],
) -> None:
    client.acl_setuser("reader", enabled=True, passwords=["+right"], keys=["*"], commands=["+@all"])
    client.acl_setuser("stranger", enabled=True, passwords=["+right"], keys=["*"], commands=["+ping"])
    client.set("A_STRING", "x")
    settings = {**source.settings, **{name: value for name, value in changes.items() if name not in ("streams", "key")}}
    mine = "streams" if source.kind == "redis_streams" else "key"
    settings[mine] = changes.get(mine, settings[mine])
    settings["url"] = settings["url"].replace(":PORT", f":{urlsplit(server.url).port}")
    error = await error_of(bridge(source.kind, settings, {"WRONG": "hunter2", "RIGHT": "right"}))
    assert isinstance(error, kind), error
    for word in words:
        assert any(each in str(error) for each in word.split("|")), error
    assert "hunter2" not in str(error)


async def test_a_queue_of_the_other_kind_names_the_right_one(server: Own, namespace: str) -> None:
    StreamSource(server.url, f"{namespace}.stream")
    error = await error_of(bridge("redis_list", {"url": server.url, "key": f"{namespace}.stream"}))
    assert "use a bridge of type redis_streams" in str(error)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "redis://user:secret@h", "key": "k"},
        {"url": "http://h", "key": "k"},
        {"url": "redis://h/0?ssl_cert_reqs=none", "key": "k"},
        {"url": "redis://h", "key": "k", "password": "in the open"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"redis://|env:NAME|username|database"):
        bridge("redis_list", settings)


async def test_a_user_whose_rights_end_is_told_and_goes_on_when_he_has_them_again(
    source: StreamSource | ListSource, client: redis.Redis
) -> None:
    rights = {"passwords": ["+right"], "keys": ["*"], "commands": ["+@all"]}
    client.acl_setuser("reader", enabled=True, **rights)
    pump = Pump(source.kind, {**source.settings, "username": "reader", "password": "env:RIGHT"}, {"RIGHT": "right"})
    await asyncio.to_thread(source.put, bodies(0, 10))
    await pump.until(bodies(0, 10))
    client.acl_setuser("reader", enabled=False)
    client.execute_command("CLIENT", "KILL", "USER", "reader")
    assert isinstance(await pump.until_error("settings.password"), Refused)
    await asyncio.to_thread(source.put, bodies(10, 20))
    client.acl_setuser("reader", enabled=True, **rights)
    await pump.until(bodies(0, 20))
    await pump.end()
    assert pump.order == bodies(0, 20)


# faults


@pytest.mark.parametrize("kind", SOURCES)
async def test_the_server_is_killed_under_load_and_nothing_is_lost(kind: str, tmp_path: Path, namespace: str) -> None:
    with own("valkey", tmp_path / "v") as running:
        source = SOURCES[kind](running.url, namespace)
        pump = Pump(kind, source.settings)
        for part in range(3):
            with redis.Redis.from_url(running.url) as client:
                client.config_set("appendfsync", "always")  # else the server may itself forget up to two seconds
            await asyncio.to_thread(source.put, bodies(part * 2000, part * 2000 + 2000))
            running.kill()
            running.start()
        await pump.until(bodies(0, 6000))
        await pump.end()
        assert pump.errors
        assert len(pump.found) == 6000, "each under one position"


@pytest.mark.parametrize("fault", ["cut", "stall"])
async def test_a_cut_and_a_silent_connection_are_noticed(
    source: StreamSource | ListSource, server: Own, fault: str
) -> None:
    proxy = Proxy(ports.free_port(), "127.0.0.1", urlsplit(server.url).port or 0)
    await proxy.start()
    pump = Pump(source.kind, {**source.settings, "url": f"redis://127.0.0.1:{proxy.port}", "timeout_s": 1})
    try:
        await asyncio.to_thread(source.put, bodies(0, 500))
        await pump.until(bodies(0, 500))
        getattr(proxy, fault)()
        await asyncio.to_thread(source.put, bodies(500, 1000))
        await pump.until_error("127.0.0.1")
        proxy.heal()
        await pump.until(bodies(0, 1000))
    finally:
        await pump.end()
        await proxy.close()
    assert len(pump.found) == 1000
    assert all(isinstance(error, Unavailable) for error in pump.errors)
