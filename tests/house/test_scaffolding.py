"""What surrounds the code (workflows, forms, hooks, editors' settings) is well-formed and fits the code's defaults.

None of it can be run here, without GitHub. What can be held against the code is; test_images.py has the Dockerfile.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdcpp_rest import cli
from sdcpp_rest.config import Config
from sdcpp_rest.native import prebuilt
from tests.cases import for_each_case

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
YAML_FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".github", ".github/workflows", ".github/ISSUE_TEMPLATE", ".")
    for pattern in ("*.yml", "*.yaml")
    for path in (ROOT / folder).glob(pattern)
)


class _NoDuplicates(yaml.SafeLoader):
    """Of two equal keys YAML's own loader silently takes the later one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        written = [
            self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"
        ]
        assert len(written) == len(set(written)), f"line {node.start_mark.line + 1}: a key twice in {written}"
        return dict(super().construct_mapping(node, deep))


def load_yaml(text: str) -> Any:
    return yaml.load(text, _NoDuplicates)


def parsed(name: str) -> Any:
    return load_yaml((ROOT / name).read_text(encoding="utf-8"))


def workflow(name: str) -> Any:
    found = parsed(f".github/workflows/{name}")
    found["on"] = found.pop(True)  # YAML 1.1 reads the word `on` as a truth value; GitHub does not
    return found


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


# --- well-formed ------------------------------------------------------------------------------------------------------


@for_each_case("name", YAML_FILES)
def test_yaml_file_is_well_formed(name: str) -> None:
    assert isinstance(parsed(name), dict)


def test_all_yaml_files_are_looked_at() -> None:
    assert len(YAML_FILES) >= 8
    assert {"compose.yaml", ".pre-commit-config.yaml", ".github/dependabot.yml"} <= set(YAML_FILES)


def test_devcontainer_sets_the_project_up_and_forwards_the_servers_ports() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    server = Config().server
    assert container["postCreateCommand"] == "make setup"
    assert container["forwardPorts"] == [server.port, server.ws_port]
    assert set(container["portsAttributes"]) == {str(server.port), str(server.ws_port)}


def test_links_of_pages_outside_docs_lead_somewhere() -> None:
    looked = 0
    for page in [*(ROOT / ".github").rglob("*.md"), *(ROOT / "examples").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                looked += 1
                assert (page.parent / target).exists(), f"{page.name}: {target}"
    assert looked >= 5


# --- workflows and forms ----------------------------------------------------------------------------------------------


def test_workflow_runs_the_same_script_on_every_supported_python() -> None:
    tests = workflow("ci.yml")["jobs"]["tests"]
    assert tests["strategy"]["matrix"]["python"] == [*PYTHONS]
    assert [step["run"] for step in tests["steps"] if "run" in step] == ["bash .ci/run"]
    setup = next(step for step in tests["steps"] if step.get("uses", "").startswith("actions/setup-python@"))
    assert setup["with"]["python-version"] == "${{ matrix.python }}"
    assert tests["timeout-minutes"] == 90
    classified = [line.rpartition(" ")[2] for line in project()["project"]["classifiers"] if ":: 3." in line]
    assert classified == [*PYTHONS]
    assert project()["project"]["requires-python"] == f">={PYTHONS[0]}"


def test_workflow_tries_vulkan_with_the_packages_that_the_makefile_asks_for() -> None:
    job = workflow("ci.yml")["jobs"]["vulkan"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[-1] == "make test-vulkan"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    asked = re.search(r"^test-vulkan:.*?apt-get install ([a-z -]+)\)", makefile, re.MULTILINE | re.DOTALL)
    assert asked is not None
    assert {*asked[1].split()} <= {*commands[0].split()}


def test_ci_script_uses_the_python_that_the_workflow_put_on_the_path() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"/\S*python3?\b", script) == []
    assert "python3 -c" in script
    assert "\nPYTHON ?= python3\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_workflow_may_only_read_and_names_versions_and_limits(name: str) -> None:
    flow = workflow(name)
    assert flow["permissions"] == {"contents": "read"}
    assert flow["concurrency"]["group"].endswith("${{ github.ref }}")
    for title, job in flow["jobs"].items():
        assert "timeout-minutes" in job or job["uses"].startswith("./.github/workflows/"), title
        for step in job.get("steps", []):
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+(\.\d+\.\d+)?|release/v\d+)", step.get("uses", "a/b@v1")), step
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}


def test_release_publishes_what_was_tested_and_only_from_the_environment_that_pypi_trusts() -> None:
    flow = workflow("release.yml")
    assert flow["on"] == {"push": {"tags": ["v*"]}}
    jobs = flow["jobs"]
    assert jobs["tests"]["uses"] == "./.github/workflows/ci.yml"
    assert "workflow_call" in workflow("ci.yml")["on"]
    may_identify = [title for title, job in jobs.items() if "permissions" in job]
    assert may_identify == ["publish"]
    publish = jobs["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"]["name"] == "pypi"
    assert {*publish["needs"]} == jobs.keys() - {"publish", "version"}
    assert all(
        jobs[title]["needs"] == "version" for title in ("tests", "sdist", "wheels", "engine-linux", "engine-macos")
    )
    # Every artifact that is made has a name that the publishing job's pattern takes, and each has its own.
    uploads = [step["with"]["name"] for job in jobs.values() for step in job.get("steps", [])
               if step.get("uses", "").startswith("actions/upload-artifact@")]  # fmt: skip
    assert len(uploads) == 4
    assert all(upload.startswith("dist-") for upload in uploads)
    assert "dist-${{ matrix.runner }}" in uploads
    assert f"dist-{jobs['wheels']['strategy']['matrix']['runner'][0]}" in json.dumps(jobs["install"])


