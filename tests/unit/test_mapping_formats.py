"""What a body holds by the mapping's format; one that it does not hold is refused in words that help."""

from __future__ import annotations

from typing import Any

import pytest

from hub.edge.mapping import MappingError, compile_mapping
from hub.edge.mapping.formats import read_json
from hub.errors import InvalidPayload
from hub.settings import Limits

EVENT = {"type": "'x'"}
TABLE = {"format": "csv", "columns": ["id", "name"], "event": EVENT}


def read(mapping: dict[str, Any], body: bytes) -> Any:
    return compile_mapping(mapping).read(body, Limits())


@pytest.mark.parametrize(
    ("mapping", "body", "value"),
    [
        ({"event": EVENT}, b'{"a": [1]}', {"a": [1]}),
        ({"format": "text", "event": EVENT}, "zażółć".encode(), "zażółć"),
        ({"format": "text", "charset": "iso8859-2", "event": EVENT}, "zażółć".encode("iso8859-2"), "zażółć"),
        ({"format": "bytes", "event": EVENT}, b"\x00\xff", "AP8="),
        (TABLE, b"1,ann\n", {"id": "1", "name": "ann"}),
        (TABLE, b'1,"ann, or\r\n""bob"""\r\n', {"id": "1", "name": 'ann, or\r\n"bob"'}),
        (TABLE, "1,a\u2028b\x0bc".encode(), {"id": "1", "name": "a\u2028b\x0bc"}),
        ({**TABLE, "delimiter": ";", "charset": "latin-1"}, b"1;caf\xe9", {"id": "1", "name": "café"}),
    ],
)
def test_a_body_is_read_as_its_format_says(mapping: dict[str, Any], body: bytes, value: Any) -> None:
    assert read(mapping, body) == value


@pytest.mark.parametrize(
    ("mapping", "body", "words"),
    [
        ({"format": "text", "event": EVENT}, b"ab\xff", "not utf-8, at byte 2: set the mapping's `charset`"),
        ({**TABLE, "charset": "ascii"}, b"1,caf\xe9", "not ascii, at byte 5"),
        (TABLE, b"1,2,3", "the row has 3 cells, but the mapping 2 columns"),
        (TABLE, b"1,2\n3,4\n", "2 rows"),
        (TABLE, b"", "0 rows"),
        (TABLE, b'1,"open', "no row of csv"),
        ({"format": "snowplow", "event": EVENT}, b"a\tb", "2 fields; an enriched Snowplow event has 131"),
        ({"format": "snowplow", "event": EVENT}, b"\t" * 7 + b"x" + b"\t" * 123, "the field txn_id is no integer: 'x'"),
        ({"format": "snowplow", "event": EVENT}, b"\t" * 52 + b"{" + b"\t" * 78, "the field contexts: "),
    ],
)
def test_a_body_of_another_format_is_refused(mapping: dict[str, Any], body: bytes, words: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        read(mapping, body)
    assert words in caught.value.detail
    assert caught.value.where == "format"


@pytest.mark.parametrize(
    "body", [b'{"a": 1, "a": 2}', b'{"a": "\\u0000"}', b"{", b"", b"\xff", b"[" * 100 + b"]" * 100]
)
def test_json_is_read_as_strictly_as_a_payload(body: bytes) -> None:
    with pytest.raises(InvalidPayload):
        read_json(body, Limits())


def test_an_empty_body_is_dropped_where_the_mapping_says_so() -> None:
    """Kafka's tombstones are no events, and no dead letters either."""
    assert compile_mapping({"skip_empty": True, "event": EVENT}).payload(b"", Limits()) == b'{"events":[]}'
    with pytest.raises(InvalidPayload, match="not_json"):
        compile_mapping({"event": EVENT}).payload(b"", Limits())


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"format": "xml"}, "format: "),
        ({"format": "csv"}, "the format csv needs `columns`"),
        ({"format": "csv", "columns": ["a", "a"]}, "names a column twice"),
        ({"format": "csv", "columns": ["a"], "delimiter": '"'}, "delimiter: this is no delimiter"),
        ({"columns": ["a"]}, "`columns` is for the format csv, not for json"),
        ({"charset": "latin-1"}, "`charset` is for the format csv or text, not for json"),
        ({"format": "text", "charset": "klingon"}, "`charset`: there is no 'klingon'"),
    ],
)
def test_a_format_that_cannot_be_is_refused_with_the_mapping(mapping: dict[str, Any], words: str) -> None:
    with pytest.raises(MappingError) as caught:
        compile_mapping({**mapping, "event": EVENT})
    assert words in str(caught.value)
