"""The kill matrix from the command line."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Final

import pytest

from tests.bench import conditions
from tests.matrix import page
from tests.matrix.brokers import NAMES
from tests.matrix.run import FAULTS, Options, Result, run

MISSING: Final = (pytest.skip.Exception, pytest.fail.Exception)
"""There is no such server here: as the tests say it."""


def main() -> int:
    """Returns the exit code: 0 when every promise was kept, 1 when one was broken, 2 when it could not be tried."""
    wanted = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # with everything that was started stopped
    names = [name for name in NAMES if not wanted.kinds or {name, name.partition(":")[0]} & {*wanted.kinds}]
    unknown = {kind for kind in wanted.kinds if kind not in {*NAMES, *(name.partition(":")[0] for name in NAMES)}}
    if unknown:
        sys.exit(f"there is no broker {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    faults = [fault for fault in FAULTS if fault in wanted.faults.split(",")]
    options = Options(wanted.seed, wanted.kills, wanted.messages, wanted.rate, wanted.cut, faults)
    base = (wanted.data or Path(tempfile.mkdtemp(prefix="hub-matrix-"))).absolute()
    command = _command(wanted)
    date, commit, *_ = conditions.moment().split(", ")
    when = {"date": date, "commit": commit.removeprefix("commit "), "machine": conditions.machine()}
    results: list[Result] = []
    failed: list[str] = []
    for name in names:
        print(f"--- {name}", flush=True)
        try:
            result = run(name, options, base / name.replace(":", "-"), lambda words: print(f"  {words}", flush=True))
        except MISSING as exc:
            failed.append(name)
            print(f"  could not be tried: {exc}", flush=True)
            continue
        except Exception:  # noqa: BLE001 - the other brokers are still to be tried
            failed.append(name)
            traceback.print_exc()
            continue
        results.append(result)
        for fault, each in result.figures.items():
            words = f"{each.messages} messages, lost {each.lost}, doubled {each.doubled}, out of order {each.reordered}"
            print(f"  {fault:<11} {words}", flush=True)
        print(f"  {'every promise kept' if result.good else 'PROMISES BROKEN'} (seed {wanted.seed})", flush=True)
        page.write(results, command, when, wanted.page)
    if failed or not all(result.good for result in results) or wanted.data:
        print(f"logs and stores are in {base}")
    else:
        shutil.rmtree(base)
    return 2 if failed else int(not all(result.good for result in results))


def _command(wanted: argparse.Namespace) -> str:
    """To do the same again: without the folders of this machine."""
    usual = vars(_parser().parse_args([]))
    changed = {name: value for name, value in vars(wanted).items() if value != usual[name]}
    options = [f"--{name} {value}" for name, value in changed.items() if name not in ("kinds", "page", "data")]
    return " ".join(["python -m tests.matrix", *wanted.kinds, *options])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument(
        "kinds", nargs="*", help=f"brokers: {', '.join(NAMES)}, or the word before the colon; all without one"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument(
        "--kills", type=int, default=Options().kills, help="of the bridge; a seventh of that of each server"
    )
    parser.add_argument("--messages", type=int, default=Options().messages, help="at least so many a broker")
    parser.add_argument("--rate", type=int, default=Options().rate, help="messages a second")
    parser.add_argument("--cut", type=float, default=Options().cut_s, help="seconds that a link is cut")
    parser.add_argument("--faults", default=",".join(FAULTS), help="with commas between; all without it")
    parser.add_argument("--page", type=Path, default=page.FOLDER, help="the folder that page and JSON go to")
    parser.add_argument("--data", type=Path, help="where logs and stores go, which are kept then")
    return parser


if __name__ == "__main__":
    sys.exit(main())
