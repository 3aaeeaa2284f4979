"""RabbitMQ beyond the contract: what a message is made of, TLS, errors in words, faults of server and network."""

from __future__ import annotations

import asyncio
import gzip
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pika
import psutil
import pytest

from bridges.base import Bridge, Rewind
from hub.chaos.proxy import Proxy
from hub.errors import Refused, Unavailable
from hub.stack import ports
from tests.live.rabbitmq_site import Site
from tests.live.reading import Pump, bridge, error_of, nothing_more, opened, taken
from tests.servers.running import own
from tests.sources.rabbitmq import RabbitmqSource

MB = 1024 * 1024


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with own("rabbitmq", tmp_path_factory.mktemp("rabbitmq")) as server:
        yield Site(server)


def bodies(first: int, after: int) -> list[bytes]:
    return [f"m{n}".encode() for n in range(first, after)]


# what a message is made of


async def test_properties_and_headers_are_there_for_mappings(site: Site, namespace: str) -> None:
    source = site.source(namespace)
    with source.channel() as channel:
        channel.exchange_declare(f"{namespace}.x", "topic")
        channel.queue_bind(namespace, f"{namespace}.x", "orders.#")
        headers = {
            "text": "ä",
            "number": 7,
            "big": 2**40,
            "true": True,
            "none": None,
            "raw": b"\xff",
            "price": Decimal("1.25"),
            "nested": {"list": [1, "a", None]},
        }
        properties = pika.BasicProperties(
            content_type="application/json",
            content_encoding="gzip",
            headers=headers,
            priority=3,
            correlation_id="c",
            reply_to="r",
            message_id="id-1",
            timestamp=1_790_000_000,
            type="order",
            app_id="shop",
        )
        channel.basic_publish(f"{namespace}.x", "orders.eu", gzip.compress(b'{"a": 1}'), properties)
    async with opened("rabbitmq", source.settings) as reading:
        [found] = await taken(reading, 1)
    assert (found.body, found.position, found.time_ms) == (b'{"a": 1}', f"{namespace}/id-1", 1_790_000_000_000)
    meta = found.meta()
    assert meta.pop("headers") == {
        "text": "ä",
        "number": "7",
        "big": str(2**40),
        "true": "true",
        "none": None,
        "raw": "\ufffd",
        "price": '"1.25"',
        "nested": '{"list": [1, "a", null]}',
        "message-id": "id-1",
        "correlation-id": "c",
        "content-type": "application/json",
        "type": "order",
        "app-id": "shop",
        "reply-to": "r",
    }
    assert meta == {
        "position": f"{namespace}/id-1",
        "timestamp": 1_790_000_000_000,
        "key": "orders.eu",
        "queue": namespace,
        "exchange": f"{namespace}.x",
        "routing_key": "orders.eu",
        "offset": None,
        "redelivered": False,
        "priority": 3,
        "content_encoding": "gzip",
        "message_id": "id-1",
        "correlation_id": "c",
        "content_type": "application/json",
        "type": "order",
        "app_id": "shop",
        "user_id": None,
        "reply_to": "r",
    }


async def test_equal_messages_without_an_id_are_two(site: Site, namespace: str) -> None:
    source = site.source(namespace)
    source.put([b"same", b"same"], message_id=None)
    async with opened("rabbitmq", source.settings) as reading:
        found = await taken(reading, 2)
    assert len({delivery.position for delivery in found}) == 2


async def test_ids_that_senders_use_twice_can_be_left_aside(site: Site, namespace: str) -> None:
    source = site.source(namespace)
    source.put([b"a", b"b"], message_id="order")
    async with opened("rabbitmq", {**source.settings, "id_from": "none"}) as reading:
        assert len({delivery.position for delivery in await taken(reading, 2)}) == 2


@pytest.mark.parametrize(
    ("timestamp", "time_ms"),
    [(1_790_000_000, 1_790_000_000_000), (1_790_000_000_123, 1_790_000_000_123), (2**63, None), (0, None)],
)
async def test_times_of_any_unit_and_none(site: Site, namespace: str, timestamp: int, time_ms: int | None) -> None:
    source = site.source(namespace)
    source.put([b"a"], timestamp=timestamp)
    async with opened("rabbitmq", source.settings) as reading:
        assert [delivery.time_ms for delivery in await taken(reading, 1)] == [time_ms]


