"""IMAP beyond the contract: what becomes of mails, IDLE, attachments, dead letters, errors in words, faults."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final

import pytest

from bridges.base import Context, Delivery, Rewind
from bridges.convert import Converter
from bridges.imap import ImapSettings, decoder
from hub.chaos.proxy import Proxy
from hub.definitions.catalogue import Catalogue
from hub.edge.mapping import compile_mapping
from hub.errors import Refused, Unavailable
from hub.settings import Limits
from hub.stack import ports
from tests.live.reading import Pump, bridge, error_of, nothing_more, opened, take, taken
from tests.servers.running import Own, own
from tests.sources.imap import ImapSource

KIND: Final = "imap"
AFTER: Final[dict[str, dict[str, Any]]] = {
    "seen": {},
    "keyword": {"keyword": "HubDone"},
    "move": {"move_to": "Done"},
    "delete": {},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("dovecot", tmp_path_factory.mktemp("dovecot")) as running:
        yield running


@pytest.fixture
def source(server: Own, namespace: str) -> ImapSource:
    return ImapSource(server.url, namespace)


@pytest.fixture(params=AFTER)
def each(request: pytest.FixtureRequest, server: Own, namespace: str) -> ImapSource:
    """A mailbox for each way to settle."""
    after = request.param
    made = ImapSource(server.url, namespace, after=after, **AFTER[after])
    if after == "move":
        with made.client() as client:
            client.create_folder("Done")
    return made


def bodies(first: int, after: int) -> list[bytes]:
    return [f"m{n}".encode() for n in range(first, after)]


def told(deliveries: list[Delivery]) -> list[bytes | None]:
    """What a mapping sees."""
    return [delivery.json for delivery in deliveries]


def mail(subject: str, text: str = "hello", **headers: str) -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = "Kim <kim@example.com>", "hub@example.com", subject
    for name, value in headers.items():
        made[name] = value
    made.set_content(text)
    return made


# what becomes of mails


async def test_what_becomes_of_mails(each: ImapSource) -> None:
    async with opened(KIND, each.settings, os.environ) as reading:
        assert await nothing_more(reading)
        each.put(bodies(0, 5))  # so that it has to hear of them
        batches = await take(reading, 5)
        with each.client() as client:
            client.select_folder("INBOX", readonly=True)
            assert client.search(["UNSEEN"]) == [1, 2, 3, 4, 5], "fetching alone marks nothing"
        for batch in batches:
            await reading.ack(batch)
        assert await nothing_more(reading)
    with each.client() as client:
        client.select_folder("INBOX", readonly=True)
        all_uids = client.search(["ALL"])
        match each.settings["after"]:
            case "seen":
                assert client.search(["SEEN"]) == all_uids == [1, 2, 3, 4, 5]
            case "keyword":
                assert client.search(["KEYWORD", "HubDone"]) == client.search(["UNSEEN"]) == [1, 2, 3, 4, 5]
            case "delete":
                assert all_uids == []
            case "move":
                assert all_uids == []
                client.select_folder("Done", readonly=True)
                assert len(client.search(["ALL"])) == 5
    async with opened(KIND, each.settings, os.environ) as reading:
        assert await nothing_more(reading)


async def test_mails_that_bear_the_mark_are_not_taken(source: ImapSource) -> None:
    source.put(bodies(0, 4))
    with source.client() as client:
        client.select_folder("INBOX")
        client.add_flags([2], [b"\\Seen"])
        client.add_flags([3], [b"\\Deleted"])
    async with opened(KIND, source.settings, os.environ) as reading:
        assert told(await taken(reading, 2)) == [b"m0", b"m3"]
        assert await nothing_more(reading)


async def test_a_mail_that_goes_away_in_hand_is_no_trouble(source: ImapSource) -> None:
    source.put(bodies(0, 3))
    async with opened(KIND, source.settings, os.environ) as reading:
        batch = await reading.take(3)
        with source.client() as client:
            client.select_folder("INBOX")
            client.delete_messages([2])
            client.expunge()
        await reading.ack(batch)
        source.put([b"next"])
        assert told(await taken(reading, 1)) == [b"next"]


@pytest.mark.slow
async def test_new_mails_are_heard_of(source: ImapSource) -> None:
    """Through IDLE; one look a minute would be too late for the test's own limit."""
    async with opened(KIND, source.settings, os.environ) as reading:
        assert await nothing_more(reading)
        assert await nothing_more(reading)
        for n in range(3):
            source.put([f"m{n}".encode()])
            async with asyncio.timeout(20):
                assert told(await taken(reading, 1)) == [f"m{n}".encode()]


