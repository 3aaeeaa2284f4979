"""The API as one ASGI app: the event route in front, FastAPI behind it for everything else."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Final, Protocol

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from hub.api import (
    api_keys,
    audit_pages,
    balance,
    bridges,
    conditions,
    dead_letters,
    definitions,
    destinations,
    figures,
    flow_asks,
    flow_runs,
    flows,
    health,
    heartbeats,
    identity,
    imports,
    mappings,
    overview,
    privacy,
    queries,
    segments,
    select,
    tail,
    tasks,
    trace,
    versions,
)
from hub.api.access import TRACK, Front, Keys
from hub.api.asgi import JSON, App, Message, Receive, Scope, Send, respond
from hub.api.audit import Audit
from hub.api.collect import COLLECT, Collect
from hub.api.consent import CONSENT, Consents
from hub.api.console import console_at
from hub.api.control import Control
from hub.api.doors import Doors
from hub.api.flow_answers import Waiters
from hub.api.gate import Gate
from hub.api.gauges import BalanceGauges
from hub.api.heartbeat_runs import Runs
from hub.api.intake import Intake
from hub.api.openapi import describe, page
from hub.api.parts import DoorParts
from hub.api.problems import failure, hub_problem, problem, refusal
from hub.api.redirect import REDIRECT, Redirects
from hub.api.refusals import Refusals
from hub.api.replay import Replayer
from hub.api.responses import response
from hub.api.roles import READ, guard
from hub.api.sending_again import send_again
from hub.api.sessions import Sessions
from hub.api.sheet import Offsets
from hub.api.track import Track
from hub.api.tracker import TRACKER, Tracker
from hub.api.vendors import ROUTES
from hub.api.webhooks import Webhooks
from hub.definitions.api_keys import KIND as API_KEY
from hub.definitions.api_keys import KeyVault
from hub.definitions.catalogue import Catalogue
from hub.definitions.wording import said
from hub.edge.hook import Hooks
from hub.edge.message import ConverterOf
from hub.edge.outbound import RehearseOf
from hub.errors import HubError, InvalidPayload
from hub.jobs.kind import Kinds
from hub.jobs.queue import JobQueue
from hub.log.bulk import BulkWindow
from hub.log.publishing import Publishing
from hub.pipeline.definitions import MOST_PROFILES
from hub.segments.runs import Runs as SegmentRuns
from hub.settings import Agents, Limits
from hub.store.port import FlowRuns, Reading, Scanning, Segments, Tasks, Versions
from schemas.topics import AUDIT

log: Final = structlog.get_logger()

NO_RULES: Final = definitions.Rules()
NO_KINDS: Final[Kinds] = {}
MOST_HEARTBEATS_PER_S: Final = Agents().events_per_s
DESCRIPTION: Final = "Events in, one profile per customer out. Errors are problem+json (RFC 9457)."


class ReadStore(Reading, Segments, Scanning, Versions, Tasks, FlowRuns, Protocol):
    """What the API needs of a store."""


class Writer(tasks.Writing, flow_runs.Cancelling, Protocol):
    """What it writes there."""


def now_ms() -> int:
    """The clock: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def create_app(
    *,
    publisher: Publishing,
    store: ReadStore,
    catalogue: Catalogue,
    admin_key: str,
    namespace: str,
    limits: Limits,
    offsets: Offsets,
    record_at: trace.RecordAt,
    converter: ConverterOf,
    rules: definitions.Rules = NO_RULES,
    control: Control | None = None,
    hooks: Hooks | None = None,
    destination_control: Control | None = None,
    destination_lags: destinations.Lags = lambda _: {},
    rehearse_of: RehearseOf | None = None,
    settle: Callable[[float], bool] = lambda _: True,
    kept: privacy.Kept = dict,
    most_profiles: int = MOST_PROFILES,
    checks: Mapping[str, health.Check] | None = None,
    runs: Runs | None = None,
    segment_runs: SegmentRuns | None = None,
    most_heartbeats_per_s: float = MOST_HEARTBEATS_PER_S,
    bulk: BulkWindow | None = None,
    kinds: Kinds = NO_KINDS,
    task_writer: Writer | None = None,
    queue_of: Callable[[str], JobQueue] | None = None,
    import_door: imports.Door | None = None,
    waiters: Waiters | None = None,
    collect_key: bool = False,
    audited: audit_pages.Past = lambda _: iter(()),
    live: tail.Tail | None = None,
    processes: overview.Processes | None = None,
    now_ms: Callable[[], int] = now_ms,
) -> App:
    """
    Put the API together; it opens and closes nothing.

    Args:
        admin_key: Not empty; for every route but those that take events, /live, /ready, /metrics and the documentation,
            as are the keys in the catalogue.
        offsets: By partition of events.v1, where it begins and ends. Blocks.
        record_at: One record of events.v1 by its coordinates, if Kafka still has it. Blocks.
        converter: The way of a bridge's messages, for those that are replayed.
        rules: By kind of definition, checks beyond its types, and its secrets.
        control: Of the bridge processes; None: there is no Redis.
        hooks: Bridges whose messages are brought to /webhooks/; None: there is no such route.
        destination_control: As `control`, of destinations.
        destination_lags: How many stored events wait for each destination. Blocks.
        rehearse_of: What a destination would send; None: nobody knows.
        kept: How long Kafka keeps what is on its topics. Blocks.
        settle: Waits so many seconds at most until the store has every version of the definitions. Blocks.
        most_profiles: That may share an identifier before it identifies nobody.
        checks: What /ready asks apart from Kafka and the store, by name.
        runs: Of heartbeats; None: there is no Redis.
        segment_runs: Of back-fills; None: there is no Redis.
        most_heartbeats_per_s: Events a second that one heartbeat may need.
        bulk: Where bulk payloads and replays wait for live events; None: they do not.
        kinds: Of tasks that somebody may ask for.
        task_writer: What keeps them, and ends runs of flows; None: the store, if that is open for writing.
        queue_of: Of RQ, by name; None: there is no Redis.
        import_door: What imports may look at; None: there are no routes for them.
        waiters: Who wait for what flows answer; None: nobody does.
        collect_key: Whether /track, /collect and /customer/consent ask for a key.
        audited: What is on audit.v1. Blocks.
        processes: Who of the hub lives; None: there is no Redis.
        live: Who listens to what is stored; None: nobody can.
        now_ms: The clock, milliseconds since 1970.
    """
    possible = heartbeats.checker(store, most_heartbeats_per_s, limits.event_bytes)
    warner = flows.warner(catalogue)
    rules = rules._replace(
        validators={**rules.validators, "heartbeat": possible, "flow": flows.checker},
        vaults={**rules.vaults, API_KEY: KeyVault()},
        warners={
            flows.FLOW: warner,
            flows.DRAFT: warner,
            "bridge": definitions.sender(catalogue, "bridge"),
            "redirect": definitions.sender(catalogue, "redirect"),
            "heartbeat": definitions.rememberer(catalogue),
        },
        probers={"segment": segments.prober(store, now_ms)},
    )
    refusals = Refusals(now_ms())
    parts = DoorParts(publisher, namespace, catalogue, limits, refusals, Gate(catalogue), now_ms)
    webhooks = None if hooks is None else Webhooks(hooks, parts)
    intake = Intake(parts)
    keys = Keys(admin_key, namespace, catalogue, now_ms, Sessions(admin_key))
    others: dict[str, App] = {
        **console_at(keys, limits),
        COLLECT: Collect(intake),
        REDIRECT: Redirects(intake),
        CONSENT: Consents(intake, store),
        TRACKER: Tracker(),
    }
    task_views = tasks.TaskViews(store, task_writer or store, kinds, queue_of, now_ms)
    replayer = Replayer(
        publisher,
        store,
        catalogue,
        namespace=namespace,
        limits=limits,
        converter=converter,
        now_ms=now_ms,
        bulk=bulk,
        send_again=partial(send_again, task_views, store),
    )
    app = FastAPI(
        title="ThamesThrive Hub",
        version=version("thamesthrive-hub"),
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.openapi = partial(describe, app)  # type: ignore[method-assign]

    audit = Audit(publisher, AUDIT.name(namespace), catalogue.identity_key, now_ms)

    def include(router: APIRouter) -> None:
        app.include_router(guard(router, audit))

    checks = {"kafka": publisher.ping, "store": store.ping, **(checks or {})}
    include(health.router(checks, BalanceGauges(store, offsets).refresh))
    # before the queries' /events/{id:path}, which would take it for an id
    include(trace.router(store, catalogue, namespace, offsets, record_at))
    include(dead_letters.router(replayer))
    identities = identity.Identities(publisher, store, namespace, most_profiles, now_ms)
    include(identity.router(identities))
    people = privacy.People(
        publisher,
        store,
        namespace,
        catalogue=catalogue,
        identities=identities,
        kept=kept,
        now_ms=now_ms,
    )
    include(privacy.router(people))
    include(select.router(store, now_ms))
    # before /{kind}/{id:path} and /flows/{id:path}, which would take what they are called for an id
    include(flow_runs.router(flow_runs.RunViews(store, task_writer or store, now_ms)))
    include(figures.router(store, now_ms))
    include(queries.router(store, now_ms))
    include(conditions.router(store, now_ms))
    include(tail.router(live, lambda request: keys.still(request.scope, READ)))
    include(balance.router(store, offsets, refusals, now_ms))
    editor = definitions.Editor(publisher, catalogue, namespace, now_ms)
    include(api_keys.router(api_keys.ApiKeys(editor, catalogue, namespace, now_ms)))
    include(audit_pages.router(audit_pages.AuditPages(audited, store, rules, settle)))
    # before /definitions/{kind}/{id:path}, which would take them for ids
    include(versions.router(editor, catalogue, rules, store, settle))
    include(definitions.router(editor, catalogue, rules))
    inward = bridges.Bridges(editor, catalogue, rules, control=control, webhooks=webhooks, now_ms=now_ms)
    outward = destinations.Destinations(
        editor,
        catalogue,
        rules,
        store,
        control=destination_control,
        lags=destination_lags,
        rehearse_of=rehearse_of,
        now_ms=now_ms,
    )
    for each in (
        bridges.router(inward, rules.types.get("bridge", list)),
        destinations.router(outward, rules.types.get("destination", list)),
        mappings.router(catalogue, limits, now_ms),
        overview.router(
            overview.Overviews(store, offsets, processes, bridges=inward, destinations=outward, now_ms=now_ms)
        ),
        heartbeats.router(heartbeats.Heartbeats(editor, catalogue, runs, now_ms)),
        flows.router(flows.Flows(editor, catalogue, rules, store, now_ms)),
    ):
        include(each)
    views = segments.SegmentViews(publisher, store, catalogue, namespace, runs=segment_runs, now_ms=now_ms)
    include(segments.router(views, now_ms))
    include(tasks.router(task_views))
    asks = flow_asks.FlowAsks(task_views, catalogue, store, most_bytes=limits.event_bytes, now_ms=now_ms)
    include(flow_asks.router(asks))
    if import_door is not None:
        include(imports.router(imports.ImportViews(task_views, catalogue, limits, import_door, now_ms)))
    _add_docs(app)
    _add_errors(app, limits)
    return Front(
        Track(parts, bulk, waiters),
        app,
        keys,
        webhooks,
        Doors(ROUTES, parts),
        others=others,
        with_key=frozenset({TRACK, COLLECT, CONSENT}) if collect_key else frozenset(),
    )


def _add_docs(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))