async def test_a_header_that_the_library_cannot_read_stops_nothing(
    site: Site, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time beyond the calendar: the client library's own reader ends the connection, again and again."""
    source = site.source(namespace)

    def raw(pieces: list[bytes], table: dict[str, bytes]) -> int:
        body = b"".join(bytes([len(name)]) + name.encode() + value for name, value in table.items())
        pieces += [struct.pack(">I", len(body)), body]
        return 4 + len(body)

    with source.channel() as channel, monkeypatch.context() as patched:
        patched.setattr(pika.data, "encode_table", raw)
        odd = {"at": b"T" + struct.pack(">Q", 1_790_000_000_123), "rate": b"d" + struct.pack(">d", 1.5)}
        channel.basic_publish("", namespace, b"odd", pika.BasicProperties(headers=odd, message_id="1"))
    source.put([b"after"])
    async with opened("rabbitmq", source.settings) as reading:
        found = await taken(reading, 2)
    assert [delivery.body for delivery in found] == [b"odd", b"after"]
    assert dict(found[0].headers) == {"at": b"1790000000123", "rate": b"1.5", "message-id": b"1"}


async def test_a_body_that_is_not_what_it_says_stays_as_it_came(site: Site, namespace: str) -> None:
    source = site.source(namespace)
    source.put([b"\x00\xff no gzip", b""], content_encoding="gzip")
    async with opened("rabbitmq", source.settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 2)] == [b"\x00\xff no gzip", b""]


# queues


async def test_several_queues_and_streams_in_one_bridge(site: Site, namespace: str) -> None:
    names = {way: f"{namespace}.{way}" for way in ("classic", "quorum", "stream")}
    sources = {way: site.source(name, way) for way, name in names.items()}
    for way, source in sources.items():
        source.put([f"{way}{n}".encode() for n in range(100)])
    settings = {"url": site.url, "queues": list(names.values()), "prefetch": 30}
    async with opened("rabbitmq", settings) as reading:
        found = await taken(reading, 300)
        for way, name in names.items():
            came = [delivery.body for delivery in found if delivery.position.startswith(f"{name}/")]
            assert came == [f"{way}{n}".encode() for n in range(100)], "each in its order"
        newest = {part.name: part.position for part in reading.parts()}
        assert newest == {
            names["classic"]: f"{names['classic']}/m99",
            names["quorum"]: f"{names['quorum']}/m99",
            names["stream"]: f"{names['stream']}/99",
        }
    async with opened("rabbitmq", settings) as reading:
        assert await nothing_more(reading)


@pytest.mark.parametrize("way", ["classic", "quorum", "stream"])
async def test_the_lag_is_known_and_falls_to_nothing(site: Site, namespace: str, way: str) -> None:
    source = site.source(namespace, way)
    source.put(bodies(0, 200))
    async with opened("rabbitmq", {**source.settings, "prefetch": 50}) as reading:
        first = await reading.take(10)
        # of a stream the last chunk counts as one message; each publish was confirmed, so chunks are of one
        await until(lambda: reading.lag() == 200 - len(first.deliveries))
        await reading.ack(first)
        await taken(reading, 200 - len(first.deliveries))
        await until(lambda: reading.lag() == 0)
        assert [part.lag for part in reading.parts()] == [0]


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():  # noqa: ASYNC110 - it is the adapter's own clock that is waited for
            await asyncio.sleep(0.05)


async def test_urgent_messages_come_first_in_a_priority_queue(site: Site, namespace: str) -> None:
    source = site.source(namespace, **{"x-max-priority": 5})
    source.put([b"later"], priority=1)
    source.put([b"first"], priority=5)
    async with opened("rabbitmq", source.settings) as reading:
        found = await taken(reading, 2)
    assert [(delivery.body, delivery.meta()["priority"]) for delivery in found] == [(b"first", 5), (b"later", 1)]


@pytest.mark.parametrize("way", ["classic", "quorum", "stream"])
async def test_a_sample_consumes_nothing(site: Site, namespace: str, way: str) -> None:
    source = site.source(namespace, way)
    source.put(bodies(0, 20))
    sample = await bridge("rabbitmq", source.settings).sample(5)
    assert [d.body for d in sample] == (bodies(15, 20) if way == "stream" else bodies(0, 5))
    async with opened("rabbitmq", source.settings) as reading:
        assert [d.body for d in await taken(reading, 20)] == bodies(0, 20)
        assert [d.body for d in await bridge("rabbitmq", source.settings).sample(5)] == (
            bodies(15, 20) if way == "stream" else []
        )


