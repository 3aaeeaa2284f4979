"""`make sbom`: what an installed hub consists of, by the Makefile's own command."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def test_it_has_every_package_that_a_hub_needs_and_its_version(tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    (command,) = re.findall(r"^\t@\$\(UV\) (export .*--format cyclonedx.*)$", makefile, re.MULTILINE)
    written = tmp_path / "sbom.json"
    arguments = shlex.split(command.replace("dist/sbom.cdx.json", str(written)))
    subprocess.run([Path(sys.prefix) / "tools" / "bin" / "uv", *arguments, "--offline"], cwd=ROOT, check=True)
    document = json.loads(written.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    listed = {each["name"]: each["version"] for each in document["components"]}
    locked = {each["name"]: each.get("version") for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    assert {name: locked[name] for name in listed} == listed
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    assert {re.split(r"[^A-Za-z0-9_.-]", each)[0] for each in needed} <= listed.keys()
    assert "pytest" not in listed
