"""NATS beyond the contract: subjects, consumers of others, takeover, rewinding, TLS, errors in words, faults."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, RetentionPolicy

from bridges import nats, nats_link
from bridges.base import Rewind
from hub.chaos.proxy import Proxy
from hub.errors import Refused, Unavailable
from hub.stack import ports
from tests.live.reading import Pump, bridge, error_of, nothing_more, opened, take, taken
from tests.servers.running import Own, own
from tests.sources.nats import NatsSource, on_jetstream, publish
from tests.waiting import wait_for

MB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("nats", tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture
def source(server: Own, namespace: str) -> NatsSource:
    return NatsSource(server.url, namespace)


def bodies(first: int, after: int) -> list[bytes]:
    return [f"m{n}".encode() for n in range(first, after)]


def send(source: NatsSource, subject: str, some: list[bytes], headers: dict[str, str] | None = None) -> None:
    call = partial(publish, subject=f"{source.subject}.{subject}", bodies=some, headers=headers)
    on_jetstream(source.url, call)


def consumer(source: NatsSource, name: str = "t_bridge_b") -> ConsumerInfo:
    return on_jetstream(source.url, partial(JetStreamContext.consumer_info, stream=source.stream, consumer=name))


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


# what a message is made of


async def test_headers_and_coordinates_are_there_for_mappings(source: NatsSource) -> None:
    headers = {"Content-Encoding": "gzip", "hub-payload-id": "own", "Word": "ä"}
    before = time.time_ns() // 1_000_000
    send(source, "eu.orders", [gzip.compress(b'{"a": 1}')], headers)
    async with opened("nats", source.settings) as reading:
        [found] = await taken(reading, 1)
    assert (found.body, found.position) == (b'{"a": 1}', f"{source.stream}/1")
    assert before - 1000 <= (found.time_ms or 0) <= time.time_ns() // 1_000_000 + 1000
    assert found.meta() == {
        "position": f"{source.stream}/1",
        "timestamp": found.time_ms,
        "key": None,
        "headers": headers,
        "subject": f"{source.subject}.eu.orders",
        "stream": source.stream,
        "sequence": 1,
        "delivered": 1,
    }


async def test_only_some_subjects(source: NatsSource) -> None:
    for subject in ("eu.orders", "us.orders", "eu.returns"):
        send(source, subject, [subject.encode()])
    async with opened("nats", {**source.settings, "subject": f"{source.subject}.*.orders"}) as reading:
        assert [delivery.body for delivery in await taken(reading, 2)] == [b"eu.orders", b"us.orders"]
        assert await nothing_more(reading)
        assert reading.lag() == 0


async def test_10_mb_of_bytes(source: NatsSource) -> None:
    large = bytes(range(256)) * (10 * MB // 256)
    source.put([large, b"next"])
    async with opened("nats", source.settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 2)] == [large, b"next"]


async def test_the_next_round_begins_as_soon_as_the_server_has_given_one_up(
    source: NatsSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that come between two rounds are in none: they would wait as long as `take` does."""
    monkeypatch.setattr(nats, "LINGER_S", 0.2)
    monkeypatch.setattr(nats, "WAIT_S", 600.0)
    async with asyncio.timeout(60), opened("nats", source.settings) as reading:
        assert not (await reading.take(1)).deliveries
        source.put([b"late"])
        assert [delivery.body for delivery in await taken(reading, 1)] == [b"late"]


async def test_the_lag_is_known_and_falls_to_nothing(source: NatsSource) -> None:
    source.put(bodies(0, 700))
    async with opened("nats", source.settings) as reading:
        assert reading.lag() == 700
        await taken(reading, 100)
        assert reading.lag() == 600
        [part] = reading.parts()
        assert part == (source.stream, 600, f"{source.stream}/100")
        await taken(reading, 600)
        assert reading.lag() == 0
        # and grows while nobody takes
        source.put(bodies(0, 900))
        async with asyncio.timeout(20):
            while (reading.lag() or 0) < 900:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_look_takes_nothing(source: NatsSource) -> None:
    look = bridge("nats", source.settings)
    assert await look.sample(5) == []
    source.put(bodies(0, 30))
    assert [delivery.body for delivery in await look.sample(5)] == bodies(0, 5)
    async with opened("nats", source.settings) as reading:
        await taken(reading, 10)
        sampled = await bridge("nats", source.settings).sample(5)
        assert [delivery.body for delivery in sampled] == bodies(10, 15)
        found = await taken(reading, 20)
        assert [delivery.body for delivery in found] == bodies(10, 30)
        assert (sampled[0].position, sampled[0].time_ms) == (found[0].position, found[0].time_ms)
        await asyncio.to_thread(wait_for, "all are acknowledged", lambda: not consumer(source).num_ack_pending, 20)
    # none wait: then the newest
    assert [delivery.body for delivery in await bridge("nats", source.settings).sample(5)] == bodies(25, 30)


