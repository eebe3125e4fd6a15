"""The images and the Compose file fit the code's defaults: ports, folders, settings, an open path for the health check.

No image can be built here. What the Dockerfile says, stage by stage, can be held against the code and the pages.
"""

from __future__ import annotations

import json
import re

import pytest

from sdcpp_rest.config import Config, known_settings
from sdcpp_rest.routes.http.openapi import page_files
from sdcpp_rest.web.access import OPEN_PATHS
from tests.cases import for_each_case
from tests.house.test_scaffolding import ROOT, parsed

TARGETS = ("cpu", "cuda", "vulkan")
Stage = dict[str, list[str]]


def stages() -> dict[str, Stage]:
    """Every stage of the Dockerfile by name: its instructions' arguments by instruction, with those it inherits."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, Stage] = {}
    stage: Stage = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            base, _, name = arguments.partition(" AS ")
            assert name, f"a stage without a name: {line}"
            stage = {key: [*values] for key, values in found.get(base, {}).items()}
            found[name] = stage
        stage.setdefault(instruction, []).append(" ".join(arguments.split()))
    return found


def environment(stage: Stage) -> dict[str, str]:
    pairs = re.findall(r'([A-Z_]+)=(?:"([^"]*)"|(\S+))', " ".join(stage["ENV"]))
    return {name: quoted or bare for name, quoted, bare in pairs}


@pytest.mark.parametrize("target", TARGETS)
def test_image_runs_the_server_as_a_user_without_rights(target: str) -> None:
    stage = stages()[target]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage["USER"][-1])
    assert json.loads(stage["ENTRYPOINT"][-1]) == ["tini", "--", "sdcpp-rest"]
    assert json.loads(stage["CMD"][-1]) == ["serve"]


@pytest.mark.parametrize("target", TARGETS)
def test_image_has_the_ports_and_folders_of_the_configuration(target: str) -> None:
    stage, server = stages()[target], Config().server
    assert stage["EXPOSE"] == [f"{server.port} {server.ws_port}"]
    settings = environment(stage)
    assert {name for name in settings if name.startswith("SDCPP_REST__")} >= {
        "SDCPP_REST__SERVER__HOST", "SDCPP_REST__PATHS__DATA_DIR", "SDCPP_REST__PATHS__MODELS_DIR",
        "SDCPP_REST__PATHS__OUTPUT_DIR",
    }  # fmt: skip
    folders = [value for name, value in settings.items() if name.startswith("SDCPP_REST__PATHS__")]
    assert json.loads(stage["VOLUME"][-1]) == folders
    assert all(f" {folder}" in " ".join(stage["RUN"]) for folder in folders), "they must belong to the user"


@for_each_case("name", ["Dockerfile", "compose.yaml", "docs/containers.md", "SECURITY.md"])
def test_settings_in_the_environment_are_settings(name: str) -> None:
    known = {"SDCPP_REST__" + path.upper().replace(".", "__") for path in known_settings()}
    named = set(re.findall(r"SDCPP_REST__[A-Z0-9_]+", (ROOT / name).read_text(encoding="utf-8")))
    assert named <= known
    assert named or name == "SECURITY.md"


@pytest.mark.parametrize("target", TARGETS)
def test_health_check_asks_an_open_path_at_the_address_that_the_server_wrote_down(target: str) -> None:
    check = stages()[target]["HEALTHCHECK"][-1]
    command = json.loads(check.partition(" CMD ")[2])
    assert command[:2] == ["python3", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    data_dir = environment(stages()[target])["SDCPP_REST__PATHS__DATA_DIR"]
    assert f"open('{data_dir}/server.json')" in command[2]
    asked = re.search(r"\['url'\] \+ '([^']+)'", command[2])
    assert asked is not None
    assert asked[1] in OPEN_PATHS


@pytest.mark.parametrize("target", TARGETS)
def test_image_does_not_start_before_somebody_decides_who_may_call(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the image's own settings and nothing else; the folders are only named."""
    for name, value in environment(stages()[target]).items():
        if name.startswith("SDCPP_REST__"):
            monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"auth\.api_keys"):
        Config()
    monkeypatch.setenv("SDCPP_REST__AUTH__API_KEYS", '["a key"]')
    assert Config().server.is_public


@pytest.mark.parametrize("target", TARGETS)
def test_image_remembers_the_flags_that_its_library_was_built_with(target: str) -> None:
    """Or `sdcpp-rest doctor` would find other flags than in the library's stamp, and advise to build it anew."""
    built = re.search(
        r'CMAKE_ARGS="([^"]*)" python -m sdcpp_rest\.native\.build', " ".join(stages()[f"library-{target}"]["RUN"])
    )
    assert built is not None
    assert environment(stages()[target])["CMAKE_ARGS"] == built[1]
    assert f"--from=library-{target} /opt/library" in " ".join(stages()[target]["COPY"])


