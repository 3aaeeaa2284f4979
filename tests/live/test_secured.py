"""Kafka, Redis, the store and the API behind TLS and passwords: every client of ours gets in, and nobody else."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
import redis as redis_client
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from hub import redis
from hub.api.control import Control
from hub.api.heartbeat_runs import Runs
from hub.errors import Refused, Unavailable
from hub.jobs.queue import JobQueue
from hub.log.admin import LogAdmin, ensure_topics
from hub.log.aio import access
from hub.log.leaving import leave_for
from hub.log.reaching import Reaching
from hub.settings import Kafka, Redis, Store
from hub.stack.ports import free_port
from hub.store.elastic.client import Engine
from hub.store.elastic.generations import LineDocument
from hub.store.factory import has_store, open_store, remove_store
from schemas.jobs import SEGMENTATION
from tests.kafka_tools import eventually
from tests.live.api import KEY
from tests.live.bridge_site import Process
from tests.live.test_api_process import api
from tests.live.whole_hub import ROOT, environment
from tests.servers import kafka_tls, tls
from tests.servers.relay import relay
from tests.servers.running import Own, own, shared
from tests.targets.own import port_of
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

SCRAM: Final = "scram-it-is-a-secret"
USER: Final = "hub"
REDIS_PASSWORD: Final = "p@ss/w:rd-of-redis"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("kafka_tls", tmp_path_factory.mktemp("kafka-tls")) as running:
        admin = AdminClient({"bootstrap.servers": running.url.removeprefix("kafka://"), "log_level": 3})
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            wanted = UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), SCRAM.encode())
            for done in admin.alter_user_scram_credentials([wanted]).values():
                done.result(30)
        # the first question for a group's coordinator makes the topic that it needs
        plain = Kafka(bootstrap=running.url.removeprefix("kafka://"))
        wait_for("groups have a coordinator", lambda: coordinates(plain), 60)
        yield running


def coordinates(kafka: Kafka) -> bool:
    try:
        leave_for(kafka, "nobody", "nobody")
    except Unavailable:
        return False
    return True


def options(broker: Own, mechanism: str) -> dict[str, str | int | float | bool]:
    """Of librdkafka, as HUB_KAFKA__OPTIONS has them."""
    files = broker.home / "tls"
    trust = {"ssl.ca.location": str(files / "ca.pem")}
    if mechanism == "certificate":
        own_files = {
            "ssl.certificate.location": str(files / "client.pem"),
            "ssl.key.location": str(files / "client.key"),
        }
        return {"security.protocol": "SSL", **trust, **own_files}
    user, password = (kafka_tls.USER, kafka_tls.PASSWORD) if mechanism == "PLAIN" else (USER, SCRAM)
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
        **trust,
    }


def kafka_of(broker: Own, mechanism: str) -> Kafka:
    port = port_of(broker, "mutual" if mechanism == "certificate" else "clients")
    return Kafka(bootstrap=f"localhost:{port}", partitions=1, options=options(broker, mechanism))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "certificate"])
def test_both_clients_of_kafka_get_in(broker: Own, namespace: str, mechanism: str) -> None:
    """librdkafka, which most processes have, and aiokafka, which agents have."""
    kafka = kafka_of(broker, mechanism)
    assert ensure_topics(kafka, namespace)
    assert sum(LogAdmin(kafka, namespace).end_offsets().values()) == 0
    assert access(kafka).protocol == ("SSL" if mechanism == "certificate" else "SASL_SSL")
    leave_for(kafka, f"{namespace}.nobody", "nobody")  # raises if it is not let in


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "certificate"])
def test_nobody_else_gets_into_kafka_and_no_password_is_told(broker: Own, namespace: str, mechanism: str) -> None:
    kafka = kafka_of(broker, mechanism)
    wrong = {**kafka.options, "sasl.password": "another-one"} if mechanism != "certificate" else dict(kafka.options)
    for name in ("ssl.certificate.location", "ssl.key.location"):
        wrong.pop(name, None)
    stranger = kafka.model_copy(update={"options": wrong})

    def by_librdkafka() -> None:
        LogAdmin(stranger, namespace).ping()

    def by_aiokafka() -> None:
        leave_for(stranger, f"{namespace}.nobody", "nobody")

    for ask in (by_librdkafka, by_aiokafka):
        with pytest.raises(Unavailable) as error:
            ask()
        assert "another-one" not in str(error.value)
    # who begins does not wait for a Kafka that has the wrong password; a certificate may be on its way
    with pytest.raises(Refused if mechanism != "certificate" else Unavailable) as error:
        Reaching(stranger)()
    assert "another-one" not in str(error.value)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Redis]:
    """A Valkey with a user, behind TLS that asks for a certificate."""
    with own("valkey", tmp_path / "valkey") as server:
        port = port_of(server, "redis")
        with redis_client.Redis(port=port) as client:
            client.execute_command("ACL", "SETUSER", USER, "on", f">{REDIS_PASSWORD}", "~*", "&*", "+@all")
            client.execute_command("ACL", "SETUSER", "default", "off")
        folder = tmp_path / "tls"
        async with relay(port, folder, asks=True) as front:
            yield Redis(
                url=f"rediss://localhost:{front}/0",
                username=USER,
                password=REDIS_PASSWORD,
                ca_file=folder / "ca.pem",
                cert_file=folder / "client.pem",
                key_file=folder / "client.key",
            )


async def test_every_client_of_redis_gets_in_and_nobody_else(guarded: Redis, namespace: str) -> None:
    """The one that blocks, RQ's, those on a loop; without the password, the certificate or the authority: none."""

    def blocking(at: Redis) -> int:
        with closing(redis.client(at.address)) as client, redis.translated():
            client.ping()
            return JobQueue(client, namespace, SEGMENTATION).living()

    assert await asyncio.to_thread(blocking, guarded) == 0
    control, runs = Control(guarded.address, namespace), Runs(guarded.address, namespace)
    assert (await control.seen(["a"])).processes == 0
    assert await runs.latest(["a"]) == {}
    await control.close()
    await runs.close()
    for less in (
        {"password": None, "username": ""},
        {"username": USER, "password": Redis(url=guarded.url, password="wrong").password},
        {"cert_file": None, "key_file": None},
        {"ca_file": None},
        {"url": guarded.url.replace("rediss:", "redis:"), "ca_file": None, "cert_file": None, "key_file": None},
    ):
        with pytest.raises(Unavailable) as error:
            await asyncio.to_thread(blocking, guarded.model_copy(update=less))
        assert REDIS_PASSWORD not in str(error.value)
        assert "p%40ss" not in str(error.value)


