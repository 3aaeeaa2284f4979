"""`hub api`, `hub collector`, `hub bridges`, `hub agents`, `hub worker`: one process each, put together here."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.settings import EX_CONFIG, load
from hub.errors import Fenced, HubError, Refused
from hub.settings import Health, Settings
from hub.stack.keys import admin_key, identity_key, secret_key
from schemas.jobs import QUEUES, SCHEDULER, SEGMENTATION

if TYPE_CHECKING:  # every command of a user imports this
    from hub.definitions.catalogue import Catalogue
    from hub.flows.outward import OpenOutward, Outward


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("api", rich_help_panel="Processes")(api)
    app.command("collector", rich_help_panel="Processes")(collector)
    app.command("bridges", rich_help_panel="Processes")(bridges)
    app.command("agents", rich_help_panel="Processes")(agents)
    app.command("worker", rich_help_panel="Processes")(worker)
    app.command("scheduler", rich_help_panel="Processes")(scheduler)


def api() -> None:
    """Serve the tracking API, queries and admin over HTTP."""
    from bridges.blobs import LateBlobs
    from bridges.hooks import Hooks
    from bridges.outward import registry as outward
    from bridges.outward.trial import rehearse_of
    from bridges.registry import described, validate
    from bridges.replay import converter_with
    from bridges.secrets import environ
    from bridges.vault import BridgeVault
    from hub.api.definitions import Rules
    from hub.api.imports import Door
    from hub.api.server import Parts, run
    from hub.definitions.sealed import Seal
    from hub.imports.local import within
    from hub.imports.sources import Reach
    from hub.pipeline.data_keys import Wrapping
    from workers.jobs.kinds import kinds

    with _process("api") as settings, ExitStack() as stack:
        settings.data.mkdir(parents=True, exist_ok=True)
        variables = environ(settings)
        key = secret_key(settings.secret_key, settings.data)
        blobs = stack.enter_context(closing(LateBlobs(settings.store_url)))
        parts = Parts(
            kafka=settings.kafka,
            namespace=settings.namespace,
            limits=settings.limits,
            admin_key=admin_key(settings.admin_key, settings.data),
            identity_key=identity_key(settings.identity.key, settings.data),
            most_profiles=settings.identity.most_profiles,
            store_url=settings.store_url,
            rules=Rules(
                validators={"bridge": validate, "destination": outward.validate},
                vaults={"bridge": BridgeVault(key), "destination": BridgeVault(key, outward.settings_of)},
                types={"bridge": described, "destination": outward.described},
            ),
            converter=converter_with(variables, settings.egress),
            hooks=Hooks(namespace=settings.namespace, limits=settings.limits, environ=variables, blobs=blobs),
            rehearse_of=rehearse_of,
            redis_url=settings.redis.address,
            most_heartbeats_per_s=settings.agents.events_per_s,
            bulk=settings.bulk,
            wrapping=Wrapping(key),
            shredding=settings.privacy.shredding,
            kinds=kinds(settings),
            import_door=Door(
                Seal(key),
                Reach(within(settings.imports.folder), variables, settings.egress),
                settings.imports,
                blobs,
            ),
            flows=settings.flows,
            collect_key=settings.api.collect_key,
            tail_listeners=settings.api.tail_listeners,
            telemetry=settings.telemetry,
        )
        run(parts, settings.api)


def collector(
    accept_gap: Annotated[
        bool,
        typer.Option(
            help="Go on behind records that Kafka has deleted before they were stored, "
            "and without definitions that it has lost."
        ),
    ] = False,
) -> None:
    """Turn the log into stored events and profiles."""
    from hub.collector.run import Shredding, run_collector
    from hub.pipeline.data_keys import Wrapping

    with _process("collector") as settings:
        run_collector(
            kafka=settings.kafka,
            namespace=settings.namespace,
            store_url=settings.store_url,
            settings=settings.collector,
            health=settings.health,
            identity_key=identity_key(settings.identity.key, settings.data),
            most_profiles=settings.identity.most_profiles,
            geo=settings.geo.file,
            accept_gap=accept_gap,
            telemetry=settings.telemetry,
            shredding=Shredding(
                Wrapping(secret_key(settings.secret_key, settings.data)), seals=settings.privacy.shredding
            ),
        )


def bridges() -> None:
    """Pull events from other queues."""
    from bridges.run import run

    with _process("bridges") as settings:
        run(settings)


def agents() -> None:
    """Run flows, and do what is due: heartbeats, segments that change with time alone."""
    from workers.agents.run import run

    with _process("agents") as settings:
        run(settings)


def worker(
    queue: Annotated[
        str,
        typer.Argument(help=f"The queue whose jobs it does: {', '.join(QUEUES)}.", metavar="QUEUE"),
    ] = SEGMENTATION,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="So many at a time, each a process of its own, started again if it dies.")
    ] = 1,
) -> None:
    """Do jobs of one RQ queue: look at the segments of all profiles, tasks."""
    from workers.jobs.crew import run_many
    from workers.jobs.run import run

    if queue not in QUEUES:
        raise typer.BadParameter(f"there is no queue {queue!r}; known: {', '.join(QUEUES)}")
    # several processes on one queue are watched by one that does no jobs itself: each of them tells for itself
    with _process("worker", f"worker {queue}" if processes == 1 else "") as settings:
        if not settings.redis.url:
            typer.echo("HUB_REDIS__URL is not set. `hub up` starts a Valkey of its own and sets it.", err=True)
            raise typer.Exit(EX_CONFIG)
        if processes == 1:
            run(settings, queue, _outward(settings))
        else:
            run_many(settings, queue, processes)


def scheduler(
    processes: Annotated[int, typer.Option(min=1, max=64, help="As of `hub worker`.")] = 1,
) -> None:
    """Go on with flows after their pauses: `hub worker scheduler:live`."""
    worker(SCHEDULER, processes)


def _outward(settings: Settings) -> OpenOutward:
    """How flows ask other systems; what that takes is loaded when one does."""

    def opened(catalogue: Catalogue) -> Outward:
        from bridges.outward.flows import FlowOutward
        from bridges.secrets import environ

        return FlowOutward(settings, environ(settings), catalogue)

    return opened


def validators() -> dict[str, Callable[[Any], None]]:
    """By kind of definition, what its types do not say: raise HubError or ValueError. For whoever is no process."""
    from bridges.outward import registry as outward
    from bridges.registry import validate
    from hub.api.flows import checker

    return {"bridge": validate, "destination": outward.validate, "flow": checker}


@contextmanager
def _process(name: str, kind: str | None = None) -> Iterator[Settings]:
    """
    Settings, logs and exit codes that every process shares: 78 when starting again cannot help, else 1.

    Args: kind: what it tells of itself (schemas/processes.py); None: its name; empty: it tells nothing.
    """
    # here, not above: every command of a user is `hub …`, too, and would wait for it
    import structlog

    from hub.beat import beating
    from hub.logs import configure

    settings = load()
    configure(settings.log, name)
    if not settings.kafka.bootstrap:
        typer.echo("HUB_KAFKA__BOOTSTRAP is not set. `hub up` starts a Kafka of its own and sets it.", err=True)
        raise typer.Exit(EX_CONFIG)
    # What is imported by now stays: the cycle collector would look through all of it again and again for nothing.
    # What is new is looked through in small parts: a hundred thousand objects at once take a third of a second, in
    # which nothing is answered. A collector has rules of its own (hub/collector/garbage.py).
    gc.freeze()
    gc.set_threshold(2_000, 5, 20_000)
    try:
        kind = name if kind is None else kind
        with beating(settings.redis.address if settings.redis.url and kind else "", settings.namespace, kind):
            _wait_for_kafka(settings, is_api=name == "api")
            yield settings
    except Refused as exc:
        typer.echo(f"stopped: {exc}", err=True)
        raise typer.Exit(EX_CONFIG) from exc
    except Fenced as exc:
        structlog.get_logger().warning("process.starts_again", why=exc.detail)
        raise typer.Exit(1) from exc
    except HubError as exc:
        typer.echo(f"stopped, start again: {exc}", err=True)
        raise typer.Exit(1) from exc


def _wait_for_kafka(settings: Settings, *, is_api: bool) -> None:
    """
    Until it is there with our topics. Meanwhile an API without TLS answers on its own port: /live and /ready, else 503.

    Raises: Refused: waiting cannot help.
    """
    from hub.log.admin import ensure_topics
    from hub.log.reaching import Reaching
    from hub.waiting import until_there

    kafka, api, health = settings.kafka, settings.api, settings.health
    if is_api:
        health = Health(host=api.host, port=0 if api.cert_file else api.port)
    reach = Reaching(kafka)

    def there() -> None:
        reach()
        ensure_topics(kafka, settings.namespace)

    until_there(there, health, elsewhere=503 if is_api else 404)
