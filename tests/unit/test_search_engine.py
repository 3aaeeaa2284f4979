"""Where the store is, from the settings to whoever opens it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from hub.errors import Refused
from hub.search_engine import Access, Layout, address_of, elsewhere
from hub.settings import Settings, Store
from hub.store.factory import open_store


def test_the_settings_say_whose_indices_and_how_to_get_in(tmp_path: Path) -> None:
    store = Store.model_validate(
        {
            "url": "elasticsearch+https://a:9200,b:9200/",
            "username": "hub",
            "password": "p@ss/&?",
            "ca_file": tmp_path / "c a.pem",
            "shards": 3,
            "copies": 2,
            "refresh_ms": 500,
        }
    )
    address = address_of(Settings(namespace="shop", store=store).store_url)
    assert address.hosts == ("https://a:9200", "https://b:9200")
    assert address.namespace == "shop"
    assert address.access == Access(("hub", "p@ss/&?"), None, tmp_path / "c a.pem")
    assert address.layout == Layout(3, 2, 500)


def test_a_shadow_is_in_the_same_cluster() -> None:
    live = Settings(namespace="shop", store=Store(url="opensearch+http://hub:p%2Fq@a:9200", shards=2)).store_url
    shadow = address_of(elsewhere(live, "next"))
    assert shadow == address_of(live)._replace(namespace="next")
    assert shadow.access.user == ("hub", "p/q")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "elasticsearch+http://a:9200/index"}, "HUB_NAMESPACE"),
        ({"url": "elasticsearch+http://a:9200?x=1"}, "nothing behind it"),
        ({"url": "", "username": "hub"}, "for a search engine"),
        ({"url": "elasticsearch+http://a", "password": "x"}, "goes with a username"),
        ({"url": "elasticsearch+http://hub:x@a", "api_key": "x"}, "one of them is enough"),
    ],
)
def test_settings_that_make_no_sense_are_named(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Store.model_validate(wrong)


def test_no_store_without_a_namespace() -> None:
    """Its indices would be everybody's."""
    with pytest.raises(Refused, match="whose indices"):
        open_store("elasticsearch+http://a:9200/")


def test_a_hub_on_a_file_does_not_load_the_client(tmp_path: Path) -> None:
    """It takes a second, and some memory."""
    code = (
        "import sys\n"
        "from hub.store import open_store\n"
        f"open_store('sqlite:///{tmp_path}/hub.sqlite').close()\n"
        "assert not [name for name in sys.modules if name.startswith('elastic')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
