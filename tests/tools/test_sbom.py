"""The bill of materials lists what runs, in the versions of the locks, as the CycloneDX schema wants it."""

from __future__ import annotations

import json
from importlib.metadata import distribution, version
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement

from tools.sbom import make_sbom, read_lock


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return dict(json.loads(make_sbom()))


def test_every_package_that_the_server_needs_is_listed(told: dict[str, Any]) -> None:
    listed: dict[str, set[str]] = {}
    for part in told["components"]:
        if part["purl"].startswith("pkg:pypi/"):
            listed.setdefault(part["name"], set()).add(part["version"])
    waiting, seen = ["sdcpp-rest"], set()
    while waiting:
        name = waiting.pop()
        for line in distribution(name).requires or ():
            need = Requirement(line)
            own = need.name.lower().replace("_", "-").replace(".", "-")
            if own not in seen and (need.marker is None or need.marker.evaluate({"extra": ""})):
                seen.add(own)
                waiting.append(own)
    assert seen <= listed.keys()
    assert {name for name in seen if version(name) not in listed[name]} == set()
    assert not {"pytest", "mypy", "ruff", "cyclonedx-python-lib"} & listed.keys()


def test_the_packages_of_the_page_are_listed_and_its_tools_marked(told: dict[str, Any]) -> None:
    scopes = {part["bom-ref"]: part["scope"] for part in told["components"] if part["bom-ref"].startswith("npm:")}
    assert scopes["npm:svelte"] == scopes["npm:openapi-fetch"] == "required"
    assert scopes["npm:vite"] == scopes["npm:rolldown"] == "excluded"
    assert "npm:vitest" not in scopes
    assert all(part["licenses"] for part in told["components"] if part["bom-ref"].startswith("npm:"))


def test_it_fits_the_schema(told: dict[str, Any]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(told)) is None
    broken = {**told, "components": [{"name": "without a type"}]}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(broken)) is not None


def test_versions_for_several_pythons_are_all_told() -> None:
    lines = [
        "a==1 ; python_version < '3.11' \\", "    --hash=x", "    # via b",
        "a==2 ; python_version >= '3.11' \\", "    # via", "    #   b", "    #   c", "b==3",
    ]  # fmt: skip
    versions, wanted_by = read_lock("\n".join(lines))
    assert versions == {"a": {"1": "python_version < '3.11'", "2": "python_version >= '3.11'"}, "b": {"3": ""}}
    assert wanted_by == {"a": {"b", "c"}}
