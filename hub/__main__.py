"""The `hub` command, put together."""

from __future__ import annotations

import gc

# What is loaded stays. The cycle collector would look through it again and again, for a sixth of the time that loading
# takes. A process of the hub has thresholds of its own, once it is loaded (hub/cli/serve.py).
gc.set_threshold(100_000, 50, 50)

from importlib.metadata import version as version_of

import typer

from hub.cli import (
    audit,
    backup,
    balance,
    bridge,
    chaos,
    condition,
    copy,
    dead_letters,
    definitions,
    demo,
    destination,
    doctor,
    flow,
    heartbeat,
    identity,
    importing,
    key,
    mapping,
    migrate,
    partitions,
    privacy,
    query,
    replay,
    segment,
    send,
    serve,
    stack,
    tail,
    tasks,
    trace,
)

app = typer.Typer(
    help="ThamesThrive Hub: takes events in, keeps every one of them, keeps one profile per customer.",
    epilog="Settings are variables of the environment, such as HUB_DATA: docs/settings.md.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(version_of("thamesthrive-hub"))


stack.register(app)
doctor.register(app)
backup.register(app)
partitions.register(app)
demo.register(app)
chaos.register(app)
definitions.register(app)
send.register(app)
importing.register(app)
bridge.register(app)
destination.register(app)
heartbeat.register(app)
flow.register(app)
mapping.register(app)
replay.register(app)
copy.register(app)
migrate.register(app)
tasks.register(app)
dead_letters.register(app)
query.register(app)
tail.register(app)
condition.register(app)
segment.register(app)
identity.register(app)
privacy.register(app)
key.register(app)
audit.register(app)
balance.register(app)
trace.register(app)
serve.register(app)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
