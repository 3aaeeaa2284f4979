"""The API process: an HTTP server around the app, from the first byte to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from typing import Final, NamedTuple

import structlog
import uvicorn
import uvloop

from hub.api.app import create_app
from hub.api.asgi import App
from hub.api.control import Control
from hub.api.definitions import Rules
from hub.api.flow_answers import Waiters
from hub.api.heartbeat_runs import Runs
from hub.api.imports import Door
from hub.api.overview import Processes
from hub.api.recorder import Recorder
from hub.api.tail import Tail
from hub.api.tls import Tls
from hub.api.wire import Bounds, bounds_of, watch, wire_of
from hub.definitions.catalogue import Catalogue
from hub.edge.hook import Hooks
from hub.edge.message import ConverterOf
from hub.edge.outbound import RehearseOf
from hub.errors import Refused, Unavailable
from hub.jobs.kind import Kinds
from hub.jobs.late import LateTasks
from hub.jobs.queue import JobQueue
from hub.log.admin import LogAdmin
from hub.log.audit import AuditLog
from hub.log.bulk import BulkWindow
from hub.log.config import producer_config
from hub.log.follower import Follower
from hub.log.kept import Kept
from hub.log.keys import opening
from hub.log.lag import DestinationLag
from hub.log.producer import Publisher
from hub.log.progress import Progress
from hub.log.publishing import Publishing
from hub.log.reader import LogReader
from hub.log.sealing import SealingPublisher
from hub.log.tail import TailReader
from hub.pipeline.data_keys import Wrapping
from hub.pipeline.sealed import Sealer
from hub.redis import client
from hub.segments.runs import Runs as SegmentRuns
from hub.settings import Api, Bulk, Flows, Kafka, Limits, Telemetry
from hub.store.factory import open_store
from hub.telemetry.start import opened as telemetry_of
from schemas.topics import EVENTS

log: Final = structlog.get_logger()

KEEP_ALIVE_S: Final = 65
"""Longer than the usual minute of a proxy in front, so that it is the proxy that closes an idle connection."""
GRACE_S: Final = 5.0
"""How much longer than Kafka's acknowledgement a request may take before a stop breaks it off."""
OTHER_FILES: Final = 500
"""Of the store, Kafka, Redis and logs, roughly."""
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """
    Uvicorn, except that signals only ask it to stop: what is around it is to be closed as well; that a TLS handshake
    has to end some time; and that slow clients are looked for.
    """

    def __init__(self, config: uvicorn.Config, handshake_s: float) -> None:
        """Args: handshake_s: how long one may take."""
        super().__init__(config)
        self._handshake_s = handshake_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on `sockets`."""
        config, loop = self.config, asyncio.get_running_loop()
        await self.lifespan.startup()

        def made() -> asyncio.Protocol:
            protocol: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return protocol

        self.servers = [
            await loop.create_server(
                made,
                sock=sock,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=self._handshake_s if config.ssl else None,
            )
            for sock in sockets or ()
        ]
        self.started = True

    async def main_loop(self) -> None:
        """Until it is asked to stop."""
        watching = asyncio.create_task(watch(self.server_state.connections), name="slow clients")
        try:
            await super().main_loop()
        finally:
            watching.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Uvicorn raises the signal again when it has stopped, which would end the process there."""
        yield


class Parts(NamedTuple):
    """
    What an API process is made of. The arguments of the same names are explained at `create_app`.

    `wrapping`: of the keys of sealed records. `shredding`: whether to seal records.
    """

    kafka: Kafka
    namespace: str
    limits: Limits
    admin_key: str
    identity_key: bytes
    most_profiles: int
    store_url: str
    rules: Rules
    converter: ConverterOf
    hooks: Hooks
    rehearse_of: RehearseOf
    redis_url: str
    most_heartbeats_per_s: float
    bulk: Bulk
    wrapping: Wrapping
    kinds: Kinds
    shredding: bool = False
    import_door: Door | None = None
    flows: Flows = Flows()
    collect_key: bool = False
    tail_listeners: int = Api().tail_listeners
    telemetry: Telemetry = Telemetry()