async def test_a_mail_that_comes_while_another_is_marked_is_heard_of(source: ImapSource) -> None:
    """Its server tells of it in the answer to some other command, and never again."""
    source.put(bodies(0, 1))
    async with opened(KIND, source.settings, os.environ) as reading:
        batch = await reading.take(1)
        source.put(bodies(1, 2))
        await reading.ack(batch)
        async with asyncio.timeout(20):
            assert told(await taken(reading, 1)) == bodies(1, 2)


async def test_a_mark_does_not_end_the_listening(source: ImapSource) -> None:
    """A mark interrupts the IDLE of a bridge that waits for the next mail."""
    source.put(bodies(0, 1))
    async with opened(KIND, source.settings, os.environ) as reading:
        batch = await reading.take(1)
        waiting = asyncio.create_task(taken(reading, 1))
        await asyncio.sleep(0)  # it looks now, and what is marked is marked after that
        await reading.ack(batch)
        async with asyncio.timeout(20):
            await asyncio.to_thread(source.put, bodies(1, 2))
            assert told(await waiting) == bodies(1, 2)


async def test_another_folder_with_a_name_of_the_world(source: ImapSource) -> None:
    with source.client() as client:
        client.create_folder("Bestellungen für Köln")
    source.put_mails([mail("a").as_bytes()], "Bestellungen für Köln")
    settings = {**source.settings, "folder": "Bestellungen für Köln", "content": "mail"}
    async with opened(KIND, settings, os.environ) as reading:
        [found] = await taken(reading, 1)
    assert found.meta()["folder"] == "Bestellungen für Köln"


async def test_a_folder_that_is_made_again_has_other_mails(source: ImapSource) -> None:
    """UIDs begin again at 1; the position says of which folder."""
    positions = []
    for round in range(2):
        with source.client() as client:
            client.create_folder("Orders")
        source.put_mails([mail(str(round)).as_bytes()], "Orders")
        async with opened(KIND, {**source.settings, "folder": "Orders"}, os.environ) as reading:
            [found] = await taken(reading, 1)
        assert found.meta()["uid"] == 1
        positions.append(found.position)
        with source.client() as client:
            client.delete_folder("Orders")
    assert positions[0] != positions[1]


@pytest.mark.long
async def test_a_server_without_idle_and_move(tmp_path: Path, namespace: str) -> None:
    with own("dovecot_old", tmp_path / "old") as running:
        source = ImapSource(running.url, namespace, after="move", move_to="Done", poll_s=0.5)
        with source.client() as client:
            assert not any(client.has_capability(name) for name in ("IDLE", "MOVE", "UIDPLUS"))
            client.create_folder("Done")
        async with opened(KIND, source.settings, os.environ) as reading:
            assert await nothing_more(reading)
            source.put(bodies(0, 3))
            assert told(await taken(reading, 3)) == bodies(0, 3)
            assert await nothing_more(reading)
        with source.client() as client:
            client.select_folder("INBOX", readonly=True)
            assert client.search(["UNDELETED"]) == []
            assert len(client.search(["ALL"])) == 3, "left for whoever expunges: others may have marked mails, too"
        with source.client() as client:
            client.select_folder("Done", readonly=True)
            assert len(client.search(["ALL"])) == 3


# what a message is made of


async def test_a_mail_becomes_an_event(source: ImapSource) -> None:
    made = mail("Order 17", "please", Date="Tue, 02 Jun 2026 10:00:00 +0200")
    made.add_attachment(b"a;b", maintype="text", subtype="csv", filename="order.csv")
    source.put_mails([made.as_bytes()])
    settings = {**source.settings, "content": "mail"}
    async with opened(KIND, settings, os.environ) as reading:
        [found] = await taken(reading, 1)
    mapping = {
        "profile": "from.address",
        "event": {
            "type": "'mail'",
            "properties": "{subject: subject, file: attachments[0].name, uid: meta('uid'), text: text}",
            "time": "date",
        },
    }
    catalogue = Catalogue()
    catalogue.apply(b"source/mails", json.dumps({"spec": {}, "updated_at_ms": 0}).encode(), 0)
    convert = Converter(
        bridge="b",
        kind=KIND,
        source="mails",
        mapping=compile_mapping(mapping),
        catalogue=catalogue,
        limits=Limits(),
    )
    preview = convert.preview(found, 1_780_500_000_000)
    assert preview.payload is not None, preview.refused
    payload = json.loads(bytes(preview.payload))
    assert payload["profile"]["id"] == "kim@example.com"
    [event] = payload["events"]
    assert event["properties"]["subject"] == "Order 17"
    assert (event["properties"]["file"], event["properties"]["uid"]) == ("order.csv", 1)