async def test_a_sample_of_nothing_is_empty(site: Site, namespace: str) -> None:
    assert await bridge("rabbitmq", site.source(namespace, "stream").settings).sample(5) == []


@pytest.mark.parametrize("tls", [False, True])
async def test_memory_stays_flat_while_nobody_takes(site: Site, namespace: str, tls: bool) -> None:
    """150 MB wait, and the prefetch would allow for all of them."""
    source = site.source(namespace)
    source.put([bytes([n]) * MB for n in range(150)])
    url = site.tls_url if tls else site.url
    own_process = psutil.Process()
    before = own_process.memory_info().rss
    async with opened(
        "rabbitmq", {**source.settings, "url": url, "ca_file": str(site.certificates / "ca.pem")}
    ) as reading:
        found = [delivery.body[0] for delivery in await taken(reading, 1)]
        # real time: that the rest does not come shows in nothing else, and in this time all of it would
        await asyncio.sleep(2)
        assert own_process.memory_info().rss - before < 120 * MB
        found += [delivery.body[0] for delivery in await taken(reading, 149)]
        assert found == list(range(150))


# connecting


async def test_tls_with_a_certificate_of_our_own(site: Site, namespace: str) -> None:
    source = site.source(namespace)
    source.put(bodies(0, 3))
    files = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
    settings = {name: str(site.certificates / file) for name, file in files.items()}
    async with opened("rabbitmq", {**source.settings, "url": site.tls_url, **settings}) as reading:
        assert [d.body for d in await taken(reading, 3)] == bodies(0, 3)


async def test_the_first_server_of_a_list_that_answers_is_used(site: Site, namespace: str) -> None:
    source = site.source(namespace)
    source.put(bodies(0, 3))
    async with opened("rabbitmq", {**source.settings, "url": ["amqp://127.0.0.1:1", site.url]}) as reading:
        assert [d.body for d in await taken(reading, 3)] == bodies(0, 3)


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"url": "amqp://no.such.host.invalid"}, Unavailable, ["no.such.host.invalid:5672", "settings.url"]),
        ({"url": "amqp://127.0.0.1:1"}, Unavailable, ["nobody listens at 127.0.0.1:1", "settings.url"]),
        ({"password": "env:WRONG"}, Refused, ["guest", "settings.password", "rabbitmqctl authenticate_user"]),
        ({"password": "env:MISSING"}, Refused, ["variable MISSING"]),
        ({"url": "{url}/nowhere"}, Refused, ["virtual host nowhere", "settings.url"]),
        ({"queues": "not.there"}, Unavailable, ["no queue 'not.there'", "settings.queues"]),
        ({"url": "{tls}"}, Refused, ["certificate", "not trusted", "settings.ca_file"]),
        ({"url": "amqps://{url_host}", "ca_file": "{ca}"}, Refused, ["does not speak TLS", "settings.url"]),
        ({"url": "amqp://{tls_host}"}, Refused, ["write amqps://"]),
        ({"url": "{tls}", "ca_file": "/no/such/file"}, Refused, ["settings.ca_file", "/no/such/file"]),
        (
            {"username": "reader", "password": "env:READER"},
            Refused,
            ["refused for user 'reader'", "rabbitmqctl set_permissions"],
        ),
    ],
)
async def test_errors_name_the_cause_and_the_mend(
    site: Site, settings: dict[str, Any], kind: type[Exception], words: list[str]
) -> None:
    if settings.get("username") == "reader":
        site.control("add_user", "reader", "readers-password")
        site.control("set_permissions", "reader", "^$", "^$", "^$")
    values = {
        "url": site.url,
        "tls": site.tls_url,
        "url_host": f"localhost:{site.ports['amqp']}",
        "tls_host": f"localhost:{site.ports['amqps']}",
        "ca": str(site.certificates / "ca.pem"),
    }
    made = {name: value.format(**values) for name, value in {"url": site.url, "queues": "q", **settings}.items()}
    if made["queues"] == "q":
        site.source("q")
    error = await error_of(bridge("rabbitmq", made, environ={"WRONG": "wrong password", "READER": "readers-password"}))
    assert type(error) is kind, error
    for word in words:
        assert word in str(error)
    assert "wrong password" not in str(error)


