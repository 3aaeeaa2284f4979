"""Dead letters and definitions in Chromium."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hub.api.console import DIST
from hub.definitions.kinds import KINDS
from tests.console.acting import HOSTILE, button, read_by_everybody, write
from tests.console.tab import Tab
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub
from tests.servers.running import shared
from tests.sources.rabbitmq import RabbitmqSource

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

MAPPING: Final = {"profile": "who", "event": {"type": "'paid'", "properties": {"amount": "number(paid)"}}}
_KINDS: Final = DIST.parent / "src" / "pages" / "definitions" / "kinds.ts"


@pytest.fixture(scope="module")
def source(hub: WholeHub, shared_folder: Path) -> Iterator[str]:
    """Has three letters that its bridge's mapping failed at, and one that is no text; all of them hostile."""
    id = f"s{secrets.token_hex(4)}"
    bridge = _bridge(id)
    with shared("rabbitmq", shared_folder / "rabbitmq") as url:
        queue = RabbitmqSource(url, id)
        odd = [{"who": f"p{n}", "paid": f"a lot {HOSTILE}", "cents": 100 * n} for n in (1, 2, 3)]
        queue.put([*(json.dumps(one).encode() for one in odd), b"\xff<img src=x>"], headers={HOSTILE[:20]: HOSTILE})
        hub.define("source", id)
        hub.define("bridge", bridge, type="rabbitmq", source=id, settings=queue.settings, mapping=MAPPING)
        eventually(lambda: _letters(hub, id, "open") == 4, 60)
        yield id
        assert hub.http.post(f"/bridges/{bridge}/pause").is_success
        queue.delete()


def test_letters_are_counted_by_reason_and_source_and_one_is_repaired_by_a_mapping(
    hub: WholeHub, at: Tab, source: str
) -> None:
    at.go(f"/dead-letters?source={source}")
    at.sees("What mends it")
    at.sees("4 letters")
    read_by_everybody(at)
    button(at, "mapping_failed")
    at.sees("3 letters")
    assert f"source={source}" in at.page.evaluate("location.search")
    at.page.tap("table[aria-label='Dead letters'] a")
    at.sees("Where it comes from")
    assert HOSTILE[:19] in at.text()
    assert at.page.evaluate("document.querySelector('main img')") is None
    at.page.until(f"document.querySelector('main a[href=\"/console/bridges/eu%3A{source}\"]') !== null")
    read_by_everybody(at)
    _choose(at, "Repair with my own")
    at.sees("it would be refused again")  # there is no customer_id and no type
    write(at, {**MAPPING, "event": {"type": "'paid'", "properties": {"amount": "cents"}}})
    at.page.until("document.querySelector('[aria-label=\"What would become of it\"]') !== null")
    read_by_everybody(at)
    button(at, "Send it again")
    at.sees("1 letter sent")
    at.sees("resolved: all of it is stored")
    assert _letters(hub, source, "resolved") == 1


def test_a_letter_is_edited_with_the_keyboard_alone(hub: WholeHub, at: Tab, source: str) -> None:
    done = _letters(hub, source, "resolved")
    at.go(f"/dead-letters?source={source}&reason=mapping_failed")
    at.sees("Why")
    at.tab_to("mapping_failed")  # the group, and behind it the first letter
    at.tab_to("mapping_failed")
    at.page.press("Enter")
    at.sees("Where it comes from")
    for _ in range(60):
        at.page.press("Tab")
        if at.page.evaluate("document.activeElement.type") == "checkbox":
            break
    at.page.press("Space")
    at.sees("Edited message")
    at.page.press("Tab")
    at.page.press("Control+a")
    at.page.type('{"who": "eve", "paid": "twelve"}')
    at.expect("status of 422")
    at.tab_to("Send it again")
    at.page.press("Enter")
    at.sees("not a number")
    at.page.evaluate("document.querySelector('main textarea').focus()")
    at.page.press("Control+a")
    at.page.type('{"who": "eve", "paid": "12"}')
    at.tab_to("Send it again")
    at.page.press("Enter")
    at.sees("resolved: all of it is stored")
    assert _letters(hub, source, "resolved") == done + 1


def test_all_that_match_are_sent_again(hub: WholeHub, at: Tab, source: str) -> None:
    left = _letters(hub, source, "open")
    at.go(f"/dead-letters?source={source}")
    button(at, f"Send {left} letters again")
    at.sees("Each goes the way")
    assert at.findings() == []
    button(at, "Send them again")
    at.sees("refused again")
    assert at.findings() == []
    # what is no text is shown as bytes
    at.go(f"/dead-letters?source={source}&reason=not_json")
    at.page.tap("table[aria-label='Dead letters'] a")
    at.sees("0000  ff 3c 69 6d 67")


