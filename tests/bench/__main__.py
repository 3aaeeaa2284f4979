"""Run the benchmarks whose name holds the argument; all without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

wanted = ["-k", " or ".join(sys.argv[1:])] if sys.argv[1:] else []
sys.exit(pytest.main(["-q", "-s", "-m", "bench", *wanted, str(Path(__file__).parent)]))
