"""Profiles and one profile in the console: found, looked at, told apart again, exported and erased."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.installed import Installed
from tests.console import customers, filled
from tests.console.acting import read_by_everybody
from tests.console.customers import ANN, ANN_PHONE, HOSTILE, MALLORY
from tests.console.tab import DESKTOP, PHONE, Tab, tab
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub, whole_hub

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SEARCH = "input[aria-label='Search profiles']"
ROWS = "[...document.querySelectorAll('table[aria-label=Profiles] tbody tr')].map(row => row.cells[0].innerText)"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeHub]:
    with whole_hub(tmp_path_factory.mktemp("profiles") / "data", agents=True) as hub:
        filled.fill(hub)
        customers.fill(hub)
        yield hub


def test_find_a_customer_with_the_keyboard_alone(at: Tab) -> None:
    at.go("/profiles")
    at.page.press("/")
    at.page.type('traits.plan = "gold"')
    at.page.press("Escape", "Enter")
    at.page.until(f"JSON.stringify({ROWS}) === '[\"{ANN}\"]'")
    at.tab_to(ANN)
    at.page.press("Enter")
    at.page.until(f"location.pathname === '/console/profiles/{ANN}'")
    at.sees("Search these events")
    at.sees("increase-interest")
    at.tab_to("Timeline")
    at.page.press("ArrowRight")
    at.sees("interests.rowing")
    at.page.until("location.search === '?tab=fields'")


def test_narrow_profiles_down_with_the_mouse(at: Tab) -> None:
    at.go("/profiles")
    at.page.tap("[aria-label='Values of fields'] ::-p-text(big-spenders)")
    at.page.until(f"{ROWS}.length === 2")
    at.go("/profiles?q=id+%3D+nobody")
    at.sees("Nobody matches")
    at.page.tap("::-p-text(Show all profiles)")
    at.sees("person-5")


def test_all_that_is_known_of_somebody(at: Tab) -> None:
    at.go(f"/profiles/{ANN}")
    at.sees("desktop, Linux, Chrome")
    said = " ".join(at.text().split())
    for words in ("big-spenders Why?", "by its condition", "marketing given", "desktop, Linux, Chrome"):
        assert words in said, said
    at.page.tap("[aria-label='Why in big-spenders']")
    at.sees("traits.spent is 250.5")
    at.go(f"/profiles/{ANN}?tab=fields")
    at.sees("traits.spent")
    assert "250.5" in at.text("table[aria-label='Fields of the profile']")
    at.page.tap("table[aria-label='Fields of the profile'] a ::-p-text(event)")
    at.sees("Written to Kafka")


def test_a_merge_is_undone(hub: WholeHub, at: Tab) -> None:
    at.go(f"/profiles/{ANN_PHONE}?tab=identity")
    at.sees(f"{ANN_PHONE} has become part of")
    at.sees("the same email")
    at.page.tap(f"[aria-label='Undo the merge of {ANN_PHONE}']")
    at.sees("Undo this merge?")
    at.page.tap("[role=dialog] ::-p-text(Undo the merge)")
    at.sees("undone ")
    eventually(lambda: hub.get(f"/profiles/{ANN_PHONE}")["id"] == ANN_PHONE, 30)


def test_two_profiles_are_merged_with_the_keyboard(hub: WholeHub, at: Tab) -> None:
    """The other one is found as on Profiles, and it is said before which one stays; then the page is of both."""
    stays, goes, third = "bob-laptop", "bob-phone", "bob-tablet"
    name = [{"event": "properties.name", "profile": "traits.name"}]
    hub.define("mapping", "names", event_type="named", fields=name)
    for one in (stays, goes, third):
        customers.track(hub, one, f"s-{one}", {"type": "named", "properties": {"name": "Bob Marsh"}})
    eventually(lambda: hub.get("/profiles/count", q='traits.name = "Bob Marsh"')["count"] == 3, 30)
    at.expect("status of 422")
    at.go(f"/profiles/{goes}?tab=identity")
    at.sees("No other profile has become part of this one.")
    at.tab_to("Merge with another profile", most=90)
    at.page.press("Enter")
    at.sees("The smaller of the two ids stays")
    at.tab_to("Search profiles")
    at.page.type("trait")
    completions = "document.querySelector('[role=listbox]')?.checkVisibility() === true"
    at.page.until(completions)
    at.page.press("Escape")  # closes these, and not the dialog
    at.page.until(f"!({completions})")
    search_for(at, "nobody")
    at.sees("Search for")
    at.tab_to("id = nobody")
    at.page.press("Enter")
    at.sees("Nobody matches.")
    at.tab_to("Merge them")
    at.page.press("Enter")
    at.sees("Say which profile the other one is.")
    at.tab_to("Search profiles")
    search_for(at, f'id = "{goes}"')
    at.sees("That is this profile itself")
    search_for(at, 'traits.name = "Bob Marsh"')
    at.sees("Choose one.")
    at.page.until("document.querySelectorAll('[role=dialog] input[type=radio]').length === 2")
    read_by_everybody(at)
    at.tab_to("Bob Marsh")
    at.page.press("Space")
    at.sees(" becomes part of it.")
    if third in at.text("[role=dialog] [role=status]"):
        at.page.press("ArrowDown")
    at.sees(f"{stays} stays, {goes} becomes part of it.")
    at.tab_to("Merge them")
    at.page.press("Enter")
    at.sees("Both are one profile now.")
    at.sees(f"{goes} has become part of {stays}, which is shown here.")
    merged = at.text("table[aria-label=Merges]")
    for words in (stays, goes, "it was asked for"):
        assert words in merged, merged
    assert hub.get(f"/profiles/{goes}")["id"] == stays


def search_for(at: Tab, query: str) -> None:
    """Into the field that has the focus."""
    at.page.press("Control+a")
    at.page.type(query)
    at.page.press("Enter")


def test_an_export_is_a_file(hub: WholeHub, at: Tab, tmp_path: Path) -> None:
    at.go(f"/profiles/{ANN}")
    # what a browser would write to its folder, read in the page
    at.page.evaluate(
        "URL.createObjectURL = (made => blob => { blob.arrayBuffer().then(bytes => { window.got = bytes });"
        " return made(blob) })(URL.createObjectURL.bind(URL))"
    )
    at.page.tap("::-p-text(Export)")
    at.page.until("window.got !== undefined")
    at.sees(f"{ANN}.zip is downloaded.")
    numbers: list[int] = at.page.evaluate("[...new Uint8Array(got)]")
    file = tmp_path / "ann.zip"
    file.write_bytes(bytes(numbers))
    with zipfile.ZipFile(file) as made:
        assert "profile.json" in made.namelist()


def test_who_may_only_read_sees_why_not(hub: WholeHub, clients: Installed, tmp_path: Path) -> None:
    made = hub.http.post("/api-keys", json={"id": "reader", "name": "Reader", "roles": ["read"]})
    with tab(hub, clients, tmp_path / "reader.log") as at:
        at.log_in(made.json()["key"])
        at.go(f"/profiles/{ANN}")
        at.tab_to("Erase…", most=90)
        at.sees("This needs a key with the role admin")
        at.page.press("Enter")
        assert not at.page.evaluate("document.body.innerText.includes('Erase this person?')")
        at.go(f"/profiles/{ANN}?tab=identity")
        at.tab_to("Merge with another profile", most=90)
        at.sees("This needs a key with the role operate")
        at.page.press("Enter")
        assert not at.page.evaluate("document.body.innerText.includes('Merge with another profile?')")


@pytest.mark.parametrize("dark", [False, True])
def test_what_profiles_carry_is_text_in_both_themes_and_on_a_phone(at: Tab, dark: bool) -> None:
    at.page.scheme(dark=dark)
    mallory = "/profiles/" + "".join(f"%{byte:02X}" for byte in MALLORY.encode())
    for page in ("/profiles", mallory, f"{mallory}?tab=fields", f"{mallory}?tab=identity", f"{mallory}?tab=document"):
        for size in (DESKTOP, PHONE):
            at.page.size(*size)
            at.go(page)
            at.settled()
            at.sees(HOSTILE)
            assert at.page.evaluate("window.hacked === undefined && !document.querySelector('main img')"), page
            assert at.page.evaluate("document.querySelectorAll('a[href^=\"javascript:\" i]').length") == 0, page
            assert not at.is_wider_than_window(), page
            assert at.findings() == [], page


def test_suppress_somebody_and_lift_it(hub: WholeHub, at: Tab) -> None:
    somebody = "person-8"
    at.expect("status of 404")  # its report, as long as it is not there
    at.go(f"/profiles/{somebody}")
    at.page.tap("::-p-text(Suppress…)")
    at.sees("Take no more of this person?")
    at.page.until(f"document.activeElement.ariaLabel === 'To go on, type {somebody}'")
    assert at.findings() == []
    at.page.type("person-9")
    at.page.press("Enter")
    suppress = "[...document.querySelectorAll('[role=dialog] button')].find(one => one.innerText === 'Suppress')"
    assert at.page.evaluate(f"{suppress}.disabled")
    at.page.press("Backspace")
    at.page.type("8")
    at.page.press("Enter")
    at.sees("yes: nothing more is taken of them")
    dropped = hub.totals()["dropped"]
    customers.track(hub, somebody, "late", {"type": "too-late"})
    eventually(lambda: hub.totals()["dropped"] == dropped + 1, 60)
    assert hub.get(f"/profiles/{somebody}")["id"] == somebody

    at.page.tap("::-p-text(Lift the suppression)")
    at.sees("Lifted.")
    customers.track(hub, somebody, "again", {"type": "in-time"})
    eventually(lambda: hub.get("/events/count", q="type = in-time")["count"] == 1, 60)
    assert hub.get("/events/count", q="type = too-late")["count"] == 0


def test_erase_somebody_by_typing_who(hub: WholeHub, at: Tab) -> None:
    at.expect("status of 404")
    at.go("/profiles/person-7")
    at.page.tap("::-p-text(Erase…)")
    at.sees("Erase this person?")
    erase = "[...document.querySelectorAll('[role=dialog] button')].find(one => one.innerText === 'Erase for ever')"
    at.page.until(f"document.activeElement.ariaLabel === 'To go on, type person-7' && {erase}.disabled")
    assert at.findings() == []
    at.page.type("person-")
    at.page.press("Enter")
    assert at.page.evaluate(f"{erase}.disabled")
    at.page.type("7")
    at.page.press("Enter")
    at.sees("There is no profile with this id")
    at.page.until(
        "document.querySelector('main').innerText.includes('Erasure') && document.body.innerText.includes('done')"
    )
    assert hub.http.get("/profiles/person-7").status_code == 404
