"""Run a program that the kernel kills when its parent dies: `leash.py PARENT_PID PROGRAM ARGUMENT…` (Linux).

A program of its own, and not a function between fork and exec: the parent has threads, and a forked copy of a process
with threads may hang. It uses the standard library only and is replaced by PROGRAM, which keeps its process id.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h


def main() -> None:
    """Ask for the signal, make sure that the parent still lives, become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"cannot tie {program[0]} to its parent: {os.strerror(ctypes.get_errno())}")
        if os.getppid() != parent:  # it died before the line above
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - the parent gives a fixed argument list


if __name__ == "__main__":
    main()
