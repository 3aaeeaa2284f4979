"""`python -m tests.console.screenshots [FOLDER]`: a picture of every page in both themes, into docs/console."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.clients.installed import installed
from tests.console.filled import BRIDGE, PEOPLE, SOURCE, fill
from tests.console.pages import PAGES
from tests.console.tab import Tab, tab
from tests.kafka_tools import eventually
from tests.live.whole_hub import ROOT, WholeHub, whole_hub

MOST_BYTES: Final = 200_000


def enrich(hub: WholeHub) -> None:
    """Some spend enough for the segment, so that its page and theirs have something to show."""
    fields = [{"event": "properties.amount", "profile": "traits.spent", "op": "add"}]
    hub.define("mapping", "spending", event_type="order", fields=fields)
    for n in range(PEOPLE):
        order = {"type": "order", "properties": {"amount": 30 * n, "item": "tea"}}
        hub.http.post("/track", json={"source": SOURCE, "profile": {"id": f"person-{n}"}, "events": [order]})
    eventually(lambda: hub.get("/segments/big-spenders")["size"] == PEOPLE - 4)


def shown(hub: WholeHub) -> dict[str, str]:
    """By page, one that is there for its `:id`."""
    return {
        "event": hub.get("/events", q="type = purchase")["items"][0]["id"],
        "profile": "person-5",
        "segment": "big-spenders",
        "bridge": BRIDGE,
        "flow": "welcome",
    }


def take(at: Tab, folder: Path) -> list[Path]:
    """Args: at: logged in. Returns the files."""
    found = shown(at.hub)
    files = []
    for dark in (False, True):
        at.page.scheme(dark=dark)
        for page, path in PAGES.items():
            at.go(path.replace(":id", found.get(page, "")))
            at.settled()
            files.append(folder / f"{page}-{'dark' if dark else 'light'}.png")
            at.page.picture(files[-1])
    return files


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "console"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, whole_hub(Path(scratch) / "data", agents=True) as hub:
        fill(hub)
        enrich(hub)
        with tab(hub, installed(), Path(scratch) / "browser.log") as at:
            at.log_in()
            files = take(at, folder)
    for file in files:
        size = file.stat().st_size
        print(f"{file}  {size:,} bytes{'  TOO LARGE' if size > MOST_BYTES else ''}")
    if any(file.stat().st_size > MOST_BYTES for file in files):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
