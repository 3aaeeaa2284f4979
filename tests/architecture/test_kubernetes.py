"""The manifests are what Kubernetes takes, name what exists, and give a pod no more than it has to have."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from hub.log.progress import collector_group
from hub.settings import Settings
from schemas.topics import EVENTS
from tests.architecture import composed, kubernetes
from tests.architecture.composed import IMAGE, MANIFESTS, UID, kinds, workloads
from tests.architecture.tables import openapi

every_workload = pytest.mark.parametrize("name", workloads())


def _pod(name: str) -> dict[str, Any]:
    pod: dict[str, Any] = workloads()[name]["spec"]["template"]["spec"]
    return pod


def _container(name: str) -> dict[str, Any]:
    (container,) = _pod(name)["containers"]
    found: dict[str, Any] = container
    return found


def test_kubernetes_takes_them() -> None:
    assert [fault for each in composed.manifests() for fault in kubernetes.faults(each)] == []


def test_the_schemas_are_asked() -> None:
    wrong = copy.deepcopy(workloads()["collector"])
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    wrong["spec"]["replicas"] = "three"
    faults = kubernetes.faults(wrong)
    assert any("readinesProbe" in fault for fault in faults)
    assert any("spec/replicas" in fault for fault in faults)
    assert kubernetes.faults({"apiVersion": "apps/v1beta1", "kind": "Deployment"})


def test_kubectl_puts_together_what_the_tests_read() -> None:
    """Where kubectl is; it has kustomize in it."""
    if shutil.which("kubectl") is None:
        return
    built = subprocess.run(["kubectl", "kustomize", MANIFESTS], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    resources = list(yaml.safe_load_all(built.stdout))
    assert [fault for each in resources for fault in kubernetes.faults(each)] == []

    def named(all_of_them: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return sorted((each["kind"], each["metadata"]["name"]) for each in all_of_them)

    assert named(resources) == named(composed.manifests())


def test_every_manifest_is_applied() -> None:
    """But for the one that needs KEDA."""
    files = {path.name for path in MANIFESTS.glob("*.yaml")}
    listed = set(yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"])
    assert files - listed == {"kustomization.yaml", "keda.yaml"}


def test_every_process_runs() -> None:
    assert workloads().keys() == composed.processes()
    for name in workloads():
        assert _container(name)["args"] == [name]


def test_every_variable_is_a_setting() -> None:
    (config,) = kinds("ConfigMap")
    named = set(config["data"]) | {
        variable["name"] for name in workloads() for variable in _container(name).get("env", [])
    }
    assert named <= composed.settings()
    commented = set(re.findall(r"^ +# (HUB_\w+):", (MANIFESTS / "settings.yaml").read_text(), re.MULTILINE))
    assert commented <= composed.settings()


@every_workload
def test_secrets_are_files_of_a_secret(name: str) -> None:
    (config,) = kinds("ConfigMap")
    mounts = {mount["name"]: mount["mountPath"] for mount in _container(name)["volumeMounts"]}
    references = [value for value in config["data"].values() if value.startswith("file:")]
    assert len(references) >= 3
    assert all(reference.startswith(f"file:{mounts['keys']}/") for reference in references)
    # a definition may name files there, the hub's own keys must not be among them
    assert config["data"]["HUB_SECRET_FOLDER"] == mounts["definitions"]
    assert mounts["definitions"] != mounts["keys"]


@every_workload
def test_a_pod_can_do_no_more_than_it_has_to(name: str) -> None:
    pod, container = _pod(name), _container(name)
    assert pod["automountServiceAccountToken"] is False
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == UID
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/data", "/tmp"}
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


@every_workload
def test_probes_ask_what_there_is(name: str) -> None:
    """Alive for a restart; ready for a rollout. The API goes on taking events while it is not ready."""
    container = _container(name)
    (port,) = container["ports"]
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert probes["startup"]["path"] == probes["liveness"]["path"] == "/live"
    assert probes["readiness"]["path"] == ("/live" if name == "api" else "/ready")
    assert port["containerPort"] == (8686 if name == "api" else 8687)
    assert workloads()[name]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(
        port["containerPort"]
    )


def test_what_probes_ask_is_answered() -> None:
    """By the API; the health port's answers are in tests/unit/test_probe.py."""
    assert {"/live", "/ready", "/metrics"} <= openapi()["paths"].keys()


@every_workload
def test_pods_get_the_time_to_end(name: str) -> None:
    before = _container(name).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert _pod(name)["terminationGracePeriodSeconds"] > before + composed.longest_end_s()
    assert (before > 0) == (name == "api")


@every_workload
def test_there_is_always_another_one(name: str) -> None:
    workload = workloads()[name]
    scaled = {each["spec"]["scaleTargetRef"]["name"]: each["spec"] for each in kinds("HorizontalPodAutoscaler")}
    least = scaled[name]["minReplicas"] if name in scaled else workload["spec"]["replicas"]
    assert least >= 2
    assert ("replicas" in workload["spec"]) != (name in scaled), "one of the two says how many"
    (budget,) = [each["spec"] for each in kinds("PodDisruptionBudget") if each["metadata"]["name"] == name]
    selector = workload["spec"]["selector"]
    assert budget == {"maxUnavailable": 1, "selector": selector}
    labels = workload["spec"]["template"]["metadata"]["labels"].items()
    assert selector["matchLabels"].items() <= labels
    spread = _pod(name)["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert all(each["labelSelector"] == selector for each in spread)


@every_workload
def test_the_version_is_that_of_the_compose_files(name: str) -> None:
    image = _container(name)["image"]
    assert image.startswith(IMAGE)
    assert {service["image"] for service in composed.ours("hub").values()} == {image}
    kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
    assert [f"{each['name']}:{each['newTag']}" for each in kustomization["images"]] == [image]


def test_nobody_comes_in_but_where_it_says_so() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in kinds("NetworkPolicy")}
    assert policies["nobody-comes-in"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    selected = [spec["podSelector"].get("matchLabels", {}) for spec in policies.values()]
    labels = [workload["spec"]["template"]["metadata"]["labels"].items() for workload in workloads().values()]
    for selector in selected:
        assert any(selector.items() <= each for each in labels), selector


def test_the_namespace_is_a_strict_one() -> None:
    (namespace,) = kinds("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["metadata"]["name"] == yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["namespace"]


def test_keda_looks_at_the_lag_of_the_collectors() -> None:
    """There is no schema of Kubernetes' for it: what matters is named here."""
    scaled = yaml.safe_load((MANIFESTS / "keda.yaml").read_text())
    assert (scaled["apiVersion"], scaled["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    assert scaled["spec"]["scaleTargetRef"] == {"kind": "Deployment", "name": "collector"}
    (trigger,) = scaled["spec"]["triggers"]
    (config,) = kinds("ConfigMap")
    namespace = Settings.model_fields["namespace"].default
    assert trigger["type"] == "kafka"
    assert trigger["metadata"]["consumerGroup"] == collector_group(namespace)
    assert trigger["metadata"]["topic"] == EVENTS.name(namespace)
    assert trigger["metadata"]["bootstrapServers"] == config["data"]["HUB_KAFKA__BOOTSTRAP"]
    assert scaled["spec"]["maxReplicaCount"] <= int(config["data"]["HUB_KAFKA__PARTITIONS"])
    assert scaled["spec"]["minReplicaCount"] >= 2
