"""`hub import` on a real Kafka: each row once, whatever is killed; bad rows as dead letters; counts that add up."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.cli.importing import FAILED
from hub.model import Counts
from hub.store.factory import open_store
from schemas.topics import EVENTS
from tests import stores
from tests.kafka_tools import read
from tests.live.api import read_all
from tests.live.collector import collector
from tests.live.import_site import ImportSite

MAPPING = {
    "profile": "customer",
    "event": {"type": "'order'", "time": "day", "properties": {"n": "n", "paid": "number(paid)", "row": "meta('row')"}},
}
NAMED = ("--event-type", "order", "--profile", "customer", "--time", "day")


@pytest.fixture
def site(kafka: str, namespace: str, tmp_path: Path) -> ImportSite:
    return ImportSite(kafka, namespace, tmp_path)


def orders(folder: Path, rows: int, name: str = "orders.csv", bad: int = 0) -> Path:
    """Args: bad: every so-manyth row has a cell too many."""
    path = folder / name
    with path.open("w") as file:
        file.write("n,customer,day,paid\n")
        for n in range(rows):
            extra = ",x" if bad and n % bad == bad - 1 else ""
            file.write(f"{n},c{n % 997},2026-11-{n % 28 + 1:02}T10:00:00Z,{n % 100}.5{extra}\n")
    return path


def ids(site: ImportSite) -> list[str]:
    return [
        event["id"] for record in read_all(site.kafka, site.namespace) for event in record["body"][1].get("events", ())
    ]  # type: ignore[union-attr,misc]


def events(site: ImportSite) -> list[dict[str, Any]]:
    store = open_store(stores.store_url(site.folder, site.namespace), readonly=True)
    try:
        return store.search("events", "", 1_000, None).items
    finally:
        store.close()


def test_rows_become_events_and_bad_ones_dead_letters(site: ImportSite, tmp_path: Path) -> None:
    """What was read is stored, or a dead letter with its row; again, it is a duplicate."""
    path = orders(tmp_path, 500, bad=100)
    with collector(site.kafka.bootstrap, site.namespace, tmp_path):
        first = site.run(path, *NAMED, code=1)
        assert (first["read"], first["sent"], first["dead"], first["events"]) == (500, 495, 5, 495)
        assert site.collected() == Counts(received=500, stored=495, dead=5)
        second = site.run(path, *NAMED, code=1)
        assert (second["read"], second["dead"]) == (500, 5)
        totals = site.collected()
    assert (totals.received, totals.stored) == (1_000, 495)
    assert totals.stored + totals.duplicate + totals.dead == 1_000
    letters = site.letters()
    assert [letter["origin"] for letter in letters] == [f"import:orders.csv:row {n}" for n in (100, 200, 300, 400, 500)]
    assert letters[0]["reason"] == "unreadable_row"
    assert "the row has 5 cells, but the header has 4" in letters[0]["detail"]
    store = open_store(stores.store_url(site.folder, site.namespace), readonly=True)
    assert store.dead_letter_body(letters[0]["id"]) == b"99,c99,2026-11-16T10:00:00Z,99.5,x\n"
    one = next(event for event in events(site) if event["properties"]["n"] == 7)
    assert one["properties"] == {"n": 7, "customer": "c7", "day": "2026-11-08T10:00:00Z", "paid": 7.5}
    assert one["metadata"]["time"]["create"].startswith("2026-11-08T10:00:00")
    store.close()


def test_a_mapping_is_used_as_a_bridge_uses_it(site: ImportSite, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps(MAPPING))
    lines = [
        {"n": n, "customer": f"c{n}", "day": "2026-11-01T10:00:00Z", "paid": "x" if n == 3 else "1"} for n in range(5)
    ]
    path = tmp_path / "orders.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"n": 1, "n": 2}\n')
    report = site.run(path, "--mapping", str(mapping), code=1)
    assert (report["read"], report["sent"], report["dead"]) == (6, 4, 2)
    assert [bad["row"] for bad in report["bad"]] == ["row 4", "row 6"]
    assert [bad["reason"] for bad in report["bad"]] == ["mapping_failed", "duplicate_key"]
    properties = [
        msgspec.json.decode(event["properties"])
        for record in read_all(site.kafka, site.namespace)
        for event in record["body"][1].get("events", ())  # type: ignore[union-attr]
    ]
    assert sorted(found["row"] for found in properties) == [1, 2, 3, 5]


@pytest.mark.slow
# it is about the reading of a file that long: a search engine takes twenty minutes for its events, on two cores
@pytest.mark.parametrize("rows", [12_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.sqlite])])
@pytest.mark.timeout(1_500)
def test_killed_and_resumed_five_times_it_is_exact(site: ImportSite, tmp_path: Path, rows: int) -> None:
    path = orders(tmp_path, rows, bad=1_000)
    options = (*NAMED, "--priority", "live", "--resume")
    if site.kill_behind(rows // 6, "orders.csv", path, *options, by=signal.SIGINT) == FAILED:
        assert "interrupted. The same command with --resume goes on" in site.said
    killed = [site.kill_behind(rows * n // 6, "orders.csv", path, *options) for n in range(2, 6)]
    assert -signal.SIGKILL in killed
    report = site.run(path, *options, code=1)
    assert (report["read"], report["sent"], report["dead"]) == (rows, rows - rows // 1_000, rows // 1_000)
    assert report["resumed_at"] > 0
    assert len(set(ids(site))) == rows - rows // 1_000
    with collector(site.kafka.bootstrap, site.namespace, tmp_path):
        totals = site.collected(within_s=1_000)
    assert totals.stored == rows - rows // 1_000
    assert totals.received == totals.stored + totals.duplicate + totals.dead == sum(site.ends())
    assert len(site.letters()) == rows // 1_000


def test_a_dry_run_shows_what_would_be_and_sends_nothing(site: ImportSite, tmp_path: Path) -> None:
    path = orders(tmp_path, 500, bad=100)
    report = site.run(path, *NAMED, "--dry-run", code=1)
    assert report["counts"] == {"read": 500, "sent": 495, "dead": 5, "dropped": 0, "events": 495}
    assert report["shape"]["facts"]["delimiter"] == ","
    assert {column["name"]: column["type"] for column in report["shape"]["columns"]} == {
        "n": "integer",
        "customer": "text",
        "day": "time",
        "paid": "number",
    }
    assert report["events"][0]["profile"] == {"id": "c0"}
    assert report["bad"][0]["row"] == "row 100"
    assert ids(site) == []


def test_a_file_that_has_grown_goes_on_and_another_one_is_refused(site: ImportSite, tmp_path: Path) -> None:
    path = orders(tmp_path, 100)
    assert site.run(path, *NAMED, "--priority", "live")["read"] == 100
    with path.open("a") as file:
        file.write("100,c1,2026-11-01T10:00:00Z,1\n")
    grown = site.run(path, *NAMED, "--priority", "live", "--resume")
    assert (grown["read"], grown["resumed_at"]) == (101, 100)
    assert len(set(ids(site))) == 101
    path.write_text("n,customer,day,paid\n5,c1,2026-11-01T10:00:00Z,1\n")
    said = site.run(path, *NAMED, "--priority", "live", code=2)["said"]
    assert "is not what was imported as 'orders.csv' before" in said
    assert "--id" in said
    assert site.run(path, *NAMED, "--priority", "live", "--id", "other")["read"] == 1
    assert len(set(ids(site))) == 102


def test_a_file_that_is_none_of_its_kind_is_left_where_it_is(site: ImportSite, tmp_path: Path) -> None:
    """Mostly bad rows: it stops before them, nothing of them is sent, and it goes on once that is mended."""
    path = tmp_path / "rows.csv"
    good = "".join(f"{n},c\n" for n in range(2_000))
    path.write_text("n,customer\n" + good + "x\n" * 5_000)
    options = ("--event-type", "order", "--profile", "customer", "--priority", "live")
    stopped = site.run(path, *options, code=2)
    assert (stopped["finished"], stopped["read"], stopped["dead"]) == (False, 2_000, 0)
    assert "1,000 of the last 1,000 events cannot be taken" in stopped["said"]
    all_the_same = site.run(path, *options, "--resume", code=1, HUB_IMPORTS__STOP_SHARE="1")
    assert (all_the_same["read"], all_the_same["dead"]) == (7_000, 5_000)


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (b"\x89PNG\r\n\x1a\n", (), "a picture, no text"),
        (b"a,b\n1,2\n", ("--source", "nobody"), "event source 'nobody': no event source has this id"),
        (b"a,b\n1,2\n", ("--mapping", "segment", "--event-type", "x"), "a mapping says event type"),
        (b"a,b\n1,2\n", ("--type", "c=text"), "there is no column c"),
        (b"a;b,c\n1;2,3\n", ("--profile", "a", "--time", "t"), "rows.csv: there is no column a, t; there are a;b, c"),
    ],
)
def test_what_cannot_be_imported_is_said_in_words(
    site: ImportSite, tmp_path: Path, data: bytes, options: tuple[str, ...], words: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    assert words in site.run(path, "--event-type", "x", *options, code=2)["said"]
    assert ids(site) == []


def test_without_kafka_it_says_so(tmp_path: Path, site: ImportSite) -> None:
    path = orders(tmp_path, 10)
    said = site.run(path, *NAMED, "--bootstrap", "127.0.0.1:1", code=2)["said"]
    assert "the broker does not answer" in said


def test_rows_are_sealed_where_records_are(site: ImportSite, tmp_path: Path) -> None:
    """Nothing of a person is readable on the log, and all of it is stored."""
    path = orders(tmp_path, 50)
    site.run(path, *NAMED, "--priority", "live", HUB_PRIVACY__SHREDDING="true")
    records = read(site.kafka, site.namespace, EVENTS)
    assert len(records) == 50
    assert not any(b"2026-11" in (record.value() or b"") for record in records)
    with collector(site.kafka.bootstrap, site.namespace, tmp_path):
        assert site.collected() == Counts(received=50, stored=50)
    assert {event["properties"]["n"] for event in events(site)} == set(range(50))
