"""The commands of the brokers' pages, docs/bridges/*.md: each with a hub of its own and the page's broker."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.live.test_readme import ROOT, Step, blocks, clone, script, steps, variables  # noqa: F401 - fixtures
from tests.live.whole_hub import WholeHub
from tests.packages import LINES, install
from tests.servers.running import own

START: Final = "\n.venv/bin/hub up --detach\n"


class Page(NamedTuple):
    """
    What a page needs, and what is there when its commands have run.

    Attributes:
        server: Of tests/servers; empty: it needs none.
        address: How the page writes that one's.
        profile: Who has an event then.
        package: That it installs.
    """

    server: str
    address: str
    profile: str
    package: Path | None = None


PAGES: Final = {
    "imap": Page("dovecot", "localhost:143", '"eva@example.com"'),
    "kafka": Page("kafka", "localhost:9092", "lee"),
    "mqtt": Page("mosquitto", "localhost:1883", "mia"),
    "nats": Page("nats", "localhost:4222", "kim"),
    "own": Page("", "", "joe", LINES),
    "postgres": Page("postgres", "localhost:5432", "ola"),
    "rabbitmq": Page("rabbitmq", "localhost:5672", "ida"),
    "redis_list": Page("valkey", "localhost:6379", "zoe"),
    "redis_streams": Page("valkey", "localhost:6379", "ben"),
    "sqs": Page("sqs", "localhost:9324", "amy"),
    "webhook": Page("", "", "octo"),
}


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    name = PAGES[request.getfixturevalue("page")].server
    if not name:
        yield ""
        return
    with own(name, tmp_path / "server") as server:
        yield f"localhost:{urlsplit(server.url).port}"


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_works(
    page: str,
    address: str,
    clone: Path,  # noqa: F811
    variables: dict[str, str],  # noqa: F811
) -> None:
    """From nothing to the first event, as somebody would type it."""
    known = PAGES[page]
    if known.package is not None:
        install(known.package, clone.parent / "packages")
        variables["PYTHONPATH"] = str(clone.parent / "packages")
    wanted = [Step("start", START, []), *steps(ROOT / "docs" / "bridges" / f"{page}.md")]
    commands = script(wanted)
    if address:
        host, _, port = known.address.partition(":")
        assert host
        commands = commands.replace(known.address, address)
        for written in (f"port={port}", f'"port": {port}', f"'localhost', {port}"):
            commands = commands.replace(written, written.replace(port, address.rpartition(":")[2]))
    result = subprocess.run(
        ["bash", "-c", commands],
        cwd=clone,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    running = WholeHub(clone / "hub-data")
    with running.http:
        events = running.get("/events", q=f"profile.id = {known.profile}")["items"]
        assert len(events) == 1, result.stdout
        assert running.get("/balance", verify="true")["balanced"]


@pytest.mark.parametrize("page", PAGES)
def test_no_command_of_a_page_hides(page: str) -> None:
    """In a block of another language."""
    for block in blocks(ROOT / "docs" / "bridges" / f"{page}.md"):
        assert block.language in {"", "plain", "text", "sh"}, f"{block.place}: fence it as sh"
