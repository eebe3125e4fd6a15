"""Downloads from the command line, through a server and without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.bundles import BUNDLES
from tests.cli.conftest import Run, beside
from tests.routes.conftest import ServedHouse
from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import HubServer, Repository
from tests.services.downloads.conftest import MODEL


def local(hub: HubServer | None = None) -> dict[str, Any]:
    endpoint = {"huggingface_endpoint": hub.url} if hub is not None else {}
    return {"allow_private_hosts": ["127.0.0.1"], "retry_pause_seconds": 0.001, **endpoint}


def test_the_running_server_downloads(run: Run, make_served: Callable[..., ServedHouse], web: FaultServer) -> None:
    served = make_served(downloads=local())
    web.add("/style.safetensors", MODEL)
    result = run("download", f"{web.url}/style.safetensors", "--type", "lora", *beside(served))
    path = served.runtime.config.paths.models_dir / "loras" / "style.safetensors"
    assert (result.exit_code, result.stdout) == (0, f"saved {path}\n"), result.output
    assert path.read_bytes() == MODEL
    again = run("download", f"{web.url}/style.safetensors", "--type", "lora", *beside(served))
    assert again.exit_code == 1
    assert "exists already" in again.output


@pytest.mark.slow
def test_it_works_without_a_server(run: Run, alone: tuple[str, ...], web: FaultServer, tmp_path: Path) -> None:
    web.add("/style.safetensors", MODEL)
    options = ("--set", 'downloads.allow_private_hosts=["127.0.0.1"]', "--name", "mine.safetensors", "--subfolder", "x")
    result = run("download", f"{web.url}/style.safetensors", "--type", "lora", *options, *alone, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model_name"] == "x/mine.safetensors"
    assert (tmp_path / "alone" / "models" / "loras" / "x" / "mine.safetensors").read_bytes() == MODEL


@pytest.mark.slow
def test_a_bundle_is_downloaded_as_a_whole_and_says_how_to_load_it(
    run: Run, make_served: Callable[..., ServedHouse], hub: HubServer
) -> None:
    served = make_served(downloads=local(hub))
    for file in BUNDLES["z-image-turbo"].for_memory(8).files:
        repository = hub.repositories.get(file.repo) or Repository({})
        repository.files[file.file] = MODEL
        hub.add(file.repo, repository)
    folder = served.runtime.config.paths.models_dir
    (folder / "vae").mkdir(parents=True)
    (folder / "vae" / "ae.safetensors").write_bytes(MODEL)
    result = run("download", "--bundle", "z-image-turbo", "--memory", "8", *beside(served), "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [one["status"] for one in told["files"]] == ["saved", "saved", "already there"]
    assert told["files"][0]["licence"] == "apache-2.0"
    assert told["load"]["model_type"] == "diffusion"
    assert told["load"]["vae"] == "ae.safetensors"
    assert (folder / "diffusion_models" / told["load"]["model_name"]).read_bytes() == MODEL
    assert (folder / "llm" / told["load"]["llm"]).is_file()
    plain = run("download", "--bundle", "z-image-turbo", "--memory", "8", *beside(served))
    assert plain.exit_code == 0
    assert plain.stdout.count("already there") == 3


def test_a_download_that_fails_says_why(run: Run, make_served: Callable[..., ServedHouse], hub: HubServer) -> None:
    served = make_served(downloads=local(hub))
    hub.add("org/styles", Repository({"style.safetensors": MODEL}, sums={"style.safetensors": "0" * 64}))
    result = run("download", "org/styles", "--type", "lora", *beside(served))
    assert result.exit_code == 1
    assert "not what was promised" in result.output


def test_bundles_are_listed(run: Run) -> None:
    result = run("download", "--list")
    assert result.exit_code == 0
    assert "z-image-turbo" in result.stdout
    assert [one["id"] for one in json.loads(run("download", "--list", "--json").stdout)] == [*BUNDLES]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--bundle"),
        (("org/name", "--bundle", "sd-turbo"), "--bundle"),
        (("org/name",), "--type"),
        (("--bundle", "nothing"), "there are sd-turbo"),
    ],
)
def test_odd_commands_are_explained(run: Run, alone: tuple[str, ...], arguments: tuple[str, ...], words: str) -> None:
    result = run("download", *arguments, *alone)
    assert result.exit_code != 0
    assert words in result.output