@pytest.mark.parametrize("target", TARGETS)
def test_image_of_the_library_has_every_module_that_its_build_imports(target: str) -> None:
    """The build runs there before the package is installed, out of a folder with these modules alone."""
    assert "--from=build-code /src /src" in stages()[f"library-{target}"]["COPY"]
    copied = set(re.findall(r"sdcpp_rest/native/(\w+)\.py", " ".join(stages()["build-code"]["COPY"])))
    waiting, needed = ["build"], set[str]()
    while waiting:
        name = waiting.pop()
        needed.add(name)
        text = (ROOT / "sdcpp_rest" / "native" / f"{name}.py").read_text(encoding="utf-8")
        found = re.findall(r"^from sdcpp_rest\.native\.(\w+) import", text, re.MULTILINE)
        for names in re.findall(r"^from sdcpp_rest\.native import (.*)$", text, re.MULTILINE):
            found += re.findall(r"\w+", names)
        waiting += [one for one in found if one not in needed]
    assert copied == needed >= {"build", "toolchain", "vulkan_headers", "system_packages"}


def test_portable_images_are_the_default() -> None:
    first = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("ARG CMAKE_ARGS"))
    assert first == 'ARG CMAKE_ARGS="-DGGML_NATIVE=OFF"'
    assert [*stages()][-1] == "cpu", "a build without --target makes the last stage"


def test_build_context_has_all_that_is_copied_and_nothing_private() -> None:
    allowed = {
        line.removeprefix("!").strip("/")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copied = {
        source.partition("/")[0]
        for stage in stages().values()
        for arguments in stage.get("COPY", [])
        if not arguments.startswith("--from=")
        for source in arguments.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


# --- compose and its page ---------------------------------------------------------------------------------------------


def test_compose_has_a_profile_for_each_target_with_its_ports_and_folders() -> None:
    compose, server = parsed("compose.yaml"), Config().server
    assert compose["services"].keys() == {*TARGETS}
    for target, service in compose["services"].items():
        assert service["profiles"] == [target]
        assert service["build"]["target"] == target
        assert target in stages()
        assert [port.rpartition("}:")[2] for port in service["ports"]] == [
            f"{server.port}:{server.port}", f"{server.ws_port}:{server.ws_port}",
        ]  # fmt: skip
        assert all(port.startswith("${SDCPP_REST_BIND:-127.0.0.1}:") for port in service["ports"])
        mounted = [volume.rpartition(":")[2] for volume in service["volumes"]]
        assert mounted == json.loads(stages()[target]["VOLUME"][-1])
        assert "user" not in service, "the image's own, which is not root"
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["cap_drop"] == ["ALL"]
        assert not service.get("privileged")


def test_compose_takes_secrets_from_the_environment_only() -> None:
    for service in parsed("compose.yaml")["services"].values():
        given = service["environment"]
        assert given["SDCPP_REST__AUTH__API_KEYS"].startswith('["${SDCPP_REST_API_KEY:?')
        assert given["HF_TOKEN"] is None
        assert given["CIVITAI_TOKEN"] is None
        assert "SDCPP_REST__SERVER__ALLOW_PUBLIC_WITHOUT_AUTH" not in given


def test_compose_waits_longer_than_the_server_lets_a_job_finish() -> None:
    for service in parsed("compose.yaml")["services"].values():
        assert int(service["stop_grace_period"].removesuffix("s")) > Config().engine.stop_timeout_seconds


def test_targets_and_variables_in_the_documentation_exist() -> None:
    pages = [ROOT / "README.md", ROOT / "docs" / "containers.md", ROOT / "CONTRIBUTING.md", ROOT / "Dockerfile"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = re.findall(r"--(?:target|profile) (\w+)", text)
    assert len(named) >= 5
    assert {*named} >= {*TARGETS}
    assert {*named} <= stages().keys()
    used = set(re.findall(r"\$\{(\w+)[:}]", (ROOT / "compose.yaml").read_text(encoding="utf-8")))
    page = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")
    assert len(used) >= 6
    assert [name for name in used if f"`{name}`" not in page] == []
    arguments = {
        name for stage in stages().values() for name in re.findall(r"^(\w+)", "\n".join(stage.get("ARG", [])), re.M)
    }
    assert [name for name in arguments if f"| `{name}` |" not in page] == []
    assert "containers" in page_files()