@pytest.mark.parametrize("way", ["classic", "quorum", "stream"])
async def test_the_rights_that_the_page_names_are_enough(site: Site, namespace: str, way: str) -> None:
    site.control("add_user", namespace, "password-of-the-user")
    offset = r"\.offset$"
    site.control("set_permissions", namespace, offset if way == "stream" else "^$", rf"{offset}|^amq\.default$", ".*")
    source = site.source(namespace, way)
    source.put(bodies(0, 3))
    settings = {**source.settings, "username": namespace, "password": "env:P"}
    async with opened("rabbitmq", settings, environ={"P": "password-of-the-user"}) as reading:
        assert [d.body for d in await taken(reading, 3)] == bodies(0, 3)


# faults


async def test_a_queue_that_is_deleted_and_made_again(site: Site, namespace: str) -> None:
    source = site.source(namespace)
    source.put(bodies(0, 10))
    pump = Pump("rabbitmq", source.settings)
    await pump.until(set(bodies(0, 10)))
    source.delete()
    await pump.until_error("deleted")
    await pump.until_error("no queue")
    source.make()
    source.put(bodies(10, 20))
    await pump.until(set(bodies(0, 20)))
    await pump.end()


async def test_a_user_that_is_deleted_is_refused_from_then_on(site: Site, namespace: str) -> None:
    site.control("add_user", namespace, "secret-of-the-user")
    site.control("set_permissions", namespace, ".*", ".*", ".*")
    source = site.source(namespace)
    source.put(bodies(0, 5))
    settings = {**source.settings, "username": namespace, "password": "env:P"}
    environ = {"P": "secret-of-the-user"}
    async with opened("rabbitmq", settings, environ=environ) as reading:
        assert len(await taken(reading, 5)) == 5
        site.control("delete_user", namespace)
        # the server's reason is lost when it closes the socket while we write
        with pytest.raises(Unavailable, match=r"deleted|is lost"):
            await ended(reading)
    assert isinstance(await error_of(bridge("rabbitmq", settings, environ=environ)), Refused)


async def ended(reading: Bridge) -> None:
    """Take until it raises."""
    async with asyncio.timeout(20):
        while True:
            await reading.take(10)


@asynccontextmanager
async def proxied(site: Site) -> AsyncIterator[tuple[Proxy, str]]:
    """A way to the server that can be cut, and the URL of it."""
    proxy = Proxy(ports.free_port(), "127.0.0.1", site.ports["amqp"])
    await proxy.start()
    try:
        yield proxy, f"amqp://127.0.0.1:{proxy.port}"
    finally:
        await proxy.close()


async def test_a_network_that_is_silent_is_noticed_and_nothing_is_lost(site: Site, namespace: str) -> None:
    """No RST, no end: only heartbeats tell."""
    source = site.source(namespace)
    source.put(bodies(0, 10))
    async with proxied(site) as (proxy, url):
        pump = Pump("rabbitmq", {**source.settings, "url": url})
        await pump.until(set(bodies(0, 10)))
        proxy.stall()
        source.put(bodies(10, 20))
        assert not pump.errors
        await pump.until_error("")  # a heartbeat that is missing, or an answer
        proxy.heal()
        await pump.until(set(bodies(0, 20)))
        await pump.end()


async def test_a_connection_that_is_reset_again_and_again_loses_nothing(site: Site, namespace: str) -> None:
    sources = [site.source(f"{namespace}.{way}", way) for way in ("classic", "quorum", "stream")]
    queues = [source.queue for source in sources]
    wanted = {f"{queue}-{n}".encode() for queue in queues for n in range(300)}
    async with proxied(site) as (proxy, url):
        pump = Pump("rabbitmq", {"url": url, "queues": queues, "prefetch": 90})
        for part in range(3):
            for source in sources:
                some = [f"{source.queue}-{n}".encode() for n in range(part * 100, part * 100 + 100)]
                await asyncio.to_thread(source.put, some)
            proxy.drop()
        await pump.until(wanted)
        await pump.end()
    assert pump.errors
    assert len(pump.found) == len(wanted), "each has one position, however often it came"