async def test_a_large_mail_goes_through_without_its_attachment(source: ImapSource) -> None:
    """Its bytes are over the limit of a body; what is made of it is not."""
    made = mail("large")
    made.add_attachment(os.urandom(10 * 1024 * 1024), maintype="application", subtype="pdf", filename="large.pdf")
    source.put_mails([made.as_bytes()])
    async with opened(KIND, {**source.settings, "content": "mail"}, os.environ) as reading:
        [found] = await taken(reading, 1)
    assert len(found.body) > 10 * 1024 * 1024
    assert found.json is not None
    seen = json.loads(found.json)
    assert (seen["attachments"][0]["size"], seen["attachments"][0]["content"]) == (10 * 1024 * 1024, None)
    catalogue = Catalogue()
    catalogue.apply(b"source/mails", json.dumps({"spec": {}, "updated_at_ms": 0}).encode(), 0)
    mapping = compile_mapping({"profile": "from.address", "event": {"type": "'mail'", "properties": "{s: subject}"}})
    convert = Converter(bridge="b", kind=KIND, source="mails", mapping=mapping, catalogue=catalogue, limits=Limits())
    assert convert.convert(found, 1_780_500_000_000).reason is None


async def test_a_mail_that_cannot_be_read_keeps_its_bytes_for_the_dead_letters(source: ImapSource) -> None:
    broken = (
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\na\r\n" * 1500 + b"--x--\r\n"
    )
    source.put_mails([broken])
    settings = {**source.settings, "content": "mail"}
    async with opened(KIND, settings, os.environ) as reading:
        [found] = await taken(reading, 1)
    assert (found.body, found.json) == (broken, None)
    assert "parts" in found.fault
    again = Delivery(found.body, found.position)
    decoder(ImapSettings.model_validate(settings), Context("b", "t", {}))(again)
    assert again.fault == found.fault


async def test_many_mails_are_bounded_by_size(source: ImapSource) -> None:
    large = [os.urandom(6 * 1024 * 1024) for _ in range(4)]
    source.put(large)
    async with opened(KIND, source.settings, os.environ) as reading:
        batches = await take(reading, 4)
    assert [each for batch in batches for each in told(list(batch.deliveries))] == large
    assert len(batches) > 1


async def test_a_look_takes_nothing(source: ImapSource) -> None:
    source.put(bodies(0, 20))
    seen = await bridge(KIND, source.settings, os.environ).sample(5)
    assert told(list(seen)) == bodies(0, 5)
    async with opened(KIND, source.settings, os.environ) as reading:
        assert told(await taken(reading, 20)) == bodies(0, 20)


async def test_it_cannot_be_rewound(source: ImapSource) -> None:
    with pytest.raises(Refused, match="cannot be rewound"):
        await bridge(KIND, source.settings, os.environ).rewind(Rewind("beginning"))


async def test_the_lag_is_known(source: ImapSource) -> None:
    source.put(bodies(0, 30))
    async with opened(KIND, source.settings, os.environ) as reading:
        await reading.take(10)
        assert reading.lag() == 20


# errors


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"port": 1}, Unavailable, ["127.0.0.1:1", "settings.host", "Does the server run"]),
        ({"host": "no-such-host.invalid", "allow_plain": True}, Unavailable, ["no-such-host.invalid", "settings.host"]),
        ({"password": "env:WRONG"}, Refused, ["settings.password", "app password"]),
        ({"password": "env:NOT_SET"}, Refused, ["variable NOT_SET"]),
        ({"folder": "nothing"}, Unavailable, ["folder nothing", "settings.folder"]),
        ({"after": "move", "move_to": "nothing"}, Refused, ["no folder nothing", "settings.move_to"]),
        ({"security": "tls"}, Refused, ["no TLS", "settings.security", "starttls"]),
        ({"security": "starttls"}, Refused, ["not trusted", "settings.ca_file"]),
    ],
)
async def test_errors_name_the_cause_and_the_mend(
    source: ImapSource, changes: dict[str, Any], kind: type[Exception], words: list[str]
) -> None:
    error = await error_of(bridge(KIND, {**source.settings, **changes}, {**os.environ, "WRONG": "pw-4711"}))
    assert isinstance(error, kind), error
    for word in words:
        assert word in str(error)
    assert "pw-4711" not in str(error)


