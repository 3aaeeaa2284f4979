"""Events that wait for what flows answer (`async: false`): a real API, and a real Valkey between it and the runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hub.jobs.flow_answers import RedisAnswers
from hub.redis import client
from hub.settings import Flows, Kafka
from hub.stack import ports
from schemas.flow_answers import KEPT_S, MOST_BYTES, Keys
from schemas.records import Track
from tests.live.api import Running, running
from tests.servers.running import Own, own

LONG = Flows(wait_s=20)
SHORT = Flows(wait_s=0.2)
ASKED: dict[str, Any] = {"async": False}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as made:
        yield made


@pytest.fixture
def answers(valkey: Own, namespace: str) -> Iterator[RedisAnswers]:
    with closing(client(valkey.url)) as redis:
        yield RedisAnswers(redis, namespace)


@asynccontextmanager
async def api(
    kafka: str, namespace: str, folder: Path, url: str, flows: Flows = LONG, *, is_first: bool = True
) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka, partitions=1), namespace, folder, waiting=(url, flows)) as made:
        if is_first:
            await made.define("source", "shop")
            for id, type in (("tea", "purchase"), ("coffee", "purchase"), ("mail", "sign-in")):
                triggers = [{"type": "event", "event_type": type}]
                put = await made.define("flow", id, triggers=triggers, nodes={"start": {"type": "start"}})
                assert put.status_code == 201, put.text
        yield made


def payload(*events: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"source": {"id": "shop"}, "profile": {"id": "ann"}, "events": list(events), **more}


def purchase(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "purchase", "id": f"00000000-0000-4000-8000-{number:012}", **more}


def id_of(number: int) -> str:
    return str(purchase(number)["id"])


async def waits(made: Running, url: str, number: int) -> None:
    """Returns when the event is on the log, and an API listens for its answers."""
    redis = client(url)
    with closing(redis):
        async with asyncio.timeout(20):
            while not await listeners(redis, made.namespace) or not await is_there(made, number):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def listeners(redis: Any, namespace: str) -> int:
    ((_, count),) = await asyncio.to_thread(redis.pubsub_numsub, Keys(namespace).told)
    return int(count)


async def is_there(made: Running, number: int) -> bool:
    found = [body for _, body in (record["body"] for record in await made.records())]
    return any(event["id"] == id_of(number) for body in found for event in body.get("events", ()))


def asked(made: Running, *events: dict[str, Any], **more: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(made.public.post("/track", json=payload(*events, **more)))


async def test_whoever_waits_gets_what_all_flows_of_the_event_answer(
    kafka: str, namespace: str, tmp_path: Path, valkey: Own, answers: RedisAnswers
) -> None:
    async with api(kafka, namespace, tmp_path, valkey.url) as made:
        sending = asked(made, purchase(1, options=ASKED))
        await waits(made, valkey.url, 1)
        tea = {"offer": {"kind": "tea", "cups": 2}, "ux": [{"tag": "div"}], "last": "tea"}
        await asyncio.to_thread(answers.put, id_of(1), "tea", tea, ["coffee", "tea"])
        assert not sending.done()
        coffee = {"offer": {"kind": "coffee", "beans": "…"}, "ux": [{"tag": "p"}], "last": "coffee"}
        await asyncio.to_thread(answers.put, id_of(1), "coffee", coffee, ["coffee", "tea"])
        response = await sending
        assert response.status_code == 200
        found = response.json()
        # by their ids: of what both say, that of the later one counts
        assert found["response"] == {"offer": {"kind": "tea", "beans": "…", "cups": 2}, "last": "tea"}
        assert (found["ux"], found["pending"], found["warnings"]) == ([{"tag": "p"}, {"tag": "div"}], False, [])
        assert (found["profile"], found["events"], found["errors"]) == ({"id": "ann"}, [], [])
        # sent again, it has its answer at once
        again = await made.public.post("/track", json=payload(purchase(1, options=ASKED)))
        assert again.json()["response"] == found["response"]


async def test_who_does_not_ask_is_not_kept(
    kafka: str, namespace: str, tmp_path: Path, valkey: Own, answers: RedisAnswers
) -> None:
    async with api(kafka, namespace, tmp_path, valkey.url) as made:
        for options in ({}, {"async": True}, {"async": "false"}, {"async": None}):
            found = (await made.public.post("/track", json=payload(purchase(1, options=options)))).json()
            assert "pending" not in found
        # `async` may be anybody's property
        found = (await made.public.post("/track", json=payload(purchase(2, properties={"async": False})))).json()
        assert "pending" not in found
        # no flow waits for events of this type
        found = (await made.public.post("/track", json=payload({"type": "visit", "options": ASKED}))).json()
        assert (found["pending"], found["response"]) == (False, {})


async def test_an_event_that_lets_nothing_run_is_not_waited_for(
    kafka: str, namespace: str, tmp_path: Path, valkey: Own, answers: RedisAnswers
) -> None:
    async with api(kafka, namespace, tmp_path, valkey.url) as made:
        sending = asked(made, purchase(1, options=ASKED))
        await waits(made, valkey.url, 1)
        await asyncio.to_thread(answers.nothing, id_of(1))
        found = (await sending).json()
        assert (found["pending"], found["response"]) == (False, {})


async def test_at_the_deadline_the_flows_go_on(kafka: str, namespace: str, tmp_path: Path, valkey: Own) -> None:
    async with api(kafka, namespace, tmp_path, valkey.url, SHORT) as made:
        response = await made.public.post("/track", json=payload(purchase(1, options=ASKED)))
        assert response.status_code == 200
        found = response.json()
        assert (found["pending"], found["response"], found["ux"]) == (True, {}, [])


async def test_a_payload_may_ask_for_all_its_events(
    kafka: str, namespace: str, tmp_path: Path, valkey: Own, answers: RedisAnswers
) -> None:
    async with api(kafka, namespace, tmp_path, valkey.url) as made:
        events = purchase(1), purchase(2, options={"async": True, "x": 1}), purchase(3, options={"x": 1})
        sending = asked(made, *events, options=ASKED)
        await waits(made, valkey.url, 1)
        for number in (3, 1):
            await asyncio.to_thread(answers.put, id_of(number), "tea", {"n": number}, ["tea"])
        assert (await sending).json()["response"] == {"n": 3}
        # that is how whoever runs the flows knows who is waited for
        (record,) = await made.records()
        track: Track = record["body"][1]  # type: ignore[assignment]
        options = [msgspec.json.decode(event["options"]) for event in track["events"]]
        assert options == [ASKED, {"async": True, "x": 1}, {"x": 1, **ASKED}]


async def test_several_apis(kafka: str, namespace: str, tmp_path: Path, valkey: Own, answers: RedisAnswers) -> None:
    async with (
        api(kafka, namespace, tmp_path, valkey.url) as one,
        api(kafka, namespace, tmp_path, valkey.url, is_first=False) as two,
    ):
        sending = [asked(each, purchase(1, options=ASKED)) for each in (one, two)]
        with closing(client(valkey.url)) as redis:
            async with asyncio.timeout(20):
                while await listeners(redis, namespace) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await asyncio.to_thread(answers.put, id_of(1), "tea", {"n": 1}, ["tea"])
        assert [(await each).json()["response"] for each in sending] == [{"n": 1}] * 2


async def test_without_redis_nobody_waits(kafka: str, namespace: str, tmp_path: Path) -> None:
    nobody = f"redis://127.0.0.1:{ports.free_port()}/0"
    for url in ("", nobody):
        async with api(kafka, namespace, tmp_path, url, is_first=not url) as made:
            for _ in range(3):
                response = await made.public.post("/track", json=payload(purchase(1, options=ASKED)))
                assert (response.status_code, response.json()["pending"]) == (200, True)


async def test_redis_goes_away_and_comes_back(
    kafka: str, namespace: str, tmp_path: Path, valkey: Own, answers: RedisAnswers
) -> None:
    async with api(kafka, namespace, tmp_path, valkey.url) as made:
        sending = asked(made, purchase(1, options=ASKED))
        await waits(made, valkey.url, 1)
        valkey.kill()
        assert (await sending).json()["pending"]
        answers.put(id_of(1), "tea", {}, ["tea"])  # raises nothing: a run is none the worse
        valkey.start()
        async with asyncio.timeout(30):
            while True:
                sending = asked(made, purchase(2, options=ASKED))
                done, _ = await asyncio.wait({sending}, timeout=0.5)
                if not done:
                    break
                assert sending.result().json()["pending"]  # for a second it is not asked again
        await waits(made, valkey.url, 2)
        async with asyncio.timeout(20):
            while not sending.done():
                await asyncio.to_thread(answers.put, id_of(2), "tea", {"n": 2}, ["tea"])
                await asyncio.wait({sending}, timeout=0.1)
        assert sending.result().json()["response"] == {"n": 2}


async def test_so_many_may_wait(kafka: str, namespace: str, tmp_path: Path, valkey: Own, answers: RedisAnswers) -> None:
    async with api(kafka, namespace, tmp_path, valkey.url, Flows(wait_s=20, waiters=1)) as made:
        sending = asked(made, purchase(1, options=ASKED))
        await waits(made, valkey.url, 1)
        late = (await made.public.post("/track", json=payload(purchase(2, options=ASKED)))).json()
        assert late["pending"]
        bulk = await made.public.post(
            "/track", json=payload(purchase(3, options=ASKED)), headers={"Hub-Priority": "bulk"}
        )
        assert bulk.json()["pending"]
        await asyncio.to_thread(answers.nothing, id_of(1))
        assert not (await sending).json()["pending"]
        sending = asked(made, purchase(4, options=ASKED))  # there is room again
        await waits(made, valkey.url, 4)
        await asyncio.to_thread(answers.nothing, id_of(4))
        assert not (await sending).json()["pending"]


async def test_a_response_that_is_too_large_is_left_out(
    kafka: str, namespace: str, tmp_path: Path, valkey: Own, answers: RedisAnswers
) -> None:
    async with api(kafka, namespace, tmp_path, valkey.url) as made:
        answers.put(id_of(1), "tea", {"x": "y" * MOST_BYTES}, ["tea"])
        found = (await made.public.post("/track", json=payload(purchase(1, options=ASKED)))).json()
        assert (found["pending"], found["response"]) == (False, {})
        assert "the response of the flow tea is larger than" in found["warnings"][0]


def test_what_is_told_is_forgotten(valkey: Own, namespace: str, answers: RedisAnswers) -> None:
    answers.put("e", "tea", {}, ["tea"])
    with closing(client(valkey.url)) as redis:
        assert 0 < redis.ttl(Keys(namespace).of("e")) <= KEPT_S
