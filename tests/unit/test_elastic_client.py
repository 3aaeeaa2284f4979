"""How a search engine's URL is read, and what a document is called there."""

from __future__ import annotations

import pytest

from hub.errors import Refused
from hub.search_engine import address_of
from hub.store.elastic.client import key_of


@pytest.mark.parametrize(
    ("url", "hosts", "user"),
    [
        ("elasticsearch+http://search/", ("http://search:9200",), None),
        ("opensearch+https://a:9201,b,[::1]:9203/", ("https://a:9201", "https://b:443", "https://[::1]:9203"), None),
        ("elasticsearch+https://hub:p%40ss%3Aw@a:1", ("https://a:1",), ("hub", "p@ss:w")),
    ],
)
def test_where_the_cluster_is(url: str, hosts: tuple[str, ...], user: tuple[str, str] | None) -> None:
    address = address_of(url)
    assert (address.hosts, address.access.user) == (hosts, user)


@pytest.mark.parametrize(
    "url",
    [
        "http://hub:secret@a:9200/",
        "elasticsearch+http:///",
        "elasticsearch+http://hub:secret@/",
        "elasticsearch+http://hub:secret@a:9200/index/more",
        "elasticsearch+http://hub:secret@a:port/",
        "elasticsearch+http://hub:secret@a,:9200/",
    ],
)
def test_what_is_no_cluster_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Refused) as refused:
        address_of(url)
    assert "secret" not in str(refused.value)


def test_every_id_has_a_document_of_its_own() -> None:
    """Also those that are too long for an engine, and those that look like what stands for one."""
    long = "🛒" * 128
    ids = ["a", "ä" * 190, long, f"{long}x", key_of(long), "sha256:"]
    keys = [key_of(id) for id in ids]
    assert len(set(keys)) == len(ids)
    assert max(len(key.encode()) for key in keys) <= 512
    assert keys[:2] == ids[:2]