# consumers


async def test_what_a_dead_bridge_had_comes_at_once_and_before_what_is_newer(source: NatsSource) -> None:
    source.put(bodies(0, 100))
    settings = {**source.settings, "ack_wait_s": 600}
    dead = bridge("nats", settings)
    await dead.connect()
    batches = await take(dead, 100)
    assert len(batches) >= 1
    await dead._link.client.close()  # type: ignore[attr-defined] # as a kill does: nothing is said
    source.put(bodies(100, 200))
    async with opened("nats", settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 200)] == bodies(0, 200)
        assert await nothing_more(reading)
    await dead.close()


async def test_what_is_in_flight_for_long_does_not_come_again(source: NatsSource) -> None:
    source.put(bodies(0, 50))
    async with opened("nats", {**source.settings, "ack_wait_s": 1}) as reading:
        batches = await take(reading, 30)  # the others wait in the bridge
        await asyncio.sleep(3.5)  # our Kafka takes its time
        for batch in batches:
            await reading.ack(batch)
        assert [delivery.body for delivery in await taken(reading, 20)] == bodies(30, 50)
        assert await nothing_more(reading)
    assert consumer(source).num_redelivered == 0


async def test_two_processes_share_a_consumer(source: NatsSource) -> None:
    pumps = [Pump("nats", source.settings) for _ in range(2)]
    wanted: list[bytes] = []
    while not all(pump.order for pump in pumps):
        some = bodies(len(wanted), len(wanted) + 50)
        await asyncio.to_thread(source.put, some)
        wanted += some
    async with asyncio.timeout(30):
        while sum(len(pump.order) for pump in pumps) < len(wanted):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert sorted(pumps[0].order + pumps[1].order) == sorted(wanted)
    for pump in pumps:
        await pump.end()


async def test_latest_begins_at_the_end_and_stays_there(source: NatsSource) -> None:
    source.put(bodies(0, 5))
    settings = {**source.settings, "start": "latest"}
    async with opened("nats", settings) as reading:
        assert await nothing_more(reading)
    source.put(bodies(5, 7))  # while nobody reads: not to be skipped
    async with opened("nats", settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 2)] == bodies(5, 7)


async def test_a_consumer_that_somebody_has_made_is_used(source: NatsSource) -> None:
    config = ConsumerConfig(durable_name="theirs", ack_wait=77, filter_subject=f"{source.subject}.b")
    on_jetstream(source.url, partial(JetStreamContext.add_consumer, stream=source.stream, config=config))
    send(source, "a", [b"a"])
    send(source, "b", [b"b"])
    settings = {**source.settings, "durable": "theirs", "subject": f"{source.subject}.b"}
    async with opened("nats", settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 1)] == [b"b"]
    assert consumer(source, "theirs").config.ack_wait == 77


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"ack_policy": AckPolicy.NONE}, "ack policy none"),
        ({"ack_policy": AckPolicy.ALL}, "ack policy all"),
        ({"deliver_subject": "somewhere"}, "pushes"),
        ({"filter_subject": "SUBJECT.b"}, "reads source."),
    ],
)
async def test_a_consumer_with_which_messages_would_be_lost_is_refused(
    source: NatsSource, config: dict[str, Any], words: str
) -> None:
    if "filter_subject" in config:
        config = {"filter_subject": config["filter_subject"].replace("SUBJECT", source.subject)}
    made = ConsumerConfig(durable_name="theirs", **config)
    on_jetstream(source.url, partial(JetStreamContext.add_consumer, stream=source.stream, config=made))
    error = await error_of(bridge("nats", {**source.settings, "durable": "theirs"}))
    assert isinstance(error, Refused)
    assert words in str(error)
    assert f"nats consumer rm {source.stream} theirs" in str(error)


