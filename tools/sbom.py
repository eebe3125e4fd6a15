"""Writes the bill of materials, sbom.cdx.json (CycloneDX): what an installed sdcpp-rest consists of. Wheels carry it.

Made from the locks alone, so that it is the same on every machine: requirements.lock for Python, of which only what
runs is listed and not the tools of development, and webui/package-lock.json for the web page. What only builds the page
has the scope "excluded". Versions are those of the locks; an install without them may have newer ones.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "sbom.cdx.json"
# Build and bundle the page; no line of theirs is in it.
_PAGE_TOOLS = ("vite", "@sveltejs/vite-plugin-svelte")
_PINNED = re.compile(r"^([a-z0-9._-]+)==(\S+)(?: ; (.*?))? ?\\?$")


def make_sbom() -> str:
    """The bill of materials as JSON text."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = Component(
        name=project["name"], version=project["version"], type=ComponentType.APPLICATION, bom_ref=project["name"],
        purl=PackageURL("pypi", None, project["name"], project["version"]),
        licenses=[LicenseFactory().make_from_string(project["license"])], description=project["description"],
    )  # fmt: skip
    parts: dict[str, Component] = {}
    needs: dict[str, set[str]] = {own.bom_ref.value or "": set()}
    for add in (_add_python, _add_page):
        needs[project["name"]] |= add(project, parts, needs)
    bom = Bom(components=parts.values())
    bom.metadata.component = own
    bom.dependencies = [
        Dependency(_ref(name, own, parts), [Dependency(parts[need].bom_ref) for need in sorted(wanted)])
        for name, wanted in needs.items()
    ]  # type: ignore[assignment]
    told = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library takes the time of day and a random number: the same locks are to give the same file.
    told["metadata"].pop("timestamp", None)
    told["serialNumber"] = "urn:uuid:00000000-0000-0000-0000-000000000000"
    told["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(told, sort_keys=True))}"
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


def read_lock(text: str) -> tuple[dict[str, dict[str, str]], dict[str, set[str]]]:
    """Each package of a requirements file that uv has written, with its versions and where each is meant for (a marker,
    empty for everywhere); and who wants it, as the comments say.
    """
    versions: dict[str, dict[str, str]] = {}
    wanted_by: dict[str, set[str]] = {}
    name = ""
    in_comment = False
    for line in text.splitlines():
        if pinned := _PINNED.match(line):
            name, in_comment = pinned[1], False
            versions.setdefault(name, {})[pinned[2]] = pinned[3] or ""
        elif name and line.strip().startswith("#"):
            told = line.strip().lstrip("# ")
            in_comment = in_comment or told.startswith("via")
            told = told.removeprefix("via").strip()
            if in_comment and told:
                wanted_by.setdefault(name, set()).add(told)
    return versions, wanted_by


def _add_python(project: Mapping[str, Any], parts: dict[str, Component], needs: dict[str, set[str]]) -> set[str]:
    versions, wanted_by = read_lock((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    direct = {_name_of(line) for line in project["dependencies"]}
    for line in project["dependencies"]:
        # The binding is not in the lock: its source is built with our flags.
        if "==" in line:
            versions.setdefault(_name_of(line), {line.split("==")[1]: ""})
    running: set[str] = set()
    waiting = sorted(direct)
    while waiting:
        name = waiting.pop()
        if name not in running and name in versions:
            running.add(name)
            waiting += [other for other, parents in wanted_by.items() if name in parents]
    refs = {name: [f"pypi:{name}@{one}" for one in versions[name]] for name in running}
    for name in sorted(running):
        for ref, (version, marker) in zip(refs[name], versions[name].items(), strict=True):
            parts[ref] = Component(
                name=name, version=version, type=ComponentType.LIBRARY, bom_ref=ref, scope=ComponentScope.REQUIRED,
                purl=PackageURL("pypi", None, name, version),
                properties=[Property(name="python:marker", value=marker)] if marker else (),
            )  # fmt: skip
        for parent in wanted_by.get(name, set()) & running:
            for ref in refs[parent]:
                needs.setdefault(ref, set()).update(refs[name])
    return {ref for name in direct & running for ref in refs[name]}


def _add_page(project: Mapping[str, Any], parts: dict[str, Component], needs: dict[str, set[str]]) -> set[str]:
    packages = json.loads((ROOT / "webui/package-lock.json").read_text(encoding="utf-8"))["packages"]
    direct = [f"node_modules/{name}" for name in packages[""]["dependencies"]]
    shown = _reach(packages, [place for place in direct if place.removeprefix("node_modules/") not in _PAGE_TOOLS])
    names = {place: f"npm:{place.removeprefix('node_modules/')}" for place in _reach(packages, direct)}
    for place, name in sorted(names.items()):
        package = packages[place]
        group, _, short = place.rpartition("node_modules/")[2].rpartition("/")
        parts[name] = Component(
            name=short, group=group or None, version=package["version"], type=ComponentType.LIBRARY, bom_ref=name,
            scope=ComponentScope.REQUIRED if place in shown else ComponentScope.EXCLUDED,
            purl=PackageURL("npm", group or None, short, package["version"]),
            licenses=[LicenseFactory().make_from_string(package["license"])],
        )  # fmt: skip
        needs[name] = {names[need] for need in _needs(packages, place)}
    return {names[place] for place in direct}


def _reach(packages: Mapping[str, Any], roots: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        place = waiting.pop()
        if place not in reached:
            reached.add(place)
            waiting += _needs(packages, place)
    return reached


def _needs(packages: Mapping[str, Any], place: str) -> list[str]:
    """Where what a package needs lies: the nearest ``node_modules``, as Node looks for it."""
    found = []
    for name in packages[place].get("dependencies", {}):
        folder = place
        while f"{folder}/node_modules/{name}".lstrip("/") not in packages and folder:
            folder = folder.rpartition("node_modules/")[0].rstrip("/")
        candidate = f"{folder}/node_modules/{name}".lstrip("/")
        if candidate in packages:
            found.append(candidate)
    return found


def _ref(name: str, own: Component, parts: Mapping[str, Component]) -> Any:
    return own.bom_ref if name == own.name else parts[name].bom_ref


def _name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return found[0].lower().replace("_", "-")


if __name__ == "__main__":
    FILE.write_text(make_sbom(), encoding="utf-8")
    print(f"wrote {FILE.name}")
