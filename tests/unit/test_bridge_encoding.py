"""Compressed bodies: unpacked when they are what they say, left alone when not."""

from __future__ import annotations

import gzip
import zlib

import pytest

from bridges.encoding import LARGEST_BYTES, inflated


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"text", mtime=0), "gzip"),
        (gzip.compress(b"text", mtime=0), " X-GZIP "),
        (gzip.compress(b"te", mtime=0) + gzip.compress(b"xt", mtime=0), "gzip"),
        (zlib.compress(b"text"), "deflate"),
    ],
)
def test_unpacked(body: bytes, encoding: str) -> None:
    assert inflated(body, encoding) == b"text"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"text", "gzip"),
        (b"text", "br"),
        (b"", "gzip"),
        (gzip.compress(b"text", mtime=0)[:-4], "gzip"),
        (gzip.compress(b"text", mtime=0) + b"more", "gzip"),
    ],
)
def test_left_alone(body: bytes, encoding: str) -> None:
    assert inflated(body, encoding) == body


def test_what_unpacks_to_too_much_is_left_alone() -> None:
    body = gzip.compress(bytes(LARGEST_BYTES + 1), 1)
    assert inflated(body, "gzip") == body
