"""Files as people have them become rows with the line that they begin on; a bad row is said, the others are read."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from hub.send.rows import Row, Rows, RowsError


def rows(folder: Path, content: bytes, **options: Any) -> list[Row]:
    path = folder / "file"
    path.write_bytes(content)
    with Rows(path, **options) as found:
        return list(found)


@pytest.mark.parametrize(
    "content",
    [
        b" a  b\r\n 1  x\r\n 2  y\r\n",
        b"a,b\n1,x\n2,y\n",
        b"\xef\xbb\xbfa;b\n1;x\n2;y",
        b"a\tb\n1\tx\n2\ty\n",
        b'{"a": "1", "b": "x"}\n{"a": "2", "b": "y"}\n',
        gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0),
    ],
)
def test_formats_are_seen_from_the_content(tmp_path: Path, content: bytes) -> None:
    found = rows(tmp_path, content)
    assert [row.value for row in found] == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    assert [row.number for row in found] == [0, 1]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    found = rows(tmp_path, b'a,b\n\n1,"two\nlines"\n3,z\n')
    assert [row.line for row in found] == [3, 5]
    assert [row.line for row in rows(tmp_path, b'{"a":1}\n\n{"a":2}\n')] == [1, 3]


def test_a_bad_row_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    found = rows(tmp_path, b"a,b\n1,x\n2\n\xff,y\n4,z\n")
    assert [(row.line, row.error) for row in found] == [
        (2, None),
        (3, "1 cells, but the header has 2"),
        (4, "not UTF-8"),
        (5, None),
    ]
    found = rows(tmp_path, b'{"a":1}\nrubbish\n{"a":3}\n', format="jsonl")
    assert [row.line for row in found if row.error] == [2]
    assert [row.value for row in found if not row.error] == [{"a": 1}, {"a": 3}]


@pytest.mark.parametrize("header", [b"a,a\n1,2\n", b"a,,c\n1,2,3\n"])
def test_a_header_that_cannot_name_the_columns_is_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(RowsError, match="each column, once"):
        rows(tmp_path, header)


def test_a_damaged_gzip_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match="damaged"):
        rows(tmp_path, gzip.compress(b"a,b\n" + b"1,x\n" * 9999)[:-20])


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_has_no_rows(tmp_path: Path, content: bytes) -> None:
    assert rows(tmp_path, content) == []
