"""Lets processes go on that somebody has stopped: `thaw.py SECONDS PID…`, at the end of its input or of SECONDS.

A program of its own, which uses the standard library only: whoever has stopped a broker may be killed the next moment.
Prints `armed` once it waits; exits with 1 if it did not get the word in time.
"""

import contextlib
import os
import select
import signal
import sys


def main() -> None:
    """Wait, send SIGCONT."""
    seconds, pids = float(sys.argv[1]), [int(pid) for pid in sys.argv[2:]]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.write(1, b"armed\n")
    told, _, _ = select.select([0], [], [], seconds)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    sys.exit(0 if told else 1)


if __name__ == "__main__":
    main()
