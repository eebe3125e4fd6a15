"""The examples of docs/cluster.md are well-formed and fit the code: what Ray, KubeRay and our own commands would refuse
is noticed, as they cannot be run here."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from sdcpp_rest import cli
from sdcpp_rest.engine.remote.node_settings import (
    ENGINE_RESOURCE,
    NAME_LABEL,
    SETTINGS_VARIABLE,
    VERSION_LABEL,
    NodeSettings,
    our_version,
)
from tests.house.test_scaffolding import ROOT, load_yaml

# Fields of KubeRay 1.5 and of Kubernetes, as far as the example may have them.
_KUBERAY = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs", "enableInTreeAutoscaling"},
    "authOptions": {"mode", "secretName"},
    "headGroupSpec": {"rayStartParams", "template", "labels", "resources", "serviceType"},
    "workerGroupSpecs": {
        "groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template", "labels", "resources",
    },
    "template": {"metadata", "spec"},
    "pod": {"containers", "volumes"},
    "containers": {"name", "image", "env", "resources", "volumeMounts", "ports"},
}  # fmt: skip
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?\Z")


def examples() -> list[Any]:
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    return [load_yaml(text) for text in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]


@pytest.fixture(scope="module")
def launcher() -> dict[str, Any]:
    """What is given to ``ray up``."""
    (found,) = (one for one in examples() if "cluster_name" in one)
    return dict(found)


@pytest.fixture(scope="module")
def kuberay() -> dict[str, Any]:
    (found,) = (one for one in examples() if one.get("kind") == "RayCluster")
    return dict(found)


def test_ray_has_the_launchers_fields(launcher: dict[str, Any]) -> None:
    ray = importlib.util.find_spec("ray")
    if ray is None or ray.origin is None:
        pytest.skip("Ray, which has the schema, is not installed")
    schema = json.loads((Path(ray.origin).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(launcher, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**launcher, "worker_start_commands": []}, schema)


def test_launcher_runs_commands_that_there_are(launcher: dict[str, Any]) -> None:
    lines = [*launcher["head_start_ray_commands"], *launcher["worker_start_ray_commands"]]
    ours = [shlex.split(line) for line in lines if line.startswith("sdcpp-rest ")]
    assert {words[2] for words in ours} == {"start-head", "join", "stop"}
    for words in ours:
        command: click.Command = cli.main
        for name in words[1:3]:
            assert isinstance(command, click.Group)
            found = command.get_command(click.Context(command), name)
            assert found is not None, name
            command = found
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, words


def test_kuberay_has_the_fields(kuberay: dict[str, Any]) -> None:
    assert kuberay["apiVersion"] == "ray.io/v1"
    spec = kuberay["spec"]
    check("", kuberay)
    check("spec", spec)
    check("authOptions", spec["authOptions"])
    for kind, group in (
        ("headGroupSpec", spec["headGroupSpec"]),
        *(("workerGroupSpecs", g) for g in spec["workerGroupSpecs"]),
    ):
        check(kind, group)
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        # Refused by the operator.
        assert "labels" not in group["rayStartParams"]
        check("template", group["template"])
        check("pod", group["template"]["spec"])
        volumes = {volume["name"] for volume in group["template"]["spec"].get("volumes", ())}
        for container in group["template"]["spec"]["containers"]:
            check("containers", container)
            assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes


def test_kuberays_pods_are_nodes_that_a_server_uses(kuberay: dict[str, Any]) -> None:
    (group,) = kuberay["spec"]["workerGroupSpecs"]
    # Once for the shell, once for Ray.
    assert json.loads(json.loads(group["rayStartParams"]["resources"])) == {ENGINE_RESOURCE: 1}
    assert group["labels"].keys() == {VERSION_LABEL, NAME_LABEL}
    assert group["labels"][VERSION_LABEL] == our_version()
    assert all(isinstance(value, str) and _LABEL_VALUE.match(value) for value in group["labels"].values())
    (container,) = group["template"]["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    settings = NodeSettings.of_environment({SETTINGS_VARIABLE: variables[SETTINGS_VARIABLE]})
    assert settings.roots["models"] in [mount["mountPath"] for mount in container["volumeMounts"]]
    lock = (ROOT / "requirements-cluster.lock").read_text(encoding="utf-8")
    assert (
        f"\nray=={kuberay['spec']['rayVersion']} " in lock
        or f"\nray[default]=={kuberay['spec']['rayVersion']} " in lock
    )


def check(kind: str, fields: dict[str, Any]) -> None:
    assert fields.keys() <= _KUBERAY[kind], kind
