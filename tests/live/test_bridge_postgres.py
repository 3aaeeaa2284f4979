"""PostgreSQL beyond the contract: late commits, rewinds, what is read of a row, errors in words, faults."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest

from bridges.base import Place, Rewind
from hub.chaos.proxy import Proxy
from hub.errors import Refused, Unavailable
from hub.stack import ports
from tests.kafka_tools import eventually
from tests.live.reading import Pump, bridge, error_of, nothing_more, opened, taken
from tests.servers.running import Own, own
from tests.sources.postgres import AFTER, PostgresSource

KIND: Final = "postgres"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("postgres", tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture(params=AFTER)
def source(request: pytest.FixtureRequest, server: Own, namespace: str) -> PostgresSource:
    return PostgresSource(server.url, namespace, request.param)


@pytest.fixture
def cursor(server: Own, namespace: str) -> PostgresSource:
    return PostgresSource(server.url, namespace, "cursor")


@pytest.fixture
def queue(server: Own, namespace: str) -> PostgresSource:
    return PostgresSource(server.url, namespace, "delete")


def bodies(first: int, after: int) -> list[bytes]:
    return [f"m{n}".encode() for n in range(first, after)]


def insert(connection: psycopg.Connection[Any], source: PostgresSource, body: bytes) -> None:
    connection.execute(f'INSERT INTO "{source.table}" (body) VALUES (%s)', [body])


# commits


async def test_rows_that_are_committed_late_are_not_skipped(source: PostgresSource) -> None:
    """The transaction with the smaller id ends last: a cursor over ids alone would have passed it."""
    async with opened(KIND, source.settings, os.environ) as reading:
        with psycopg.connect(source.url) as late:
            insert(late, source, b"late")
            source.put([b"early"])
            first = [] if source.settings["after"] == "cursor" else [d.body for d in await taken(reading, 1)]
            assert await nothing_more(reading)
        came = first + [delivery.body for delivery in await taken(reading, 2 - len(first))]
        assert sorted(came) == [b"early", b"late"]
        assert await nothing_more(reading)


async def test_an_id_that_was_drawn_before_its_transaction_began_is_not_skipped(cursor: PostgresSource) -> None:
    """As by pools of ids in the sender: the row with the larger id has the older transaction, and is read already."""
    cursor.execute(f'INSERT INTO "{cursor.table}" (id, body) VALUES (100, %s)', b"first")
    async with opened(KIND, cursor.settings, os.environ) as reading:
        await taken(reading, 1)
        cursor.execute(f'INSERT INTO "{cursor.table}" (id, body) VALUES (50, %s)', b"second")
        assert [delivery.body for delivery in await taken(reading, 1)] == [b"second"]


async def test_a_cursor_waits_for_prepared_transactions(cursor: PostgresSource) -> None:
    with psycopg.connect(cursor.url, autocommit=True) as two:
        two.execute("BEGIN")
        insert(two, cursor, b"prepared")
        two.execute("PREPARE TRANSACTION 'late'")
        cursor.put([b"after"])
        async with opened(KIND, cursor.settings, os.environ) as reading:
            assert await nothing_more(reading)
            two.execute("COMMIT PREPARED 'late'")
            assert [d.body for d in await taken(reading, 2)] == [b"prepared", b"after"]


async def test_what_is_rolled_back_never_comes(source: PostgresSource) -> None:
    async with opened(KIND, source.settings, os.environ) as reading:
        with psycopg.connect(source.url) as undone:
            insert(undone, source, b"no")
            undone.rollback()
        source.put([b"yes"])
        assert [delivery.body for delivery in await taken(reading, 1)] == [b"yes"]
        assert await nothing_more(reading)


async def test_what_becomes_of_rows(source: PostgresSource) -> None:
    source.put(bodies(0, 10))
    async with opened(KIND, source.settings, os.environ) as reading:
        await taken(reading, 10)
    left = source.execute(f'SELECT sent_at FROM "{source.table}"')
    marked = [row for row in left if row[0] is not None]
    assert (len(left), len(marked)) == {"delete": (0, 0), "mark": (10, 10), "cursor": (10, 0)}[source.settings["after"]]


async def test_a_boolean_is_a_mark_too(server: Own, namespace: str) -> None:
    source = PostgresSource(server.url, namespace, "mark", mark="done")
    source.execute(f'ALTER TABLE "{namespace}" ADD COLUMN done boolean')
    source.put([b"a"])
    async with opened(KIND, source.settings, os.environ) as reading:
        await taken(reading, 1)
    assert source.execute(f'SELECT done FROM "{namespace}"') == [(True,)]


async def test_a_notification_is_heard(source: PostgresSource) -> None:
    """Polling alone would take ten seconds; the test would run into its own limit after five."""
    async with opened(KIND, {**source.settings, "poll_s": 10}, os.environ) as reading:
        assert await nothing_more(reading)
        source.put([b"now"])
        async with asyncio.timeout(5):
            assert [delivery.body for delivery in await taken(reading, 1)] == [b"now"]


async def test_without_a_channel_it_looks(source: PostgresSource) -> None:
    async with opened(KIND, {**source.settings, "channel": "", "poll_s": 0.1}, os.environ) as reading:
        assert await nothing_more(reading)
        source.put([b"now"])
        assert [delivery.body for delivery in await taken(reading, 1)] == [b"now"]


# what a message is made of


async def test_a_whole_row_is_a_message(queue: PostgresSource) -> None:
    schema = f"{queue.table}_S"
    queue.execute(f'CREATE SCHEMA "{schema}"')
    queue.execute(f'CREATE TABLE "{schema}"."Orders" (id text PRIMARY KEY, hub_row int, at timestamptz)')
    queue.execute(f"INSERT INTO \"{schema}\".\"Orders\" (id, at) VALUES ('a/b', '2026-06-01 12:00+02')")
    settings = {**queue.settings, "table": f"{schema}.Orders", "body": "", "time": ""}
    async with opened(KIND, settings, os.environ) as reading:
        [found] = await taken(reading, 1)
    assert json.loads(found.body) == {"id": "a/b", "hub_row": None, "at": "2026-06-01T10:00:00+00:00"}
    assert found.time_ms is None
    assert (found.meta()["table"], found.meta()["id"]) == (f"{schema}.Orders", "a/b")


async def test_a_table_that_is_made_again_has_other_messages(server: Own, namespace: str) -> None:
    source = PostgresSource(server.url, namespace, "delete", time="")
    positions = []
    for _ in range(2):
        source.put([b"x"])
        async with opened(KIND, source.settings, os.environ) as reading:
            positions += [delivery.position for delivery in await taken(reading, 1)]
        source.execute(f'DROP TABLE "{namespace}"')
        source.make()
    assert positions[0] != positions[1]


@pytest.mark.parametrize(
    ("type", "value", "body"),
    [
        ("json", '{"a": 1}', b'{"a": 1}'),
        ("jsonb", '{"a": 1}', b'{"a": 1}'),
        ("text", "\u00fc", "\u00fc".encode()),
        ("text", None, b""),
    ],
)
async def test_columns_with_the_message(queue: PostgresSource, type: str, value: str | None, body: bytes) -> None:
    queue.execute(f'ALTER TABLE "{queue.table}" ADD COLUMN said {type}')
    queue.execute(f"INSERT INTO \"{queue.table}\" (said, created_at) VALUES (%s, 'infinity')", value)
    async with opened(KIND, {**queue.settings, "body": "said"}, os.environ) as reading:
        [found] = await taken(reading, 1)
    assert (found.body, found.time_ms) == (body, None)


async def test_large_rows_come_one_by_one(queue: PostgresSource) -> None:
    large = [os.urandom(10 * 1024 * 1024) for _ in range(3)]
    queue.put(large)
    async with opened(KIND, queue.settings, os.environ) as reading:
        assert [delivery.body for delivery in await taken(reading, 3)] == large


# looking and rewinding


async def test_a_look_takes_nothing_and_makes_nothing(source: PostgresSource) -> None:
    source.put(bodies(0, 20))
    settings = {**source.settings, "cursor_table": f"{source.table}_cursors"}
    seen = await bridge(KIND, settings, os.environ).sample(5)
    assert [delivery.body for delivery in seen] == bodies(0, 5)
    assert source.execute("SELECT to_regclass(%s)", f"{source.table}_cursors") == [(None,)]
    async with opened(KIND, settings, os.environ) as reading:
        assert [delivery.body for delivery in await taken(reading, 20)] == bodies(0, 20)


@pytest.mark.parametrize(
    ("to", "value", "first"),
    [("beginning", None, 0), ("time", 1_780_000_005_000, 5), ("offset", "8", 7), ("time", 2**42, 10)],
)
async def test_a_cursor_can_be_set_back(cursor: PostgresSource, to: Place, value: Any, first: int) -> None:
    cursor.put(bodies(0, 10))
    cursor.execute(f'UPDATE "{cursor.table}" SET created_at = to_timestamp(1780000000 + id - 1)')
    async with opened(KIND, cursor.settings, os.environ) as reading:
        await taken(reading, 10)
    place = Rewind(to, at_ms=value) if to == "time" else Rewind(to, offset=value or "")
    await bridge(KIND, cursor.settings, os.environ).rewind(place)
    async with opened(KIND, cursor.settings, os.environ) as reading:
        again = await taken(reading, 10 - first) if first < 10 else []
        assert [delivery.body for delivery in again] == bodies(first, 10)
        assert await nothing_more(reading)


@pytest.mark.parametrize("source", ["delete", "mark"], indirect=True)
async def test_a_queue_cannot_be_set_back(source: PostgresSource) -> None:
    with pytest.raises(Refused, match="cursor"):
        await bridge(KIND, source.settings, os.environ).rewind(Rewind("beginning"))


async def test_a_cursor_can_begin_at_the_end(cursor: PostgresSource) -> None:
    cursor.put(bodies(0, 5))
    settled = f'SELECT max(tx) < pg_snapshot_xmin(pg_current_snapshot()) FROM "{cursor.table}"'
    await asyncio.to_thread(eventually, lambda: cursor.execute(settled)[0][0])  # the server has transactions of its own
    settings = {**cursor.settings, "start": "latest"}
    async with opened(KIND, settings, os.environ):
        pass
    cursor.put(bodies(5, 8))
    async with opened(KIND, settings, os.environ) as reading:
        assert [delivery.body for delivery in await taken(reading, 3)] == bodies(5, 8)


async def test_the_lag_is_known(source: PostgresSource) -> None:
    source.put(bodies(0, 70))
    async with opened(KIND, source.settings, os.environ) as reading:
        assert reading.lag() == 70


# errors


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"url": "postgresql://127.0.0.1:1/shop"}, Unavailable, ["127.0.0.1:1", "settings.url", "server run"]),
        ({"url": "postgresql://no-such-host.invalid/shop"}, Unavailable, ["no-such-host.invalid", "settings.url"]),
        ({"url": "postgresql://127.0.0.1:PORT/nothing"}, Refused, ["nothing", "settings.url"]),
        ({"password": "env:WRONG"}, Refused, ["settings.password"]),
        ({"password": "env:NOT_SET"}, Refused, ["variable NOT_SET"]),
        ({"table": "nothing"}, Unavailable, ["no table nothing", "settings.table"]),
        ({"table": "nowhere.nothing"}, Unavailable, ["no table nowhere.nothing"]),
        ({"id": "nothing"}, Refused, ["no column nothing", "settings.id", "there are: id, body"]),
        ({"id": "sent_at"}, Refused, ["sent_at", "NULL", "settings.id"]),
        ({"id": "created_at"}, Refused, ["created_at", "not unique", "CREATE UNIQUE INDEX"]),
        ({"time": "body"}, Refused, ["settings.time", "timestamp"]),
        ({"after": "mark", "mark": "body"}, Refused, ["body", "boolean or a timestamp"]),
        ({"after": "cursor", "transaction": "id"}, Refused, ["xid8", "ALTER TABLE", "settings.transaction"]),
        ({"sslmode": "verify-full", "ca_file": "/nowhere.pem"}, Refused, ["settings.ca_file", "/nowhere.pem"]),
        ({"username": "stranger", "password": "env:STRANGER"}, Refused, ["GRANT SELECT ON"]),
    ],
)
async def test_errors_name_the_cause_and_the_mend(
    queue: PostgresSource, changes: dict[str, Any], kind: type[Exception], words: list[str]
) -> None:
    if not queue.execute("SELECT 1 FROM pg_roles WHERE rolname = 'stranger'"):
        queue.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    port = str(urlsplit(queue.url).port)
    changed = {name: value.replace("PORT", port) for name, value in changes.items()}
    environ = {**os.environ, "WRONG": "pw-4711", "STRANGER": "stranger"}
    error = await error_of(bridge(KIND, {**queue.settings, **changed}, environ))
    assert isinstance(error, kind), error
    for word in words:
        assert word in str(error)
    assert "pw-4711" not in str(error)


async def test_a_right_that_is_taken_away_ends_it_with_words(queue: PostgresSource) -> None:
    queue.execute(f"CREATE ROLE \"{queue.table}_r\" LOGIN PASSWORD 'r'")
    queue.execute(f'GRANT SELECT, DELETE ON "{queue.table}" TO "{queue.table}_r"')
    settings = {**queue.settings, "username": f"{queue.table}_r", "password": "env:R"}
    async with opened(KIND, settings, {"R": "r"}) as reading:
        queue.put([b"a"])
        batch = await reading.take(1)
        queue.execute(f'REVOKE DELETE ON "{queue.table}" FROM "{queue.table}_r"')
        with pytest.raises(Refused, match="GRANT"):
            await reading.ack(batch)
    assert "GRANT DELETE ON" in str(await error_of(bridge(KIND, settings, {"R": "r"})))


async def test_rows_of_another_server_are_refused(cursor: PostgresSource) -> None:
    """A restored dump: its transactions' numbers say nothing of the order here."""
    cursor.execute(f"INSERT INTO \"{cursor.table}\" (body, tx) VALUES (%s, '99999999999')", b"old")
    error = await error_of(bridge(KIND, cursor.settings, os.environ))
    assert isinstance(error, Refused)
    assert "restored" in str(error)
    cursor.execute(f"UPDATE \"{cursor.table}\" SET tx = '1'")
    await bridge(KIND, cursor.settings, os.environ).rewind(Rewind("beginning"))
    async with opened(KIND, cursor.settings, os.environ) as reading:
        assert [delivery.body for delivery in await taken(reading, 1)] == [b"old"]