@pytest.mark.parametrize("what", ["consumer", "stream"])
async def test_what_is_deleted_and_made_again_is_read_again(source: NatsSource, server: Own, what: str) -> None:
    pump = Pump("nats", source.settings)
    await asyncio.to_thread(source.put, bodies(0, 20))
    await pump.until(bodies(0, 20))
    if what == "stream":
        delete = partial(JetStreamContext.delete_stream, name=source.stream)
        await asyncio.to_thread(on_jetstream, source.url, delete)
        error = await pump.until_error(f"no stream {source.stream}")
        assert isinstance(error, Unavailable)
        assert "nats stream add" in str(error)
        again = await asyncio.to_thread(NatsSource, server.url, source.stream)
        await asyncio.to_thread(again.put, bodies(20, 40))
    else:
        delete = partial(JetStreamContext.delete_consumer, stream=source.stream, consumer="t_bridge_b")
        await asyncio.to_thread(on_jetstream, source.url, delete)
        await pump.until_error("is gone")
        await asyncio.to_thread(source.put, bodies(20, 40))
    await pump.until(bodies(20, 40))
    await pump.end()


# rewinding


@pytest.mark.parametrize(
    ("to", "again"),
    [
        (Rewind("beginning"), bodies(0, 20)),
        (Rewind("offset", offset="13"), bodies(12, 20)),
        (Rewind("time"), bodies(10, 20)),
    ],
)
async def test_rewound(source: NatsSource, to: Rewind, again: list[bytes]) -> None:
    source.put(bodies(0, 10))
    await asyncio.sleep(0.01)
    middle = time.time_ns() // 1_000_000
    source.put(bodies(10, 20))
    async with opened("nats", source.settings) as reading:
        first = await taken(reading, 20)
    await bridge("nats", source.settings).rewind(to._replace(at_ms=middle) if to.to == "time" else to)
    async with opened("nats", source.settings) as reading:
        found = await taken(reading, len(again))
        assert [delivery.body for delivery in found] == again
        assert await nothing_more(reading)
    assert {delivery.position for delivery in found} <= {delivery.position for delivery in first}


async def test_what_cannot_be_rewound(server: Own, source: NatsSource, namespace: str) -> None:
    with pytest.raises(Refused, match="no sequence number"):
        await bridge("nats", source.settings).rewind(Rewind("offset", offset="first"))
    queue = NatsSource(server.url, f"{namespace}q", RetentionPolicy.WORK_QUEUE)
    with pytest.raises(Refused, match="keeps no message that is acknowledged"):
        await bridge("nats", queue.settings).rewind(Rewind("beginning"))


# who may


async def test_tls_with_an_authority_of_our_own(tmp_path: Path, namespace: str) -> None:
    with own("nats_tls", tmp_path / "n") as running:
        ca = str(running.home / "tls" / "ca.pem")
        url = running.url.replace("nats://127.0.0.1", "tls://localhost")
        error = await error_of(bridge("nats", {"url": running.url, "stream": namespace}))
        assert isinstance(error, Refused)
        assert "settings.ca_file" in str(error)
        for one in (url, running.url):  # the server asks for TLS whatever the address says
            error = await error_of(bridge("nats", {"url": one, "stream": namespace, "ca_file": ca}))
            assert "no stream" in str(error)


async def test_a_file_of_credentials(tmp_path: Path, namespace: str) -> None:
    with own("nats_jwt", tmp_path / "n") as running:
        creds = str(running.home / "user.creds")
        make = partial(JetStreamContext.add_stream, name=namespace, subjects=[namespace])
        jwt, sign = nats_link._credentials(creds)
        on_jetstream(running.url, make, user_jwt_cb=lambda: jwt, signature_cb=sign)
        settings = {"url": running.url, "stream": namespace}
        async with opened("nats", {**settings, "creds_file": creds}) as reading:
            assert await nothing_more(reading)
        for wrong in ({}, {"creds_file": str(running.home / "stranger.creds")}):
            error = await error_of(bridge("nats", {**settings, **wrong}))
            assert isinstance(error, Refused), error
            assert "does not let us in" in str(error)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"url": "nats://no.such.host.invalid"}, Unavailable, ["no.such.host.invalid", "not known", "settings.url"]),
        ({"url": "nats://127.0.0.1:1"}, Unavailable, ["nobody listens at", "settings.url"]),
        ({"stream": "NOT-THERE"}, Unavailable, ["no stream NOT-THERE", "nats stream add NOT-THERE"]),
        ({"username": "reader", "password": "env:WRONG"}, Refused, ["does not let us in", "settings.username"]),
        ({"token": "env:WRONG"}, Refused, ["does not let us in", "token"]),
        ({"username": "reader", "password": "env:NOT_SET"}, Refused, ["variable NOT_SET"]),
        ({"username": "stranger", "password": "env:STRANGER"}, Refused, ["denies this user", "$JS.API"]),
        ({"username": "bare", "password": "env:BARE"}, Unavailable, ["JetStream", "account"]),
        ({"domain": "elsewhere"}, Unavailable, ["JetStream", "settings.domain"]),
        ({"url": "tls://URL"}, Refused, ["TLS", "nats://"]),
        ({"creds_file": "/no/such.creds"}, Refused, ["creds_file", "/no/such.creds"]),
        ({"subject": "not.in.this.stream"}, Refused, ["refused", "subject"]),
    ],
)
async def test_errors_name_the_cause_and_the_mend(
    source: NatsSource, changes: dict[str, Any], kind: type[Exception], words: list[str]
) -> None:
    settings = {**source.settings, **changes}
    settings["url"] = settings["url"].replace("//URL", source.url.removeprefix("nats:"))
    secrets = {"WRONG": "wrong", "STRANGER": "let-me-in", "BARE": "no-streams"}
    error = await error_of(bridge("nats", settings, secrets))
    assert isinstance(error, kind), error
    for word in words:
        assert word in str(error)