def test_prebuilt_engine_is_of_the_version_that_is_pinned_and_serves_every_python() -> None:
    package = tomllib.loads((ROOT / "native_package" / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = f"stable-diffusion-cpp-python=={prebuilt.ENGINE_VERSION}"
    assert package["project"]["version"].partition(".post")[0] == prebuilt.ENGINE_VERSION
    assert package["project"]["name"] == prebuilt.PROJECT
    assert package["project"]["requires-python"] == project()["project"]["requires-python"]
    assert package["tool"]["scikit-build"]["wheel"]["py-api"] == "py3"
    assert (ROOT / "native_package" / prebuilt.PACKAGE / "__init__.py").is_file()
    assert prebuilt.STAMP in (ROOT / "native_package" / "write_stamp.cmake.in").read_text(encoding="utf-8")
    assert pinned in project()["project"]["dependencies"]
    for page in (".github/workflows/release.yml", "README.md"):
        assert f"wheel.cmake=false {pinned}" in (ROOT / page).read_text(encoding="utf-8"), page


def test_wheel_is_one_per_platform_and_for_every_python() -> None:
    tool = project()["tool"]
    assert tool["scikit-build"]["wheel"]["py-api"] == "py3"
    assert tool["cibuildwheel"]["build"] == "cp312-*"
    # What is loaded by ctypes alone has no business with Python's headers.
    assert "Python.h" not in (ROOT / "sdcpp_rest" / "native" / "guard.cpp").read_text(encoding="utf-8")
    assert (ROOT / "sdcpp_rest" / "py.typed").is_file()


@for_each_case(
    ("tag", "changelog", "refusal"),
    [
        ("v1.2.3", "## Unreleased\n\n## 1.2.3 (2026-01-02)\n\n- A change.\n", None),
        ("v1.2.4", "## Unreleased\n\n## 1.2.3 (2026-01-02)\n", "the tag must be v1.2.3"),
        ("1.2.3", "## Unreleased\n\n## 1.2.3 (2026-01-02)\n", "the tag must be v1.2.3"),
        ("v1.2.3", "## Unreleased\n\n## 1.2.3\n", "no section '## 1.2.3 (YYYY-MM-DD)'"),
        ("v1.2.3", "## Unreleased\n\n## 1x2y3 (2026-01-02)\n", "no section '## 1.2.3 (YYYY-MM-DD)'"),
        (
            "v1.2.3",
            "## Unreleased\n\n- New.\n\n## 1.2.3 (2026-01-02)\n\n- Old.\n",
            "lists 1 change(s) under Unreleased",
        ),
    ],
)
def test_release_check_compares_tag_version_and_changelog(
    tag: str, changelog: str, refusal: str | None, tmp_path: Path
) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "check-release", tmp_path / ".ci")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog}")
    ran = subprocess.run(["bash", str(tmp_path / ".ci" / "check-release"), tag], capture_output=True, text=True)
    assert ran.returncode == (0 if refusal is None else 1), ran
    assert refusal is None or refusal in ran.stderr


def test_changelog_has_the_projects_version_and_a_place_for_what_comes() -> None:
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert titles[1].startswith(f"{project()['project']['version']} (")


def test_bug_form_asks_for_what_the_command_line_prints() -> None:
    form = parsed(".github/ISSUE_TEMPLATE/bug.yml")
    asked = {item["id"]: item for item in form["body"]}
    text = json.dumps(form)
    for command in ("doctor", "inspect"):
        assert f"`sdcpp-rest {command}" in text
        assert command in cli.main.commands  # type: ignore[attr-defined]
    assert asked["doctor"]["validations"]["required"]
    assert {"model", "client"} <= asked.keys()


@pytest.mark.parametrize("name", ["bug.yml", "feature.yml"])
def test_form_has_a_title_and_no_id_twice(name: str) -> None:
    form = parsed(f".github/ISSUE_TEMPLATE/{name}")
    ids = [item["id"] for item in form["body"]]
    assert len(ids) == len(set(ids)) >= 4
    assert all(item["attributes"]["label"] for item in form["body"])
    assert form["name"]
    assert form["description"]


def test_hooks_run_the_checks_of_make_lint_by_the_projects_own_tools() -> None:
    hooks = {
        hook["id"]: hook for repo in parsed(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]
    }  # fmt: skip
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert lint is not None
    wanted = {line.split()[0] for line in lint[1].replace("$(BIN)/", "").splitlines()}
    local = [hook["entry"] for hook in hooks.values() if hook.get("language") == "system"]
    assert {entry.split()[0].removeprefix(".venv/bin/") for entry in local} == wanted
    assert all(entry.startswith(".venv/bin/") for entry in local)
    assert {"trailing-whitespace", "end-of-file-fixer"} <= hooks.keys()