async def test_a_search_engine_is_asked_behind_tls_and_the_next_node_if_one_is_gone_or_silent(
    shared_folder: Path, namespace: str, tmp_path: Path
) -> None:
    with shared("elasticsearch", shared_folder / "elasticsearch") as url, ExitStack() as stack:
        port, folder = urlsplit(url).port or 0, tmp_path / "tls"
        plain = Store(url=f"elasticsearch+{url}", copies=0).located(namespace)
        with closing(await asyncio.to_thread(open_store, plain)):
            stack.callback(remove_store, plain)
        async with relay(port, folder) as front:
            gone, behind, ca = f"127.0.0.1:{free_port()}", f"127.0.0.1:{front}", folder / "ca.pem"
            trusted = Store(url=f"elasticsearch+https://{gone},{behind}", ca_file=ca).located(namespace)
            await asyncio.to_thread(answers, trusted)
            strange = Store(url=f"elasticsearch+https://{behind}").located(namespace)
            with pytest.raises(Refused, match="no certificate that we trust"):
                await asyncio.to_thread(answers, strange)
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        both = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{port}"
        pair = Store(url=f"elasticsearch+http://{both}").located(namespace)
        await asyncio.to_thread(answers, pair)
        for _ in range(5):  # which node is the first one to be asked is chance
            with closing(Engine(pair, namespace)) as engine:
                assert (await asyncio.to_thread(LineDocument(engine).read)).in_force.name == namespace


