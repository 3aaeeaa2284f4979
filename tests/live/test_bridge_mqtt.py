"""MQTT beyond the contract: properties, wildcards, shared subscriptions, TLS, errors in words, faults of the net."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridges.base import Rewind
from bridges.mqtt_link import MqttSettings
from hub.chaos.proxy import Proxy
from hub.errors import Refused, Unavailable
from hub.stack import ports
from tests.live.reading import Pump, bridge, error_of, nothing_more, opened, taken
from tests.servers import mosquitto
from tests.servers.running import Own, own
from tests.sources.mqtt import MqttSource, connected, publish
from tests.waiting import wait_for

MB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("mosquitto", tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture
def source(server: Own, namespace: str) -> MqttSource:
    return MqttSource(server.url, namespace)


def bodies(first: int, after: int) -> list[bytes]:
    return [f"m{n}".encode() for n in range(first, after)]


def properties(**named: Any) -> Properties:
    made = Properties(PacketTypes.PUBLISH)
    for name, value in named.items():
        setattr(made, name, value)
    return made


def send(url: str, topic: str, body: bytes, *, qos: int = 1, **named: Any) -> None:
    with connected(url) as client:
        client.publish(topic, body, qos, properties=properties(**named)).wait_for_publish(30)


# what a message is made of


async def test_properties_are_there_for_mappings(source: MqttSource, server: Own) -> None:
    own_id = str(uuid.uuid4())
    send(
        server.url,
        source.topic,
        gzip.compress(b'{"a": 1}'),
        UserProperty=[("hub-payload-id", own_id), ("content-encoding", "gzip"), ("ä", "ö"), ("ä", "again")],
        ContentType="application/json",
        CorrelationData=b"c-1",
        ResponseTopic="answers/1",
        PayloadFormatIndicator=1,
        MessageExpiryInterval=600,
    )
    async with opened("mqtt", source.settings) as reading:
        [found] = await taken(reading, 1)
    assert (found.body, found.position, found.time_ms) == (b'{"a": 1}', f"{source.topic}/{own_id}", None)
    assert list(found.headers)[2:] == [("ä", "ö".encode()), ("ä", b"again")]
    assert found.meta() == {
        "position": f"{source.topic}/{own_id}",
        "timestamp": None,
        "key": None,
        "headers": {"hub-payload-id": own_id, "content-encoding": "gzip", "ä": "again"},
        "topic": source.topic,
        "qos": 1,
        "retained": False,
        "content_type": "application/json",
        "correlation_data": "c-1",
        "response_topic": "answers/1",
    }


async def test_equal_messages_without_an_id_are_two(source: MqttSource, server: Own) -> None:
    publish(server.url, source.topic, [b"same", b"same"], named=False)
    async with opened("mqtt", source.settings) as reading:
        found = await taken(reading, 2)
    assert len({delivery.position for delivery in found}) == 2


@pytest.mark.parametrize("id_from", ["hub-payload-id", "correlation-data", "order"])
async def test_where_the_id_of_a_message_is(source: MqttSource, server: Own, id_from: str) -> None:
    """A conversation may use correlation data many times, so that is an id only when somebody says so."""
    pairs = [("hub-payload-id", "u"), ("order", "17")]
    send(server.url, source.topic, b"1", UserProperty=pairs, CorrelationData=b"c")
    async with opened("mqtt", {**source.settings, "id_from": id_from}) as reading:
        [found] = await taken(reading, 1)
    wanted = {"hub-payload-id": "u", "correlation-data": "c", "order": "17"}[id_from]
    assert found.position == f"{source.topic}/{wanted}"


async def test_what_was_sent_with_qos_0_is_taken_too(source: MqttSource, server: Own) -> None:
    async with opened("mqtt", source.settings) as reading:
        send(server.url, source.topic, b"0", qos=0)
        publish(server.url, source.topic, [b"1"])
        assert {delivery.body for delivery in await taken(reading, 2)} == {b"0", b"1"}


# topics


async def test_wildcards_and_several_topics(server: Own, namespace: str) -> None:
    settings = {
        "url": server.url,
        "topics": [f"{namespace}/+/orders/#", f"{namespace}/returns"],
        "client_id": namespace,
    }
    async with opened("mqtt", settings) as reading:
        for topic in ("eu/orders/1", "us/orders", "eu/other", "returns", "returns/deeper"):
            publish(server.url, f"{namespace}/{topic}", [topic.encode()])
        found = await taken(reading, 3)
        assert {delivery.body for delivery in found} == {b"eu/orders/1", b"us/orders", b"returns"}
        assert found[0].meta()["topic"] == f"{namespace}/eu/orders/1"
        assert await nothing_more(reading)


@pytest.mark.parametrize("version", ["5", pytest.param("3.1.1", marks=pytest.mark.long)])
async def test_two_bridges_share_a_subscription(server: Own, namespace: str, version: str) -> None:
    """Each message goes to one of them, and a look at the topic takes none."""
    settings = {"url": server.url, "topics": f"$share/hub/{namespace}/#", "version": version}
    both = [{**settings, "client_id": f"{namespace}-{n}"} for n in range(2)]
    for one in both:
        async with opened("mqtt", one):
            pass  # from now on the broker keeps messages for it
    pumps = [Pump("mqtt", one) for one in both]
    wanted: list[bytes] = []
    look = asyncio.create_task(bridge("mqtt", both[0]).sample(20))
    while not (look.done() and all(pump.order for pump in pumps)):
        some = bodies(len(wanted), len(wanted) + 20)
        await asyncio.to_thread(publish, server.url, f"{namespace}/a", some)
        wanted += some
    async with asyncio.timeout(30):
        while sum(len(pump.order) for pump in pumps) < len(wanted):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert sorted(pumps[0].order + pumps[1].order) == sorted(wanted)
    assert len(await look) == 20
    assert pumps[0].errors == pumps[1].errors == []
    for pump in pumps:
        await pump.end()


@pytest.mark.parametrize(("retained", "version", "times"), [(True, "5", 1), (False, "5", 0), (True, "3.1.1", 2)])
async def test_retained_messages(server: Own, namespace: str, retained: bool, version: str, times: int) -> None:
    """MQTT 5 sends them with a new subscription, the protocol before it with each."""
    topic = f"{namespace}/state"
    publish(server.url, topic, [b"kept"], retain=True)
    settings = {"url": server.url, "topics": topic, "client_id": namespace, "retained": retained, "version": version}
    found: list[bytes] = []
    for number in range(2):
        async with opened("mqtt", settings) as reading:
            publish(server.url, topic, [f"{number}".encode()], retain=False)
            while f"{number}".encode() not in found:
                found += [delivery.body for delivery in await taken(reading, 1)]
    assert sorted(found) == [b"0", b"1", *[b"kept"] * times]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_what_is_not_wanted_is_acknowledged_all_the_same(server: Own, namespace: str, version: str) -> None:
    publish(server.url, f"{namespace}/state", [b"kept"], retain=True)
    settings = {"url": server.url, "topics": f"{namespace}/#", "client_id": namespace, "version": version}
    for _ in range(2):
        async with opened("mqtt", {**settings, "retained": False}) as reading:
            assert await nothing_more(reading)


@pytest.mark.parametrize("topic", ["a/#/b", "a#", "a/b+", "", "$share/g/a/#/b"])
def test_what_is_no_filter_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="is no topic filter"):
        MqttSettings(url="mqtt://h", topics=[topic])


async def test_a_look_takes_nothing_and_leaves_the_running_bridge_alone(source: MqttSource) -> None:
    async with opened("mqtt", source.settings) as reading:
        look = asyncio.create_task(bridge("mqtt", source.settings).sample(3))
        wanted: list[bytes] = []
        while not look.done():
            some = bodies(len(wanted), len(wanted) + 2)
            await asyncio.to_thread(source.put, some)
            wanted += some
        assert len(await look) == 3
        assert [delivery.body for delivery in await taken(reading, len(wanted))] == wanted


async def test_it_cannot_be_rewound(source: MqttSource) -> None:
    with pytest.raises(Refused, match="keeps no message that is acknowledged"):
        await bridge("mqtt", source.settings).rewind(Rewind("beginning"))


# back-pressure


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_memory_stays_flat_while_nobody_takes(server: Own, namespace: str, version: str) -> None:
    source = MqttSource(server.url, namespace, version=version)
    large = [bytes([n % 256]) * MB for n in range(200)]
    source.put(large)
    process = psutil.Process()
    before = process.memory_info().rss
    async with opened("mqtt", source.settings) as reading:
        first = await taken(reading, 1)
        publish(server.url, f"{namespace}/other", [b"time for the rest to come"])
        # real time: that the rest does not come shows in nothing else, and in this time all of it would
        await asyncio.sleep(2)
        assert process.memory_info().rss - before < 120 * MB
        rest = await taken(reading, 199)
    assert [delivery.body[:1] for delivery in first + rest] == [body[:1] for body in large]


async def test_a_connection_on_which_nothing_is_read_is_kept_alive(server: Own, namespace: str) -> None:
    source = MqttSource(server.url, namespace, prefetch=5, keepalive_s=2)
    source.put(bodies(0, 20))
    async with opened("mqtt", source.settings) as reading:
        # real time: the broker, which nobody can ask, ends a connection that is silent for 3 s, and looks every 5 s
        await asyncio.sleep(9)
        for first in (0, 5, 10, 15):
            assert [delivery.body for delivery in await taken(reading, 5)] == bodies(first, first + 5)


# who may


async def test_tls_with_an_authority_of_our_own(server: Own, namespace: str) -> None:
    port = mosquitto.port_of(server.home, "mqtts")
    source = MqttSource(server.url, namespace)
    settings = {
        **source.settings,
        "url": f"mqtts://localhost:{port}",
        "ca_file": str(server.home / "tls" / "ca.pem"),
        "cert_file": str(server.home / "tls" / "client.pem"),
        "key_file": str(server.home / "tls" / "client.key"),
    }
    wanted = [b"%d" % n * 10_000 for n in range(300)]
    source.put(wanted)
    async with opened("mqtt", settings) as reading:
        assert [delivery.body for delivery in await taken(reading, 300)] == wanted


async def test_with_a_password(server: Own, namespace: str) -> None:
    url = f"mqtt://127.0.0.1:{mosquitto.port_of(server.home, 'passwords')}"
    settings = {"url": url, "topics": namespace, "username": "reader", "password": "env:MQTT"}
    async with opened("mqtt", settings, {"MQTT": mosquitto.USERS["reader"]}) as reading:
        publish(server.url, namespace, [b"1"])
        assert [delivery.body for delivery in await taken(reading, 1)] == [b"1"]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"url": "mqtt://no.such.host.invalid"}, Unavailable, ["no.such.host.invalid", "not known", "settings.url"]),
        ({"url": "mqtt://127.0.0.1:1"}, Unavailable, ["nobody listens at 127.0.0.1:1", "settings.url"]),
        ({"url": "mqtt://127.0.0.1:PASSWORDS"}, Refused, ["Not authorized", "settings.username"]),
        (
            {"url": "mqtt://127.0.0.1:PASSWORDS", "username": "reader", "password": "env:WRONG"},
            Refused,
            ["user reader", "secret of settings.password"],
        ),
        (
            {"url": "mqtt://127.0.0.1:PASSWORDS", "username": "reader", "password": "env:WRONG", "version": "3.1.1"},
            Refused,
            ["user reader", "secret of settings.password"],
        ),
        ({"username": "reader", "password": "env:NOT_SET"}, Refused, ["variable NOT_SET"]),
        ({"url": "mqtt://127.0.0.1:MQTTS"}, Unavailable, ["without an answer", "mqtts://"]),
        ({"url": "mqtts://127.0.0.1:MQTT"}, Unavailable, ["breaks the connection off", "TLS", "settings.url"]),
        ({"url": "mqtts://127.0.0.1:MQTTS"}, Refused, ["not trusted", "settings.ca_file"]),
        ({"url": "mqtts://127.0.0.1:MQTTS", "ca_file": "/no/such/ca.pem"}, Refused, ["ca_file", "/no/such/ca.pem"]),
    ],
)
async def test_errors_name_the_cause_and_the_mend(
    server: Own, namespace: str, changes: dict[str, Any], kind: type[Exception], words: list[str]
) -> None:
    settings = {"url": server.url, "topics": namespace, **changes}
    for name in ("PASSWORDS", "MQTTS", "MQTT"):
        settings["url"] = settings["url"].replace(f":{name}", f":{mosquitto.port_of(server.home, name.lower())}")
    error = await error_of(bridge("mqtt", settings, {"WRONG": "wrong"}))
    assert isinstance(error, kind), error
    for word in words:
        assert word in str(error)


async def test_a_second_client_of_the_same_name_is_told(source: MqttSource, server: Own) -> None:
    name = source.settings["client_id"]
    async with opened("mqtt", source.settings) as reading:
        with (
            connected(server.url, name, lasting=True),
            pytest.raises(Unavailable, match=f"client id {name}, which only one may have"),
        ):
            await taken(reading, 1)


async def test_a_password_that_is_changed_ends_the_bridge_until_it_is_told(tmp_path: Path, namespace: str) -> None:
    with own("mosquitto", tmp_path / "m") as running:
        url = f"mqtt://127.0.0.1:{mosquitto.port_of(running.home, 'passwords')}"
        settings = {"url": url, "topics": namespace, "username": "reader", "password": "env:MQTT"}
        environ = {"MQTT": mosquitto.USERS["reader"]}
        pump = Pump("mqtt", settings, environ)
        async with asyncio.timeout(30):
            while not pump.found:
                await asyncio.to_thread(publish, running.url, namespace, [b"1"])
        passwords = running.home / "passwords"
        before = passwords.read_text()
        passwords.write_text(before.replace("reader:", "gone:"))
        os.kill(running.pid, signal.SIGHUP)
        error = await pump.until_error("settings.password")
        assert isinstance(error, Refused)
        passwords.write_text(before)
        os.kill(running.pid, signal.SIGHUP)
        async with asyncio.timeout(30):
            while b"2" not in pump.order:  # what comes while the user is locked out, mosquitto does not keep
                await asyncio.to_thread(publish, running.url, namespace, [b"2"])
        await pump.end()


# faults


@pytest.mark.slow
async def test_a_network_that_is_silent_is_noticed_and_nothing_is_lost(source: MqttSource, server: Own) -> None:
    """No RST, no end: only the pings tell. Within 15 s, or the test takes too long."""
    proxy = Proxy(ports.free_port(), "127.0.0.1", mosquitto.port_of(server.home, "mqtt"))
    await proxy.start()
    pump = Pump("mqtt", {**source.settings, "url": f"mqtt://127.0.0.1:{proxy.port}"})
    await asyncio.to_thread(source.put, bodies(0, 10))
    await pump.until(bodies(0, 10))
    proxy.stall()
    await asyncio.to_thread(source.put, bodies(10, 20))
    async with asyncio.timeout(16):
        await pump.until_error("is lost")
    proxy.heal()
    await pump.until(bodies(0, 20))
    await pump.end()
    await proxy.close()


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_connection_that_is_reset_again_and_again_loses_nothing(server: Own, namespace: str, qos: int) -> None:
    source = MqttSource(server.url, namespace, qos=qos, prefetch=90)
    proxy = Proxy(ports.free_port(), "127.0.0.1", mosquitto.port_of(server.home, "mqtt"))
    await proxy.start()
    pump = Pump("mqtt", {**source.settings, "url": f"mqtt://127.0.0.1:{proxy.port}"})
    for part in range(4):
        await asyncio.to_thread(source.put, bodies(part * 300, part * 300 + 300))
        proxy.drop()
    await pump.until(bodies(0, 1200))
    await pump.end()
    await proxy.close()
    assert pump.errors
    assert len(pump.found) == 1200, "each has one position, however often it came"


async def test_the_broker_is_killed_under_load_and_nothing_that_it_has_saved_is_lost(
    tmp_path: Path, namespace: str
) -> None:
    with own("mosquitto", tmp_path / "m") as running:
        source = MqttSource(running.url, namespace)
        saved = running.home / "mosquitto.db"
        pump = Pump("mqtt", source.settings)
        for part in range(3):
            await asyncio.to_thread(source.put, bodies(part * 500, part * 500 + 500))
            saved.unlink(missing_ok=True)
            os.kill(running.pid, signal.SIGUSR1)  # mosquitto keeps messages in memory, and writes them down at times
            await asyncio.to_thread(wait_for, "mosquitto has saved", saved.exists, 20)
            running.kill()
            running.start()
        await pump.until(bodies(0, 1500))
        await pump.end()
        assert pump.errors
        assert len(pump.found) == 1500
