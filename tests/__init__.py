"""Tests, and what they have in common."""

import os
import sys

# Containers often set it. Then each process compiles all that it imports, which is most of what its start takes; a run
# of the tests starts hundreds of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