def run(parts: Parts, api: Api) -> None:
    """
    Serve until SIGTERM or SIGINT; requests that are being answered are finished first.

    Raises:
        Refused: The port cannot be had, or the store cannot be read.
        Unavailable: Kafka does not answer.
    """

    async def main() -> None:
        # the port first: that it is taken shall not be found out after a wait for Kafka
        with closing(listen(api)) as sock:
            tls = Tls(api) if api.cert_file else None
            _allow_files(api.connections)
            async with _opened(parts) as (app, live):
                # what is there now stays: not to walk it again in each collection saves an eighth of a request's time
                gc.collect()
                gc.freeze()
                await serve(
                    app,
                    sock,
                    grace_s=parts.kafka.delivery_timeout_s + GRACE_S,
                    bounds=bounds_of(api, parts.limits),
                    tls=tls,
                    ending=live.end,
                )

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def _allow_files(connections: int) -> None:
    """Each connection is an open file, and many systems let a process have 1,024 until it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        log.warning(
            "api.few_files", connections=connections, files=most, mend="raise ulimit -n, or lower HUB_API__CONNECTIONS"
        )


def listen(api: Api) -> socket.socket:
    """A socket that listens. Raises Refused, which names the port."""
    family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((api.host, api.port))
    except OSError as exc:
        sock.close()
        where = f"{api.host} port {api.port}"
        raise Refused("api", f"cannot listen on {where} (HUB_API__HOST, HUB_API__PORT): {exc.strerror}") from exc
    return sock


def server_of(app: App, grace_s: float, bounds: Bounds | None = None, tls: Tls | None = None) -> Server:
    """The HTTP server of an app; see `serve`."""
    bounds = bounds or bounds_of(Api(), Limits())
    return Server(
        uvicorn.Config(
            app,
            http=wire_of(bounds),
            ssl_context_factory=None if tls is None else lambda *_: tls.context,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # who asks is who connects: a header that anyone can send does not change that
            proxy_headers=False,
            backlog=2048,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(grace_s),
        ),
        bounds.head_s,
    )


async def serve(
    app: App,
    sock: socket.socket,
    *,
    grace_s: float,
    bounds: Bounds | None = None,
    tls: Tls | None = None,
    ending: Callable[[], None] = lambda: None,
) -> None:
    """
    Answer requests on `sock` until a stop signal.

    Args:
        grace_s: How long requests may take to finish after the signal, seconds.
        bounds: What clients may do; None: the settings' defaults.
        tls: With what it speaks TLS; None: it does not.
        ending: Called at the signal: ends answers that would go on for ever.

    Raises:
        Unavailable: The server could not start.
    """
    server = server_of(app, grace_s, bounds, tls)

    def stop(number: signal.Signals) -> None:
        log.info("api.stopping", signal=number.name)
        server.should_exit = True
        ending()

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    watching = None
    if tls is not None:
        loop.add_signal_handler(signal.SIGHUP, tls.read_again)
        watching = asyncio.create_task(tls.watch(), name="certificate")
    try:
        host, port = sock.getsockname()[:2]
        scheme = "http" if tls is None else "https"
        log.info("api.listening", url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        await server.serve(sockets=[sock])
    finally:
        if watching is not None:
            watching.cancel()
            loop.remove_signal_handler(signal.SIGHUP)
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
    log.info("api.stopped")


@asynccontextmanager
async def _opened(parts: Parts) -> AsyncIterator[tuple[App, Tail]]:
    kafka, namespace, redis_url = parts.kafka, parts.namespace, parts.redis_url
    catalogue = Catalogue(parts.identity_key)
    async with AsyncExitStack() as stack:
        store = stack.enter_context(closing(open_store(parts.store_url, readonly=True)))
        recorder = stack.enter_context(closing(Recorder(lambda: open_store(parts.store_url))))
        catalogue.on_record(recorder.take)
        follower = stack.enter_context(Follower(kafka, namespace, catalogue))
        publisher = Publisher(producer_config(kafka))
        sealer = Sealer(parts.wrapping, parts.identity_key)
        stack.push_async_callback(publisher.close)
        progress = stack.enter_context(closing(Progress(kafka, namespace)))
        window = stack.enter_context(BulkWindow(progress, parts.bulk))

        control = Control(redis_url, namespace) if redis_url else None
        destination_control = Control(redis_url, namespace, "destinations") if redis_url else None
        runs = Runs(redis_url, namespace) if redis_url else None
        processes = Processes(redis_url, namespace) if redis_url else None
        for each in (control, destination_control, runs, processes):
            if each is not None:
                stack.push_async_callback(each.close)

        flows = parts.flows
        waiters = Waiters(redis_url, namespace, catalogue, wait_s=flows.wait_s, most=flows.waiters)
        stack.push_async_callback(waiters.close)

        redis = stack.enter_context(closing(client(redis_url))) if redis_url else None
        late_tasks = stack.enter_context(closing(LateTasks(lambda: open_store(parts.store_url))))

        def definitions() -> None:
            if not follower.level:
                raise Unavailable("definitions", "not all of them have been read yet")

        sending: Publishing = SealingPublisher(publisher, sealer, namespace) if parts.shredding else publisher
        tracing = stack.enter_context(telemetry_of(parts.telemetry, "api", namespace))
        if tracing is not None:
            from hub.telemetry.edge import TracedApp, TracedPublisher  # noqa: PLC0415 - what is off is not imported

            sending = TracedPublisher(sending, tracing, EVENTS.name(namespace))
        live = Tail(partial(TailReader, kafka, namespace), store, parts.identity_key, most=parts.tail_listeners)
        stack.push_async_callback(live.close)
        app = create_app(
            publisher=sending,
            store=store,
            catalogue=catalogue,
            admin_key=parts.admin_key,
            namespace=namespace,
            limits=parts.limits,
            offsets=LogAdmin(kafka, namespace).offsets,
            record_at=opening(LogReader(kafka, namespace).record, store, parts.wrapping),
            converter=parts.converter,
            hooks=parts.hooks,
            destination_control=destination_control,
            destination_lags=DestinationLag(kafka, namespace),
            rehearse_of=parts.rehearse_of,
            rules=parts.rules,
            control=control,
            settle=recorder.settle,
            kept=Kept(kafka, namespace),
            most_profiles=parts.most_profiles,
            checks={"definitions": definitions},
            runs=runs,
            segment_runs=None if redis is None else SegmentRuns(redis, namespace),
            most_heartbeats_per_s=parts.most_heartbeats_per_s,
            bulk=window,
            kinds=parts.kinds,
            import_door=parts.import_door,
            waiters=waiters,
            collect_key=parts.collect_key,
            audited=AuditLog(kafka, namespace).newest,
            task_writer=late_tasks,
            live=live,
            processes=processes,
            queue_of=None if redis is None else lambda queue: JobQueue(redis, namespace, queue),
        )
        yield (app if tracing is None else TracedApp(app, tracing, parts.telemetry)), live
