"""Files as bytes: of this machine or of S3, plain or gzip, with a place to go on from."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, Any, Final, NamedTuple, Self

from hub.imports.rows import unreadable

GZIP: Final = b"\x1f\x8b"
PEEK_BYTES: Final = 1024 * 1024
"""What the shape of a file is seen from."""
_BLOCK: Final = 256 * 1024
_SKIP: Final = 1024 * 1024
DAMAGED: Final = (gzip.BadGzipFile, EOFError, zlib.error)


class Blob(NamedTuple):
    """
    A file that can be opened, again and again.

    Attributes:
        name: As people know it.
        size: Bytes.
        mark: What changes with its content.
        time_ms: When it was last changed, milliseconds since 1970.
        open: Gives a file in binary mode that can be sought in. May raise OSError, Refused, Unavailable.
        continues: Whether it is the content of a mark, maybe with more behind it. None: only if it is the same mark.
    """

    name: str
    size: int
    mark: str
    time_ms: int
    open: Callable[[], IO[bytes]]
    continues: Callable[[str], bool] | None = None

    def is_that_of(self, mark: str, *, grown: bool) -> bool:
        """Whether this is the content that had a mark. Args: grown: also if there is more behind it by now."""
        return mark == self.mark or (grown and self.continues is not None and self.continues(mark))


class Stream:
    """The bytes of a blob, unpacked. A context manager."""

    def __init__(self, blob: Blob) -> None:
        """Opens nothing yet."""
        self._blob = blob
        self._stack = ExitStack()
        self._file: IO[bytes]
        self.packed = False
        self.start = b""
        """The first bytes, PEEK_BYTES at most."""

    def __enter__(self) -> Self:
        """Raises Refused: it cannot be read; Unavailable."""
        try:
            self._file = self._stack.enter_context(self._blob.open())
            self.packed = self._file.read(2) == GZIP
            self._file.seek(0)
            self.start = self._first()
        except DAMAGED as exc:
            self.__exit__()
            raise damaged(self._blob.name, exc) from exc
        except OSError as exc:
            self.__exit__()
            raise unreadable(f"{self._blob.name} cannot be read: {exc}") from exc
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _first(self) -> bytes:
        """Up to where it is damaged, if that is so soon: its rows can be read."""
        found = bytearray()
        file = self.at(0)
        try:
            while len(found) < PEEK_BYTES and (piece := file.read1(_BLOCK)):
                found += piece
        except DAMAGED:
            if not found:
                raise
        return bytes(found[:PEEK_BYTES])

    def at(self, offset: int) -> io.BufferedReader:
        """The bytes from here on. Args: offset: of what is unpacked."""
        self._file.seek(0)
        plain: Any = gzip.GzipFile(fileobj=self._file) if self.packed else self._file
        plain.seek(offset)  # of gzip: reads up to there
        unclosed: Any = _Unclosed(plain)
        return io.BufferedReader(unclosed, _BLOCK)

    def decoded(self, encoding: str, offset: int) -> IO[bytes]:
        """As UTF-8 of an encoding whose lines cannot be told from its bytes. Args: offset: of the UTF-8."""
        recoded = io.BufferedReader(_Recoded(self.at(0), encoding), _BLOCK)
        while offset > 0 and (skipped := recoded.read(min(offset, _SKIP))):
            offset -= len(skipped)
        return recoded

    @property
    def done(self) -> int:
        """How many bytes of the file have been read."""
        return self._file.tell()


def damaged(name: str, exc: BaseException) -> Exception:
    """A gzip file that ends too soon, or is none behind its first bytes."""
    cut = "it is cut off" if isinstance(exc, EOFError) else str(exc)
    return unreadable(
        f"{name}: the gzip file is damaged: {cut}. All rows before that place are imported; get a whole copy of the "
        "file, and go on with it (--resume)"
    )


def _half(error: UnicodeError) -> tuple[str, int]:
    """Half a pair for what cannot be decoded: no text has one, so its row, and no other, cannot be read."""
    return "\udcff", error.end if isinstance(error, UnicodeDecodeError) else 0


_KEPT_OUT: Final = "thamesthrive-hub.half"
codecs.register_error(_KEPT_OUT, _half)


class _Unclosed(io.RawIOBase):
    """Leaves the file open when it is thrown away itself."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Recoded(io.RawIOBase):
    """What is read of it is UTF-8; what cannot be decoded becomes bytes that are none."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)(_KEPT_OUT)
        self._waiting = b""
        self._over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting and not self._over:
            data = self._file.read(_BLOCK)
            self._over = not data
            self._waiting = self._decoder.decode(data, self._over).encode("utf-8", "surrogatepass")
        part, self._waiting = self._waiting[: len(buffer)], self._waiting[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