@pytest.mark.parametrize(("security", "port"), [("starttls", "imap"), ("tls", "imaps")])
async def test_tls(source: ImapSource, server: Own, security: str, port: str) -> None:
    source.put([b"a"])
    number = json.loads((server.home / "ports.json").read_text())[port]
    ca_file = str(server.home / "tls" / "ca.pem")
    settings = {**source.settings, "security": security, "port": number, "ca_file": ca_file}
    async with opened(KIND, settings, os.environ) as reading:
        assert told(await taken(reading, 1)) == [b"a"]
        assert await nothing_more(reading)
        source.put([b"b"])
        assert told(await taken(reading, 1)) == [b"b"]


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "mail.example.com", "security": "plain"},
        {"after": "move"},
        {"move_to": "Done"},
        {"after": "move", "move_to": "INBOX"},
        {"password": "in the open"},
        {"after": "keyword", "keyword": "two words"},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    settings = {"host": "localhost", "username": "u", "password": "env:P"}
    with pytest.raises(ValueError, match=r"in the clear|set both|name another|a secret|pattern"):
        bridge(KIND, {**settings, **changes})


# faults


async def test_a_folder_that_is_deleted_and_made_again_is_read_again(source: ImapSource) -> None:
    with source.client() as client:
        client.create_folder("Orders")
    source.put_mails([mail("a").as_bytes()], "Orders")
    pump = Pump(KIND, {**source.settings, "folder": "Orders"}, os.environ)
    await pump.found_many(1)
    with source.client() as client:
        client.delete_folder("Orders")
    error = await pump.until_error("settings.folder")
    assert isinstance(error, Unavailable)
    with source.client() as client:
        client.create_folder("Orders")
    source.put_mails([mail("b").as_bytes()], "Orders")
    await pump.found_many(2)
    await pump.end()


@pytest.mark.long
async def test_the_server_is_killed_under_load(tmp_path: Path, namespace: str) -> None:
    with own("dovecot", tmp_path / "d") as running:
        source = ImapSource(running.url, namespace)
        await asyncio.to_thread(source.put, bodies(0, 300))
        pump = Pump(KIND, source.settings, os.environ)
        await pump.found_many(100)
        running.kill()
        await pump.until_error("127.0.0.1")
        running.start()
        await asyncio.to_thread(source.put, bodies(300, 350))
        await pump.found_many(350)
        await pump.end()
    assert {source.unwrapped(body) for body in pump.found.values()} == set(bodies(0, 350))


async def test_a_cut_loses_nothing(source: ImapSource) -> None:
    proxy = Proxy(ports.free_port(), source.host, source.port)
    await proxy.start()
    pump = Pump(KIND, {**source.settings, "port": proxy.port}, os.environ)
    try:
        await asyncio.to_thread(source.put, bodies(0, 300))
        await pump.found_many(50)
        proxy.cut()
        await asyncio.to_thread(source.put, bodies(300, 400))
        await pump.until_error("127.0.0.1")
        proxy.heal()
        await pump.found_many(400)
    finally:
        await pump.end()
        await proxy.close()
    assert {source.unwrapped(body) for body in pump.found.values()} == set(bodies(0, 400))


@pytest.mark.long
async def test_a_silent_connection_is_noticed(source: ImapSource) -> None:
    """Half open, as when a firewall forgets it: while it waits in an IDLE."""
    proxy = Proxy(ports.free_port(), source.host, source.port)
    await proxy.start()
    pump = Pump(KIND, {**source.settings, "port": proxy.port}, os.environ)
    try:
        await asyncio.to_thread(source.put, bodies(0, 10))
        await pump.found_many(10)
        proxy.stall()
        await asyncio.to_thread(source.put, bodies(10, 20))
        await pump.until_error("in time")
        proxy.heal()
        await pump.found_many(20)
    finally:
        await pump.end()
        await proxy.close()
