"""`hub send` against a real API and a real Kafka: same line, same event; refused rows are said; nothing is given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from confluent_kafka import Consumer
from typer.testing import CliRunner

from hub.__main__ import app
from hub.edge.mapping import ID_HEADER
from hub.send import Options, SendError, Summary, send_file
from hub.send.rest import RestSender
from hub.send.tally import Tally
from hub.settings import Kafka
from tests.live.api import Running, running

MAPPING = {
    "profile": "customer",
    "event": {
        "type": "'purchase'",
        "time": "parse_time(date, '%Y%m%d')",
        "properties": {"cds": "number(cds)", "line": "meta('line')"},
    },
}
TABLE = (
    " customer  date cds\r\n 1 19970101  1\r\n 1 19970101  1\r\n 2 19970112  5\r\n 1 19970113  x\r\n 3 19970114  7\r\n"
)


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka, partitions=1), namespace, tmp_path) as made:
        assert (await made.define("source", "shop")).status_code < 300
        yield made


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.txt"
    path.write_bytes(TABLE.encode())
    return path


async def send(**options: Any) -> Summary:
    return await asyncio.to_thread(send_file, Options(**{"via": "rest", "source": "shop", **options}))


def events(records: list[Any]) -> list[str]:
    return [event["id"] for record in records for event in record["body"][1]["events"]]


async def test_rows_go_in_and_a_rerun_sends_the_same_ids(hub: Running, table: Path) -> None:
    url = str(hub.public.base_url)
    summary = await send(file=table, mapping=MAPPING, url=url)
    assert summary.sent == 4
    [refused] = summary.refused
    assert refused.line == 5
    assert "event.properties.cds" in refused.reason
    first = await hub.records()
    assert len(set(events(first))) == 4  # two of the rows are equal: two purchases
    for batch in (False, True):
        assert (await send(file=table, mapping=MAPPING, url=url, batch=batch)).sent == 4
        assert set(events(await hub.records())) == set(events(first))


async def test_the_rows_of_a_profile_stay_in_order(hub: Running, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("customer,date,cds\n" + "".join(f"{n % 3},19970101,{n}\n" for n in range(300)))
    await send(file=path, mapping=MAPPING, url=str(hub.public.base_url), concurrency=8)
    for profile in "012":
        mine = [record for record in await hub.records() if record["profile_id"] == profile]
        lines = [event["properties"] for record in mine for event in record["body"][1]["events"]]  # type: ignore[typeddict-item]
        assert len(lines) == 100
        assert lines == sorted(lines, key=lambda line: yaml.safe_load(line)["line"])


async def test_what_the_hub_refuses_is_said_by_line_and_the_rest_goes_in(hub: Running, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = '{"source": {"id": "shop"}, "profile": {"id": "p"}, "events": [{"type": "a"}]}'
    path.write_text(f'{good}\n{{"source": {{"id": "shop"}}, "events": [{{"type": 5}}]}}\nrubbish\n{good}\n')
    summary = await send(file=path, url=str(hub.public.base_url), source="")
    assert summary.sent == 2
    assert [(failure.line, failure.reason[:14]) for failure in summary.refused] == [
        (2, "422 wrong_type"),
        (3, "not JSON: JSON"),
    ]
    assert len(set(events(await hub.records()))) == 2


async def test_one_bad_row_of_a_shared_payload_costs_only_itself(hub: Running, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("customer,date,cds\n1,19970101,1\n1,19970101,2\n1,19970101,3\n")
    mapping = {**MAPPING, "event": {"type": "not_null((cds == '2' && '\x01') || null, 'purchase')"}}
    summary = await send(file=path, mapping=mapping, url=str(hub.public.base_url), batch=True)
    assert (summary.sent, [failure.line for failure in summary.refused]) == (2, [3])


async def test_an_unknown_source_stops_it_at_once(hub: Running, table: Path) -> None:
    with pytest.raises(SendError, match="401 unknown_source"):
        await send(file=table, mapping=MAPPING, url=str(hub.public.base_url), source="nobody")


async def test_it_tries_again_until_the_hub_takes_it(table: Path) -> None:
    """503 and 429 with Retry-After, a broken connection, then a good answer: each row arrives, in the end."""
    seen: dict[str, int] = {}

    async def moody(request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        seen[key] = seen.get(key, 0) + 1
        await request.read()
        if seen[key] == 3:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status={1: 503, 2: 429}.get(seen[key], 200), headers={"Retry-After": "0"})

    async with served(moody) as url:
        summary = await send(file=table, mapping=MAPPING, url=url)
    assert summary.sent == 4
    assert set(seen.values()) == {4}
    assert summary.retried == 12


async def test_it_gives_up_when_told_to(table: Path) -> None:
    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503)

    async with served(busy) as url:
        with pytest.raises(SendError, match=r"gave up at line 2 after 0\.3 s: the hub answers 503"):
            await send(file=table, mapping=MAPPING, url=url, give_up_after_s=0.3, concurrency=1)


async def test_through_kafka_keyed_and_resumed(kafka: str, namespace: str, table: Path, tmp_path: Path) -> None:
    topic = f"{namespace}.rows"
    options: dict[str, Any] = {
        "file": table,
        "via": "kafka",
        "kafka": Kafka(bootstrap=kafka),
        "topic": topic,
        "key": "customer",
        "checkpoint": tmp_path / "checkpoint",
    }
    with pytest.raises(SendError, match=topic):
        await send(**options)
    first = await send(**options, make_topic=2, last_line=3)
    assert (first.sent, first.skipped) == (2, 0)
    second = await send(**options)
    assert (second.sent, second.skipped) == (3, 2)
    again = await send(**{**options, "checkpoint": None}, every=(2, 1))
    assert (again.sent, again.skipped) == (2, 3)
    messages = await asyncio.to_thread(drain, kafka, topic, 7)
    assert sorted(key for _, key, _ in messages) == [b"1"] * 5 + [b"2"] + [b"3"]
    assert len({id for id, _, _ in messages}) == 5  # the third run sent two lines again, under their ids
    assert {value for _, _, value in messages if b'"3"' in value} == {b'{"customer":"3","date":"19970114","cds":"7"}'}


async def test_no_kafka(table: Path) -> None:
    options: dict[str, Any] = {"file": table, "via": "kafka", "topic": "t", "kafka": Kafka(bootstrap="127.0.0.1:1")}
    with pytest.raises(SendError, match=r"no answer from Kafka at 127\.0\.0\.1:1"):
        await send(**options)


async def test_the_command(hub: Running, table: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(yaml.safe_dump(MAPPING))
    arguments = ["send", str(table), "--mapping", str(mapping), "--source", "shop", "--url", str(hub.public.base_url)]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == 1
    assert "line 5 refused: event.properties.cds" in result.output
    assert "sent 4 rows" in result.output
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--lines", "2:4", "--every", "2/0"])
    assert (result.exit_code, "sent 2 rows" in result.output) == (0, True)
    for wrong in (["--lines", "x"], ["--every", "2/2"], ["--via", "kafka"], ["--delimiter", "ab"]):
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *wrong])
        assert result.exit_code == 2
    mapping.write_text("event: {type: lowr(x)}")
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert "unknown function lowr()" in result.output


async def test_a_fault_in_the_file_is_raised_as_it_is() -> None:
    def broken() -> Any:
        yield from ()
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await RestSender("http://127.0.0.1:1", concurrency=2, give_up_after_s=1, tally=Tally()).send(broken())


@contextlib.asynccontextmanager
async def served(handler: Any) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/track", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def drain(bootstrap: str, topic: str, count: int) -> list[tuple[bytes, bytes | None, bytes]]:
    """(payload id, key, value) of `count` messages."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": topic,
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    found: list[tuple[bytes, bytes | None, bytes]] = []
    while len(found) < count:
        for message in consumer.consume(count, 10):
            assert message.error() is None
            found.append((dict(message.headers() or [])[ID_HEADER], message.key(), message.value() or b""))  # type: ignore[arg-type]
    consumer.close()
    return found