def test_there_is_nothing_dead_and_it_says_so(at: Tab) -> None:
    at.go("/dead-letters?source=nobody")
    at.sees("No letter matches")
    read_by_everybody(at)


def test_the_page_has_every_kind_of_definition() -> None:
    assert set(re.findall(r"kind: '([^']+)'", _KINDS.read_text())) == set(KINDS)


def test_a_definition_is_made_changed_and_rolled_back(hub: WholeHub, at: Tab) -> None:
    id = f"v{secrets.token_hex(4)}"
    at.go("/definitions?kind=validator")
    at.sees("What events have to look like")
    read_by_everybody(at)
    button(at, "New")
    at.sees("It cannot be changed")
    at.page.until("[...document.querySelectorAll('main code')].some(one => one.innerText === 'event_type')")
    at.page.tap("main input")
    at.page.type(id)
    at.expect("status of 422")
    write(at, {"event_type": "x", "mode": "shout", "properties": {}})
    button(at, "Save")
    at.sees("At mode")
    at.page.until("document.querySelector('.cm-lintRange-error') !== null")
    assert at.page.evaluate("document.querySelector('.cm-lintRange-error').innerText") == '"shout"'
    read_by_everybody(at)
    write(at, {"event_type": "x", "name": HOSTILE, "properties": {}})
    button(at, "Save")
    at.sees("is in force")
    at.page.until(f"location.search.includes({json.dumps(id)})")
    first = hub.get(f"/definitions/validator/{id}")

    write(at, {**first["spec"], "mode": "off"})
    at.sees("What you have changed")
    at.page.until("document.querySelector('.cm-changedLine') !== null")
    read_by_everybody(at)
    # meanwhile somebody else saves it
    hub.define("validator", id, event_type="y", properties={})
    at.expect("status of 409")
    button(at, "Save")
    at.sees("Somebody has saved version")
    button(at, "Take theirs")
    at.page.until("document.querySelector('.cm-content').innerText.includes('\"y\"')")
    at.page.until("[...document.querySelectorAll('main button')].some(one => one.innerText === 'Roll back')")
    button(at, "Roll back")
    button(at, f"Go back to {first['version']}")
    eventually(lambda: hub.get(f"/definitions/validator/{id}")["spec"] == first["spec"])
    at.page.until("document.querySelector('.cm-content').innerText.includes('\"x\"')")

    button(at, "Delete")
    button(at, "Delete it")
    at.sees("What events have to look like")
    at.expect("status of 404")
    at.go(f"/definitions?kind=validator&id={id}")
    at.sees("one of its versions can be rolled back to")
    assert hub.http.get(f"/definitions/validator/{id}").status_code == 404


def test_definitions_are_exported(hub: WholeHub, at: Tab) -> None:
    at.go("/definitions?kind=bridge&id=orders")
    at.sees("As JSON")
    at.page.evaluate(
        "URL.createObjectURL = (made => blob => (window.saved = blob.text(), made(blob)))(URL.createObjectURL)"
    )
    button(at, "Export")
    saved = json.loads(at.page.evaluate("saved"))
    assert saved == {"kind": "bridge", "id": "orders", "spec": hub.get("/definitions/bridge/orders")["spec"]}


def test_whoever_may_only_read_changes_nothing(hub: WholeHub, at: Tab) -> None:
    key = hub.http.post("/api-keys", json={"id": f"k{secrets.token_hex(3)}", "name": "Reads", "roles": ["read"]}).json()
    at.page.evaluate("fetch('/console/session', {method: 'DELETE', headers: {'Hub-Console': '1'}})")
    at.page.go(f"{hub.url}/console/definitions?kind=bridge&id=orders")
    at.log_in(key["key"])
    at.sees("As JSON")
    at.page.until("document.querySelector('.cm-content') !== null")
    at.page.evaluate("document.querySelector('.cm-content').focus()")
    at.page.type("x")
    assert "x{" not in at.text(".cm-content")
    assert (
        at.page.evaluate(
            "[...document.querySelectorAll('main button')].find(b => b.innerText === 'Delete').ariaDisabled"
        )
        == "true"
    )


def _bridge(source: str) -> str:
    """Of the bridge that has its letters; the part before the colon is no bridge."""
    return f"eu:{source}"


def _letters(hub: WholeHub, source: str, status: str) -> int:
    found: int = hub.get("/dead-letters/count", q=f'source = "{source}" AND status = {status}')["count"]
    return found


def _choose(at: Tab, words: str) -> None:
    """In the field for the mapping."""
    at.page.evaluate("[...document.querySelectorAll('main label')].find(one => one.innerText === 'Mapping').click()")
    at.page.tap(f"[role=option]::-p-text({words})")