def _add_errors(app: FastAPI, limits: Limits) -> None:
    @app.exception_handler(InvalidPayload)
    async def refused(_: Request, exc: InvalidPayload) -> Response:
        return response(refusal(exc, limits))

    @app.exception_handler(UnicodeEncodeError)
    async def no_text(_: Request, exc: UnicodeEncodeError) -> Response:  # noqa: ARG001 - where, it does not know
        # only JSON's escapes can bring one in, and nothing can be written with it: so nothing was
        return response(
            refusal(InvalidPayload("lone_surrogate", "a text holds half of a surrogate pair", "body"), limits)
        )

    @app.exception_handler(HubError)
    async def hub_error(_: Request, exc: HubError) -> Response:
        return response(hub_problem(exc))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, exc: RequestValidationError) -> Response:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return response(problem(422, said(first), reason="wrong_type", where=where))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, exc: HTTPException) -> Response:
        headers = tuple((name.lower().encode(), value.encode()) for name, value in (exc.headers or {}).items())
        detail = f"{request.method} {request.url.path}: {exc.detail}"
        return response(problem(exc.status_code, detail, headers=headers))

    app.add_middleware(_AnyJson)
    app.add_middleware(_LastResort)


class _AnyJson:
    """A body is JSON, whatever type it says it has: `curl -d` calls it a form."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [header for header in scope["headers"] if header[0] != JSON[0]]
            scope = {**scope, "headers": [*headers, JSON]}
        await self._app(scope, receive, send)


class _LastResort:
    """Answers 500 for what nobody expected; within Starlette's own, whose answer is plain text."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            error_id = secrets.token_hex(8)
            log.exception("request.failed", error_id=error_id, path=scope.get("path"))
            if started:
                raise  # the server has to break the connection off, or half an answer looks whole
            await respond(send, failure(error_id))
