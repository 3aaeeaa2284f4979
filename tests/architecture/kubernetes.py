"""
What Kubernetes takes: its own JSON schemas, strict ones, of the kinds that compose/kubernetes has.

They are in kubernetes.json, cut out of the package kubernetes-validate (Apache-2.0; made of Kubernetes' definitions,
which are Apache-2.0, too): the package has all kinds of all releases, 100 MB. To make the file anew:
`.venv/tools/bin/uv run --with kubernetes-validate python -m tests.architecture.kubernetes`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

FILE: Final = Path(__file__).with_name("kubernetes.json")
RELEASE: Final = "1.32"
"""The oldest one that the manifests are for: all that they use is stable in it, so later ones take it as well."""
KINDS: Final = {
    "ConfigMap": "v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Namespace": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "Secret": "v1",
    "Service": "v1",
    "ServiceAccount": "v1",
    "StatefulSet": "apps/v1",
}
"""Whose schemas are in the file, each with its `apiVersion`."""
_DEFS: Final = "#/$defs/"


def faults(resource: Mapping[str, Any]) -> list[str]:
    """What is wrong with one resource: places and words. A kind that has no schema here is wrong as well."""
    kind = resource.get("kind", "")
    if KINDS.get(kind) != resource.get("apiVersion"):
        return [f"{kind}: no schema for {resource.get('apiVersion')}; add it to KINDS"]
    schemas = json.loads(FILE.read_text())
    validator = jsonschema_rs.validator_for({"$ref": f"{_DEFS}{kind}", "$defs": schemas["$defs"]})
    name = f"{kind}/{resource.get('metadata', {}).get('name')}"
    return [
        f"{name}: {'/'.join(map(str, each.instance_path))}: {each.message}" for each in validator.iter_errors(resource)
    ]


def cut() -> dict[str, Any]:
    """The schemas of KINDS and all that they refer to, without descriptions."""
    package = importlib.import_module("kubernetes_validate")
    folder = Path(str(package.__file__)).parent / "kubernetes-json-schema" / f"v{RELEASE}.0-local-strict"
    all_of_them = json.loads((folder / "_definitions.json").read_text())["$defs"]
    wanted: dict[str, Any] = {}
    for kind, version in KINDS.items():
        group, _, number = version.rpartition("/")
        name = "-".join(filter(None, (kind.lower(), group.split(".")[0], number)))
        schema = json.loads((folder / f"{name}.json").read_text())
        wanted[kind] = _bare({key: value for key, value in schema.items() if key not in ("$id", "$schema")})
    missing = _named(list(wanted.values()))
    while missing:
        name = missing.pop()
        if name not in wanted:
            wanted[name] = _bare(all_of_them[name])
            missing |= _named(wanted[name])
    return {
        "$comment": f"Kubernetes {RELEASE}, Apache-2.0; made by tests/architecture/kubernetes.py",
        "$defs": dict(sorted(wanted.items())),
    }


def _bare(schema: Any) -> Any:
    """Without what is for people, and with references to this file."""
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "$ref":
            found[name] = _DEFS + value.partition(_DEFS)[2]
        elif name == "properties":
            found[name] = {each: _bare(inner) for each, inner in value.items()}
        elif name != "description" and not name.startswith("x-kubernetes-"):
            found[name] = _bare(value)
    return found


def _named(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_named, schema))
    if not isinstance(schema, dict):
        return set()
    here = schema.get("$ref")
    return {here.removeprefix(_DEFS)} if isinstance(here, str) else _named(list(schema.values()))


if __name__ == "__main__":
    schemas = cut()
    definitions = [
        f"{json.dumps(name)}:{json.dumps(each, separators=(',', ':'))}" for name, each in schemas["$defs"].items()
    ]
    FILE.write_text(
        f'{{"$comment":{json.dumps(schemas["$comment"])},\n"$defs":{{\n' + ",\n".join(definitions) + "\n}}\n"
    )
