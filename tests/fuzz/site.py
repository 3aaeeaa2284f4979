"""The API's app as a server would run it, on a real log, and one request to it after the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridges.hooks import Hooks
from bridges.replay import converter_with
from hub.api.app import create_app
from hub.api.asgi import App
from hub.definitions.catalogue import Catalogue
from hub.log.admin import LogAdmin
from hub.log.config import producer_config
from hub.log.follower import Follower
from hub.log.producer import Publisher
from hub.log.reader import LogReader
from hub.settings import Kafka, Limits
from hub.store.factory import open_store
from tests.fuzz.shots import DEFINED, Shot

ADMIN_KEY: Final = "key"
NUMBER: Final = b"x-shot"
"""Header that tells in a record, too, of which shot it is."""
GO_ON: Final = ("/flags", "/v1/projects/", "/redirect/")
"""Begins of paths where whoever asks gets the same answer whatever comes of the body."""


class Reply(NamedTuple):
    """What came back. `status` 0: nothing, as the client had gone."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Site:
    """An app and the event loop that it runs on."""

    def __init__(self, app: App, runner: asyncio.Runner) -> None:
        """Args: runner: open as long as this."""
        self._app = app
        self._runner = runner

    def fire(self, shot: Shot, number: int) -> Reply:
        """The answer to a request. Raises whatever the app raises: that it must not."""
        return self._runner.run(self._answer(shot, number))

    def define(self, path: str, spec: Any) -> None:
        """PUT a definition."""
        headers = [(b"authorization", f"Bearer {ADMIN_KEY}".encode())]
        reply = self.fire(Shot("PUT", f"/definitions/{path}", b"", headers, [json.dumps(spec).encode()], False), -1)
        assert reply.status in (200, 201), reply

    async def _answer(self, shot: Shot, number: int) -> Reply:
        rest: list[MutableMapping[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": shot.is_cut or place + 1 < len(shot.body)}
            for place, piece in enumerate(shot.body)
        ]
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return rest.pop(0) if rest else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": shot.method,
            "scheme": "http",
            "path": shot.path,
            "raw_path": b"",
            "query_string": shot.query,
            "root_path": "",
            "headers": [*shot.headers, (NUMBER, b"%d" % number)],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self._app(scope, receive, send)
        if not sent:
            return Reply(0, {}, b"")
        assert sent[0]["type"] == "http.response.start"
        assert not sent[-1].get("more_body")
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Reply(sent[0]["status"], dict(sent[0]["headers"]), body)


@contextmanager
def site(kafka: Kafka, namespace: str, folder: Path) -> Iterator[Site]:
    """One with everything defined that a valid shot needs. The topics have to be there. Args: folder: of the store."""
    with ExitStack() as stack:
        catalogue = Catalogue()
        stack.enter_context(Follower(kafka, namespace, catalogue))
        store = stack.enter_context(closing(open_store(f"sqlite:///{folder / 'hub.sqlite'}")))
        runner = stack.enter_context(asyncio.Runner())
        publisher = runner.run(_publisher(kafka))
        app = create_app(
            publisher=publisher,
            store=store,
            catalogue=catalogue,
            admin_key=ADMIN_KEY,
            namespace=namespace,
            limits=Limits(),
            offsets=LogAdmin(kafka, namespace).offsets,
            record_at=LogReader(kafka, namespace).record,
            converter=converter_with({}),
            hooks=Hooks(namespace=namespace, limits=Limits(), environ={}, blobs=store),
        )
        one = Site(app, runner)
        for path, spec in DEFINED.items():
            one.define(path, spec)
        yield one
        runner.run(publisher.close(2))


async def _publisher(kafka: Kafka) -> Publisher:
    """On the loop that it belongs to."""
    return Publisher(producer_config(kafka))


def is_half(shot: Shot) -> bool:
    """Whether the body would say more, had it not been cut; nothing may come of such a request."""
    return shot.is_cut and shot.method not in ("GET", "HEAD", "OPTIONS")


def judged(shot: Shot, reply: Reply) -> str:
    """What is wrong with an answer, as far as it can be seen by itself; empty: nothing."""
    if reply.status >= 500:
        return f"a server's fault: {reply.status} {reply.body[:300]!r}"
    if reply.status == 0:
        return "" if shot.is_cut else "no answer"
    if is_half(shot) and reply.status < 400 and not shot.path.startswith(GO_ON):
        return f"half a body was taken: {reply.status}"
    length = reply.headers.get(b"content-length")
    if length is not None and int(length) != len(reply.body):
        return f"content-length {length!r} of {len(reply.body)} bytes"
    kind = reply.headers.get(b"content-type", b"")
    if (kind == b"application/problem+json") != (reply.status >= 400):
        return f"{reply.status} as {kind!r}"
    if kind.endswith(b"json"):
        document = json.loads(reply.body)
        if reply.status >= 400 and document["status"] != reply.status:
            return f"{reply.status} says that it is {document['status']}"
    return ""