@pytest.mark.parametrize(("mode", "ca"), [("require", ""), ("verify-full", "ca.pem"), ("", "ca.pem")])
async def test_tls(queue: PostgresSource, server: Own, mode: str, ca: str) -> None:
    queue.put([b"a"])
    ca_file = str(server.home / "tls" / ca) if ca else ""
    async with opened(KIND, {**queue.settings, "sslmode": mode, "ca_file": ca_file}, os.environ) as reading:
        assert len(await taken(reading, 1)) == 1


async def test_a_certificate_that_is_not_trusted_is_refused(queue: PostgresSource, server: Own) -> None:
    settings = {**queue.settings, "sslmode": "verify-full", "ca_file": str(server.home / "tls" / "client.pem")}
    error = await error_of(bridge(KIND, settings, os.environ))
    assert isinstance(error, Refused)
    assert "settings.ca_file" in str(error)


@pytest.mark.parametrize(
    "changes",
    [
        {"after": "mark"},
        {"after": "cursor"},
        {"mark": "sent_at"},
        {"transaction": "tx"},
        {"password": "in the open"},
        {"url": "postgresql://user:pw@h/d"},
        {"url": "postgresql://h"},
        {"poll_s": 60},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    settings = {"url": "postgresql://h/d", "username": "u", "table": "t", "after": "delete"}
    with pytest.raises(ValueError, match=r"set both|a secret|password out|write postgresql|less than"):
        bridge(KIND, {**settings, **changes})


# faults


@asynccontextmanager
async def proxied(source: PostgresSource) -> AsyncIterator[tuple[Proxy, Pump]]:
    """A bridge that reads through a connection which can be cut."""
    proxy = Proxy(ports.free_port(), "127.0.0.1", urlsplit(source.url).port or 0)
    await proxy.start()
    url = f"postgresql://127.0.0.1:{proxy.port}{urlsplit(source.url).path}"
    pump = Pump(KIND, {**source.settings, "url": url, "timeout_s": 2, "poll_s": 1}, os.environ)
    try:
        yield proxy, pump
    finally:
        await pump.end()
        await proxy.close()


async def test_a_table_that_is_dropped_and_made_again_is_read_again(source: PostgresSource) -> None:
    pump = Pump(KIND, source.settings, os.environ)
    await asyncio.to_thread(source.put, bodies(0, 20))
    await pump.until(bodies(0, 20))
    await asyncio.to_thread(source.execute, f'DROP TABLE "{source.table}"')
    assert isinstance(await pump.until_error("settings.table"), Unavailable)
    await asyncio.to_thread(source.make)
    await asyncio.to_thread(source.put, bodies(20, 40))
    await pump.until(bodies(20, 40))
    await pump.end()


async def test_a_cut_loses_nothing(source: PostgresSource) -> None:
    async with proxied(source) as (proxy, pump):
        await asyncio.to_thread(source.put, bodies(0, 200))
        await pump.until(bodies(0, 50))
        proxy.cut()
        await asyncio.to_thread(source.put, bodies(200, 400))
        await pump.until_error("127.0.0.1")
        proxy.heal()
        await pump.until(bodies(0, 400))
    assert len(pump.found) == 400


@pytest.mark.long
async def test_a_silent_connection_is_noticed(queue: PostgresSource) -> None:
    """Half open, as when a firewall forgets it."""
    async with proxied(queue) as (proxy, pump):
        await asyncio.to_thread(queue.put, bodies(0, 100))
        await pump.until(bodies(0, 100))
        proxy.stall()
        await asyncio.to_thread(queue.put, bodies(100, 200))
        await pump.until_error("does not answer")
        proxy.heal()
        await pump.until(bodies(0, 200))


@pytest.mark.parametrize("after", AFTER)
async def test_the_server_is_killed_under_load(tmp_path: Path, namespace: str, after: str) -> None:
    with own("postgres", tmp_path / "p") as running:
        source = PostgresSource(running.url, namespace, after)
        pump = Pump(KIND, source.settings, os.environ)
        await asyncio.to_thread(source.put, bodies(0, 500))
        await pump.until(bodies(0, 100))
        running.kill()
        await pump.until_error("127.0.0.1")
        running.start()
        await asyncio.to_thread(source.put, bodies(500, 600))
        await pump.until(bodies(0, 600))
        await pump.end()
        assert len(pump.found) == 600
