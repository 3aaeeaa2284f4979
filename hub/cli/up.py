"""`hub up` in the foreground: settings to parts, lines to the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from hub.cli.detach import Report
from hub.cli.download import class_path
from hub.settings import Settings
from hub.stack import keys, plan, up
from hub.stack.lines import Lines


def site(settings: Settings, cache: Path, environment: Mapping[str, str]) -> plan.Site:
    """
    What runs where. Downloads Kafka when it is to be ours and is not there yet; makes the admin key.

    Raises: Unavailable, Refused: see hub.stack.jars.resolve.
    """
    return plan.Site(
        data=settings.data,
        namespace=settings.namespace,
        kafka=settings.kafka,
        redis=settings.redis,
        api=settings.api,
        admin_key=keys.admin_key(settings.admin_key, settings.data),
        environment=dict(environment),
        class_path=[] if settings.kafka.bootstrap else class_path(cache),
        late=plan.LATE if settings.agents.up else (),
        store_url=settings.store_url,
    )


def console_at(url: str, data: Path) -> str:
    """Where the pages for people are, and what opens them. Args: url: of the API. data: the folder."""
    return f"console: {url}/console, log in with the key in {data / 'admin-key'} or HUB_ADMIN_KEY"


def run(settings: Settings, where: plan.Site, report: Report) -> None:
    """Until a signal says stop. Raises what hub.stack.up.run raises."""
    # a detached hub has its lines in files only
    stream = None if report.wanted else sys.stdout
    lines = Lines(settings.data / "logs", stream, json_lines=settings.log.json_lines)

    def tell(url: str) -> None:
        lines.plain(f"ready {url}")
        report.say(f"ready {url}")
        if not report.wanted:
            # not among what programs read
            lines.aside(console_at(url, settings.data), sys.stderr)

    try:
        up.run(where, lines, tell)
    finally:
        lines.close()
