"""What the processes print: one stream with the process name in front, and a file each."""

from __future__ import annotations

import json
import logging
import queue
import threading
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final, TextIO

FILE_BYTES: Final = 10_000_000
FILES_KEPT: Final = 4
WAITING_LINES: Final = 10_000

_COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92)


class Lines:
    """
    Takes lines from any thread. Files get every line. The stream, when there is one, gets them through a queue, so that
    a terminal that stands still never stops a process: what does not fit is left out, and how much is said.
    """

    def __init__(self, folder: Path, stream: TextIO | None, *, json_lines: bool = False) -> None:
        """Args: folder: gets NAME.log files; is made. stream: None for none. json_lines: one object a line."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._stream = stream
        self._json = json_lines
        self._colours = stream is not None and stream.isatty()
        self._quiet: set[str] = set()
        self._files: dict[str, logging.Logger] = {}
        self._lock = threading.Lock()
        self._left_out = 0
        self._queue: queue.Queue[tuple[str, TextIO | None] | None] = queue.Queue(WAITING_LINES)
        """Lines, and for each the stream that it is for instead of the usual one."""
        self._writer = threading.Thread(target=self._write, name="lines", daemon=True)
        self._writer.start()

    def to_file_only(self, name: str) -> None:
        """Servers that are not ours: their talk is for their file."""
        self._quiet.add(name)

    def take(self, name: str, line: str) -> None:
        """A line of the process `name`."""
        self._file(name).info(line)
        if name not in self._quiet:
            self._show(self._labelled(name, line))

    def say(self, text: str) -> None:
        """A line of the supervisor itself."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.take("hub", json.dumps({"timestamp": at, "event": text}) if self._json else f"{at} {text}")

    def plain(self, line: str) -> None:
        """A line for whoever started us, as it is."""
        self._file("hub").info(line)
        self._show(line)

    def aside(self, line: str, stream: TextIO) -> None:
        """A line for another stream, beneath all that were before it, and for no file."""
        self._show(line, stream)

    def close(self) -> None:
        """Write what is waiting; give a stream that stands still two seconds."""
        try:
            self._queue.put(None, timeout=2.0)
        except queue.Full:
            return
        self._writer.join(timeout=2.0)
        for logger in self._files.values():
            for handler in logger.handlers:
                handler.close()

    def _file(self, name: str) -> logging.Logger:
        with self._lock:
            if name not in self._files:
                handler = RotatingFileHandler(
                    self._folder / f"{name}.log", maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8"
                )
                logger = logging.Logger(name)
                logger.addHandler(handler)
                self._files[name] = logger
            return self._files[name]

    def _labelled(self, name: str, line: str) -> str:
        if self._json:
            if line.startswith("{") and line.endswith("}"):
                return f'{{"process": "{name}", {line[1:]}'
            return json.dumps({"process": name, "event": line})
        if self._colours:
            colour = _COLOURS[sum(name.encode()) % len(_COLOURS)]
            return f"\x1b[{colour}m{name:>9} |\x1b[0m {line}"
        return f"{name:>9} | {line}"

    def _show(self, line: str, instead: TextIO | None = None) -> None:
        if self._stream is None and instead is None:
            return
        try:
            self._queue.put_nowait((line, instead))
        except queue.Full:
            self._left_out += 1

    def _write(self) -> None:
        while (shown := self._queue.get()) is not None:
            line, instead = shown
            if instead is None:
                self._write_own(line + "\n", flush=self._queue.empty())
                continue
            self._write_own("", flush=True)
            with suppress(OSError, ValueError):  # whoever read it has gone
                print(line, file=instead, flush=True)

    def _write_own(self, text: str, *, flush: bool) -> None:
        if self._stream is None:
            return
        left_out, self._left_out = self._left_out, 0
        try:
            if left_out:
                self._stream.write(self._labelled("hub", f"{left_out} lines left out here; the files have them\n"))
            self._stream.write(text)
            if flush:
                self._stream.flush()
        except (OSError, ValueError):  # whoever read us has gone; the files go on
            self._stream = None
