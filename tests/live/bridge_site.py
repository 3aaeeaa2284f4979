"""An API, a collector and bridge processes on one Valkey, as a user starts them, for tests that kill some of them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from hub.log.admin import ensure_topics
from hub.settings import Kafka
from hub.stack import ports
from hub.store.factory import open_store
from tests import stores
from tests.kafka_tools import eventually
from tests.live.whole_hub import ROOT, environment
from tests.plain_http import NO_TLS

KEY: Final = "correct horse battery staple"
STOP_S: Final = 30.0


class Process:
    """One `hub …`. Attributes: port: of its API or its health."""

    def __init__(self, name: str, log: Path, variables: dict[str, str], module: tuple[str, ...] = ("hub",)) -> None:
        self.port = ports.free_port()
        own = {"HUB_API__PORT" if name == "api" else "HUB_HEALTH__PORT": str(self.port)}
        self.log = log
        with log.open("ab") as file:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", *module, name],
                cwd=ROOT,
                env={**variables, **own},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        try:
            eventually(self._is_ready)
        except BaseException:
            self.kill()
            raise

    def ready(self) -> dict[str, Any]:
        """What it says of itself."""
        answer: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.port}/ready", timeout=10, verify=NO_TLS).json()
        return answer

    def runs(self) -> set[str]:
        """Bridges of a bridge process that are in the state `running`."""
        return {each["bridge"] for each in self.ready()["bridges"] if each["state"] == "running"}

    def kill(self) -> None:
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        code = self.popen.wait(STOP_S)
        log = self.log.read_text()
        assert "process.ended_by_force" not in log, log[-20_000:]
        return code

    def _is_ready(self) -> bool:
        assert self.popen.poll() is None, self.log.read_text()
        with suppress(httpx.TransportError, ValueError):
            return bool(self.ready()["ready"])
        return False


class Site:
    """
    What runs of a hub.

    Attributes:
        http: The API, with its key.
    """

    def __init__(self, kafka: str, namespace: str, redis_url: str, folder: Path, **variables: str) -> None:
        self.kafka = Kafka(bootstrap=kafka, partitions=1)
        self.namespace = namespace
        self.folder = folder
        self._started: list[Process] = []
        ensure_topics(self.kafka, namespace)
        open_store(stores.store_url(folder, namespace)).close()  # as the collector would have
        self._variables = environment(
            HUB_KAFKA__BOOTSTRAP=kafka,
            HUB_NAMESPACE=namespace,
            HUB_DATA=str(folder),
            HUB_ADMIN_KEY=KEY,
            HUB_REDIS__URL=redis_url,
            PYTHONUNBUFFERED="1",
            **variables,
        )
        self.api = self.start("api")
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.api.port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=60,
            verify=NO_TLS,
        )

    def start(self, name: str, *, module: tuple[str, ...] = ("hub",), **variables: str) -> Process:
        """Returns when it is ready. Args: module: that is run instead of `hub`, with its first arguments."""
        log = self.folder / f"{name}-{len(self._started)}.log"
        process = Process(name, log, {**self._variables, **variables}, module)
        self._started.append(process)
        return process

    def close(self) -> None:
        self.http.close()
        with ExitStack() as stack:  # one that does not stop leaves no other behind
            for process in self._started:
                if process.popen.poll() is None:
                    stack.callback(process.stop)

    def logs(self) -> str:
        return "\n".join(process.log.read_text() for process in self._started)

    def put(self, kind: str, id: str, spec: dict[str, Any], status: int = 201) -> dict[str, Any]:
        answer = self.http.put(f"/definitions/{kind}/{id}", json=spec)
        assert answer.status_code == status, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = self.http.post(path, json=body, headers=headers) if body is not None else self.http.post(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def command(self, *words: str | Path, code: int = 0) -> str:
        """What `hub …` prints that is asked of this one; what goes to its errors if that is what it has to end with."""
        done = subprocess.run(
            [sys.executable, "-m", "hub", *map(str, words), "--url", str(self.http.base_url)],
            cwd=ROOT,
            env={**self._variables, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout or done.stderr

    def until(self, id: str, **wanted: Any) -> dict[str, Any]:
        """Wait for a bridge to be so; a number is a least, a function says whether it is right."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(f"/bridges/{id}")
            return found if all(_reached(found[name], value) for name, value in wanted.items()) else None

        try:
            found = eventually(look)
        except AssertionError as exc:
            raise AssertionError(f"{id} is not {wanted}: {self.get(f'/bridges/{id}')}") from exc
        assert found is not None
        return found


def _reached(found: Any, wanted: Any) -> bool:
    if callable(wanted):
        return bool(wanted(found))
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        return found is not None and found >= wanted
    return bool(found == wanted)


@contextmanager
def site(kafka: str, namespace: str, redis_url: str, folder: Path, **variables: str) -> Iterator[Site]:
    """An API; what else is to run starts with `start`."""
    made = Site(kafka, namespace, redis_url, folder, **variables)
    try:
        yield made
    finally:
        made.close()