async def test_a_user_that_is_removed_ends_the_bridge_until_it_is_there_again(tmp_path: Path, namespace: str) -> None:
    with own("nats", tmp_path / "n") as running:
        source = NatsSource(running.url, namespace)
        pump = Pump("nats", {**source.settings, "username": "reader", "password": "env:NATS"}, {"NATS": "read-it"})
        await asyncio.to_thread(source.put, bodies(0, 10))
        await pump.until(bodies(0, 10))
        conf = running.home / "nats.conf"
        before = conf.read_text()
        conf.write_text(before.replace("user: reader", "user: gone"))
        os.kill(running.pid, signal.SIGHUP)
        error = await pump.until_error("does not let us in")
        assert isinstance(error, Refused)
        await asyncio.to_thread(source.put, bodies(10, 20))
        conf.write_text(before)
        os.kill(running.pid, signal.SIGHUP)
        await pump.until(bodies(0, 20))
        await pump.end()


# faults


async def test_a_network_that_is_silent_is_noticed_and_nothing_is_lost(source: NatsSource) -> None:
    """No RST, no end: only the pings tell. Within 15 s, or the test takes too long."""
    proxy = Proxy(ports.free_port(), "127.0.0.1", port_of(source.url))
    await proxy.start()
    await asyncio.to_thread(source.put, bodies(0, 10))
    pump = Pump("nats", {**source.settings, "url": f"nats://127.0.0.1:{proxy.port}"})
    await pump.until(bodies(0, 10))
    proxy.stall()
    await asyncio.to_thread(source.put, bodies(10, 20))
    async with asyncio.timeout(16):
        await pump.until_error("is lost")
    proxy.heal()
    await pump.until(bodies(0, 20))
    await pump.end()
    await proxy.close()


async def test_a_connection_that_is_reset_again_and_again_loses_nothing(source: NatsSource) -> None:
    proxy = Proxy(ports.free_port(), "127.0.0.1", port_of(source.url))
    await proxy.start()
    pump = Pump("nats", {**source.settings, "url": f"nats://127.0.0.1:{proxy.port}"})
    for part in range(4):
        await asyncio.to_thread(source.put, bodies(part * 300, part * 300 + 300))
        proxy.drop()
    await pump.until(bodies(0, 1200))
    await pump.end()
    await proxy.close()
    assert pump.errors
    assert len(pump.found) == 1200, "each has one position, however often it came"


async def test_the_server_is_killed_under_load_and_nothing_is_lost(tmp_path: Path, namespace: str) -> None:
    with own("nats", tmp_path / "n") as running:
        source = NatsSource(running.url, namespace)
        pump = Pump("nats", source.settings)
        for part in range(3):
            await asyncio.to_thread(source.put, bodies(part * 500, part * 500 + 500))
            running.kill()
            running.start()
        await pump.until(bodies(0, 1500))
        await pump.end()
        assert pump.errors
        assert len(pump.found) == 1500


async def test_what_was_left_behind_comes_in_order_however_the_server_gave_it_up(source: NatsSource) -> None:
    """The time of nine is over, the first went to somebody who is gone, and is given up last."""
    settings = {**source.settings, "ack_wait_s": 1}
    send(source, "a", bodies(1, 11))
    async with opened("nats", settings) as reading:
        assert len(await taken(reading, 10, acknowledge=False)) == 10

    async def one_goes_astray(js: JetStreamContext) -> None:
        other = await js.pull_subscribe_bind(durable="t_bridge_b", stream=source.stream)
        [message] = await other.fetch(1, timeout=20)  # the first whose time is over
        assert message.data == b"m1"

    on_jetstream(source.url, one_goes_astray)
    send(source, "a", bodies(11, 13))
    async with opened("nats", settings) as reading:
        found = await taken(reading, 12)
    assert [delivery.body for delivery in found] == bodies(1, 13)