def publish(source: RabbitmqSource, count: int, killed: threading.Event) -> None:
    """Until every message is confirmed; a tenth of them before the server may be killed, some at that moment."""
    left = [f"{source.queue}-{n}".encode() for n in range(count)]
    while left:
        if len(left) <= count // 3:
            killed.wait()
        try:
            source.put(left[:20])
        except pika.exceptions.AMQPError:
            time.sleep(0.2)
        else:
            left = left[20:]
            time.sleep(0.1)  # the load, for some seconds: RabbitMQ's own list of queues is safe after two


@pytest.mark.slow
async def test_the_server_is_killed_under_load_and_nothing_is_lost(site: Site, namespace: str) -> None:
    sources = [site.source(f"{namespace}.{way}", way) for way in ("classic", "quorum", "stream")]
    settings = {"url": site.url, "queues": [source.queue for source in sources]}
    wanted = {f"{source.queue}-{n}".encode() for source in sources for n in range(900)}
    killed = threading.Event()
    publishers = [asyncio.create_task(asyncio.to_thread(publish, source, 900, killed)) for source in sources]
    pump = Pump("rabbitmq", settings)
    await pump.until({f"{source.queue}-500".encode() for source in sources})
    site.server.kill()
    killed.set()
    site.server.start()
    await asyncio.gather(*publishers)
    await pump.until(wanted)
    await pump.end()
    assert pump.errors
    assert not [position for position in pump.found if "@" in position], "it is the same stream as before"
    async with opened("rabbitmq", settings) as reading:
        assert await nothing_more(reading), "what was acknowledged was remembered"


@pytest.mark.long
async def test_a_server_that_is_short_of_disk_keeps_no_offset_and_says_so(site: Site, namespace: str) -> None:
    """Queues go on, streams wait; afterwards both go on, and nothing is missing."""
    queue, stream = site.source(namespace), site.source(f"{namespace}.stream", "stream")
    queue.put(bodies(0, 5))
    stream.put(bodies(0, 5))
    site.control("set_disk_free_limit", "100000GB")
    try:
        async with opened("rabbitmq", queue.settings) as reading:
            assert [d.body for d in await taken(reading, 5)] == bodies(0, 5)
        pump = Pump("rabbitmq", stream.settings)
        await pump.until_error("rabbitmq-diagnostics alarms")
        assert not pump.found
    finally:
        site.control("set_disk_free_limit", "50MB")
    await pump.until(set(bodies(0, 5)))
    await pump.end()


# streams


async def test_only_one_instance_reads_a_stream(site: Site, namespace: str) -> None:
    source = site.source(namespace, "stream")
    source.put(bodies(0, 5))
    async with opened("rabbitmq", source.settings) as reading:
        await taken(reading, 5)
        error = await error_of(bridge("rabbitmq", source.settings))
        assert isinstance(error, Unavailable)
        assert "another instance" in str(error)
        with pytest.raises(Unavailable, match="another instance"):
            await bridge("rabbitmq", source.settings).rewind(Rewind("beginning"))
        async with opened("rabbitmq", source.settings, id="other") as other:
            assert len(await taken(other, 5)) == 5, "another bridge has an offset of its own"
    async with opened("rabbitmq", source.settings) as reading:
        assert await nothing_more(reading)


async def test_a_stream_is_rewound(site: Site, namespace: str) -> None:
    source = site.source(namespace, "stream")
    source.put(bodies(0, 10))
    async with opened("rabbitmq", source.settings) as reading:
        await taken(reading, 10)
    await asyncio.sleep(1.1)  # RabbitMQ's times are whole seconds
    at_ms = time.time_ns() // 1_000_000
    source.put(bodies(10, 20))
    for to, first in [
        (Rewind("beginning"), 0),
        (Rewind("offset", offset="7"), 7),
        (Rewind("offset", offset=f"{namespace}/12"), 12),
        (Rewind("time", at_ms=at_ms), 10),
    ]:
        await bridge("rabbitmq", source.settings).rewind(to)
        async with opened("rabbitmq", source.settings) as reading:
            found = await taken(reading, 20 - first)
            assert [d.body for d in found] == bodies(first, 20), to
            assert found[0].position == f"{namespace}/{first}", "the same coordinates as the first time"
            assert await nothing_more(reading)