def answers(url: str) -> None:
    """Each node in turn."""
    with closing(open_store(url, readonly=True)) as store:
        for _ in range(3):
            store.ping()
    assert has_store(url)


def test_the_api_speaks_tls_and_takes_a_new_certificate_without_a_restart(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        tls.make(folder)
    used = tmp_path / "used"
    shutil.copytree(first, used)
    variables = {"HUB_API__CERT_FILE": str(used / "server.pem"), "HUB_API__KEY_FILE": str(used / "server.key")}
    with api(kafka, namespace, tmp_path, **variables) as process:
        url = https_of(process)
        assert httpx.get(f"{url}/live", verify=trusting(first)).status_code == 200
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(f"{url}/live", verify=trusting(second))
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{url.replace('https', 'http')}/live")  # not without TLS
        old = trusting(first)
        with pytest.deprecated_call():
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/live", verify=old)
        # half of a new one is none: the one of before stays
        shutil.copy(second / "server.pem", used / "server.pem")
        process.send_signal(signal.SIGHUP)
        assert process.stdout is not None
        assert "the key is not that of the certificate" in next(line for line in process.stdout if "tls." in line)
        assert httpx.get(f"{url}/live", verify=trusting(first)).status_code == 200
        shutil.copy(second / "server.key", used / "server.key")
        process.send_signal(signal.SIGHUP)
        assert "tls.certificate_read" in next(line for line in process.stdout if "tls." in line)
        assert httpx.get(f"{url}/live", verify=trusting(second)).status_code == 200
        done = hub_command("balance", "--url", url, HUB_KEY=KEY, HUB_API__CA_FILE=str(second / "ca.pem"))
        assert done.returncode == 0, done.stderr
        done = hub_command("balance", "--url", url, HUB_KEY=KEY)
        assert (done.returncode, "certificate verify failed" in done.stderr) == (2, True)
        assert KEY not in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"HUB_API__KEY_FILE": ""}, "cert_file and key_file go together"),
        ({"HUB_API__KEY_FILE": "nowhere.key"}, "nowhere.key"),
        ({"HUB_API__KEY_FILE": "client.key"}, "the key is not that of the certificate"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_at_start(
    kafka: str, namespace: str, tmp_path: Path, change: Mapping[str, str], words: str
) -> None:
    tls.make(tmp_path)
    variables = {
        name: str(tmp_path / value) if value else ""
        for name, value in {
            "HUB_API__CERT_FILE": "server.pem",
            "HUB_API__KEY_FILE": "server.key",
            **change,
        }.items()
    }
    if not variables["HUB_API__KEY_FILE"]:
        del variables["HUB_API__KEY_FILE"]
    with api(kafka, namespace, tmp_path, **variables) as process:
        assert process.stdout is not None
        assert words in process.stdout.read()
        assert process.wait(30) == 78


class Secured(Process):
    """A process whose API speaks TLS."""

    def __init__(self, name: str, log: Path, variables: dict[str, str], trust: ssl.SSLContext) -> None:
        self._trust = trust
        self._scheme = "https" if name == "api" else "http"
        super().__init__(name, log, variables)

    def ready(self) -> dict[str, Any]:
        url = f"{self._scheme}://localhost:{self.port}/ready"
        answer: dict[str, Any] = httpx.get(url, verify=self._trust, timeout=10).json()
        return answer


@pytest.mark.long
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512", "certificate"])
async def test_a_whole_hub_among_servers_that_all_want_tls_and_a_password(
    broker: Own, guarded: Redis, namespace: str, tmp_path: Path, mechanism: str
) -> None:
    """Each process, and commands; every secret is in a file, and in no log."""
    await asyncio.to_thread(_whole, broker, guarded, namespace, tmp_path, mechanism)


def _whole(broker: Own, guarded: Redis, namespace: str, folder: Path, mechanism: str) -> None:
    kafka, files = kafka_of(broker, mechanism), folder / "tls"
    given = dict(kafka.options)
    if "sasl.password" in given:
        (folder / "kafka-password").write_text(f"{given['sasl.password']}\n")
        given["sasl.password"] = f"file:{folder / 'kafka-password'}"
    (folder / "redis-password").write_text(f"{REDIS_PASSWORD}\n")
    (folder / "key").write_text(KEY)
    variables = environment(
        HUB_NAMESPACE=namespace,
        HUB_DATA=str(folder / "data"),
        HUB_ADMIN_KEY=f"file:{folder / 'key'}",
        HUB_KAFKA__BOOTSTRAP=kafka.bootstrap,
        HUB_KAFKA__PARTITIONS="1",
        HUB_KAFKA__OPTIONS=json.dumps(given),
        HUB_REDIS__URL=guarded.url,
        HUB_REDIS__USERNAME=USER,
        HUB_REDIS__PASSWORD=f"file:{folder / 'redis-password'}",
        HUB_REDIS__CA_FILE=str(guarded.ca_file),
        HUB_REDIS__CERT_FILE=str(guarded.cert_file),
        HUB_REDIS__KEY_FILE=str(guarded.key_file),
        HUB_API__CERT_FILE=str(files / "server.pem"),
        HUB_API__KEY_FILE=str(files / "server.key"),
        HUB_API__CA_FILE=str(files / "ca.pem"),
        PYTHONUNBUFFERED="1",
    )
    (folder / "data").mkdir()
    ensure_topics(kafka, namespace)
    open_store(f"sqlite:///{folder / 'data' / 'hub.sqlite'}").close()
    trust = trusting(files)
    logs = [folder / f"{name}.log" for name in ("api", "collector", "bridges", "agents", "worker")]
    with ExitStack() as stack:
        processes = {}
        for log in logs:
            made = processes[log.stem] = Secured(log.stem, log, variables, trust)
            stack.callback(made.kill)
        url = f"https://localhost:{processes['api'].port}"
        http = stack.enter_context(
            httpx.Client(base_url=url, verify=trust, timeout=30, headers={"Authorization": f"Bearer {KEY}"})
        )
        assert http.put("/definitions/source/shop", json={}).status_code == 201
        sent = {"source": "shop", "profile": {"id": "ann"}, "events": [{"type": "view"}]}
        assert http.post("/track", json=sent).status_code == 200
        eventually(lambda: http.get("/events/count").json()["count"] == 1)
        assert processes["bridges"].ready()["trouble"] == []
        eventually(lambda: processes["agents"].ready()["partitions"])
        assert processes["agents"].ready()["leads"]
        rows = folder / "rows.jsonl"
        rows.write_text(json.dumps({"profile": {"id": "bob"}, "events": [{"type": "view"}]}) + "\n")
        for command in (("send", rows, "--source", "shop", "--url", url), ("balance", "--url", url), ("doctor",)):
            done = hub_command(*command, **variables)
            assert done.returncode == 0, done.stdout + done.stderr
        for process in processes.values():
            assert process.stop() == 0
    said = "".join(log.read_text() for log in logs)
    for secret in (SCRAM, kafka_tls.PASSWORD, REDIS_PASSWORD, "p%40ss", KEY):
        assert secret not in said


def hub_command(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command of the hub, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "hub", *map(str, words)],
        cwd=ROOT,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=folder / "ca.pem")


def _takes_clients(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def https_of(process: subprocess.Popen[str]) -> str:
    """Where it listens, as soon as it does."""
    assert process.stdout is not None
    for line in process.stdout:
        if "api.listening" in line:
            assert "https://127.0.0.1" in line
            port = int(line.rsplit(":", 1)[1].split()[0])
            wait_for("the API", partial(_takes_clients, port))
            return f"https://localhost:{port}"
    raise AssertionError("the API ended before it listened")