@pytest.mark.parametrize("offset", ["x", "-1", "other/3", ""])
async def test_an_offset_that_is_none_is_refused(site: Site, namespace: str, offset: str) -> None:
    source = site.source(namespace, "stream")
    with pytest.raises(Refused, match=f"write {namespace}/17"):
        await bridge("rabbitmq", source.settings).rewind(Rewind("offset", offset=offset))


async def test_a_queue_cannot_be_rewound(site: Site, namespace: str) -> None:
    with pytest.raises(Refused, match="keeps no message"):
        await bridge("rabbitmq", site.source(namespace).settings).rewind(Rewind("beginning"))


async def test_latest_begins_at_the_end_and_stays_there(site: Site, namespace: str) -> None:
    source = site.source(namespace, "stream")
    source.put(bodies(0, 5))
    await asyncio.sleep(1.1)  # RabbitMQ's times are whole seconds
    settings = {**source.settings, "start": "latest"}
    async with opened("rabbitmq", settings) as reading:
        assert await nothing_more(reading)
    source.put(bodies(5, 8))  # while nobody reads: not to be skipped
    async with opened("rabbitmq", settings) as reading:
        assert [d.body for d in await taken(reading, 3)] == bodies(5, 8)


async def test_a_stream_that_sends_one_message_at_a_time_goes_on_after_a_restart(site: Site, namespace: str) -> None:
    """The first one that it then sends is the one that was acknowledged last, and counts against the prefetch."""
    source = site.source(namespace, "stream")
    settings = {**source.settings, "prefetch": 1}
    for first in (0, 3, 6):
        source.put(bodies(first, first + 3))
        async with opened("rabbitmq", settings) as reading:
            assert [d.body for d in await taken(reading, 3)] == bodies(first, first + 3)


async def remade(source: RabbitmqSource, count: int) -> None:
    source.delete()
    source.make()
    source.put([f"new{n}".encode() for n in range(count)])


@pytest.mark.parametrize("count", [3, 10, 15])
async def test_a_stream_that_was_made_again_while_nobody_read_is_read_from_its_beginning(
    site: Site, namespace: str, count: int
) -> None:
    """Offsets begin at 0 again. Shorter, as long, longer than before: none is taken for an old one."""
    source = site.source(namespace, "stream")
    source.put(bodies(0, 10))
    async with opened("rabbitmq", source.settings) as reading:
        old = await taken(reading, 10)
    await remade(source, count)
    pump = Pump("rabbitmq", source.settings)
    await pump.until({f"new{n}".encode() for n in range(count)})
    await pump.end()
    assert len(pump.found) == count
    assert not {delivery.position for delivery in old} & set(pump.found)
    async with opened("rabbitmq", source.settings) as reading:
        assert await nothing_more(reading), "and that is remembered"


async def test_a_stream_that_was_made_again_and_filled_later(site: Site, namespace: str) -> None:
    source = site.source(namespace, "stream")
    source.put(bodies(0, 10))
    async with opened("rabbitmq", source.settings) as reading:
        await taken(reading, 10)
    await remade(source, 0)
    pump = Pump("rabbitmq", source.settings)
    await pump.until_connected()
    source.put([b"new0", b"new1"])
    await pump.until({b"new0", b"new1"})
    await pump.end()
    assert len(pump.found) == 2


async def test_a_stream_that_is_deleted_while_it_is_read(site: Site, namespace: str) -> None:
    """Equal messages, so that only the deletion itself tells."""
    source = site.source(namespace, "stream")
    source.put([b"same"] * 5)
    pump = Pump("rabbitmq", source.settings)
    await pump.until({b"same"})
    source.delete()
    await pump.until_error("was deleted")
    await pump.until_error("no queue")
    source.make()
    source.put([b"same"] * 5)
    source.put([b"last"])
    await pump.until({b"last"})
    await pump.end()
    assert len(pump.found) == 11


async def test_what_retention_has_deleted_is_said_and_the_rest_is_read(site: Site, namespace: str) -> None:
    limits = {"x-max-length-bytes": 200_000, "x-stream-max-segment-size-bytes": 50_000}
    source = site.source(namespace, "stream", **limits)
    source.put(bodies(0, 5))
    async with opened("rabbitmq", source.settings) as reading:
        await taken(reading, 5)
    source.put([bytes([n % 256]) * 10_000 for n in range(100)])
    async with opened("rabbitmq", source.settings) as reading:
        found = await taken(reading, 1)
        assert int(found[0].position.rpartition("/")[2]) > 5
