"""What a server imports before it has answered for the first time: as little as that needs."""

from __future__ import annotations

import pytest

from benchmarks.import_watch import WatchedStart, watch_start
from benchmarks.start_imports import import_table
from tests.cases import for_each_case

MOST_MODULES = 810
"""As many as were needed when this was written, and a few. Raise it for what every server needs at its start; all
else is imported where it is used, or by a late dialect or group (docs/architecture.md)."""

NOT_AT_THE_START = {
    "numpy": "14 MiB and its threads, for tagging pictures and restoring weights",
    "gguf": "brings numpy; the engine's business",
    "PIL": "the first picture",
    "prometheus_client": "the first look at /metrics",
    "requests": "downloads alone",
    "urllib3": "downloads alone",
    "charset_normalizer": "comes with requests",
    "huggingface_hub": "downloads alone",
    "httpx": "language models, and the client",
    "yaml": "not the server's",
    "av": "videos, in the engine",
    "onnxruntime": "tagging pictures",
    "stable_diffusion_cpp": "the engine's, never the server's",
    "mcp": "the first call of a tool",
    "websockets": "the first WebSocket",
    "starlette.requests": "the first page on another address",
    "anyio": "comes with the same",
    "pickletools": "the first torch file",
    "ctypes": "the engine's, never the server's",
    "ray": "the gateway's, in a process of its own, and only with cluster.address",
    "sdcpp_rest.engine.remote": "a server with cluster.address",
    "sdcpp_rest.groups.cluster_group": "a server with cluster.address",
    "sdcpp_rest.client": "a program of its own",
    "sdcpp_rest.native.library": "the engine's, never the server's",
    "sdcpp_rest.native.build": "whoever builds the library; what it was built for is told by its stamp",
    "sdcpp_rest.services.language": "the first call to a language model",
    "sdcpp_rest.services.describing": "the first picture that is described",
    "sdcpp_rest.core.tokenizing": "the first prompt that is counted",
    "sdcpp_rest.core.prompt_language": "the first prompt",
    "sdcpp_rest.groups.submission_group": "the first job",
    "sdcpp_rest.groups.upkeep_groups": "the first look at logs and files",
    "sdcpp_rest.routes.root_pictures": "the first job",
    **{
        f"sdcpp_rest.routes.{name}": "the dialect's first request"
        for name in ("a1111", "comfyui.views", "mcp", "ollama", "openai", "sdcn", "sdserver", "swarmui")
    },
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> WatchedStart:
    return watch_start(tmp_path_factory.mktemp("start"))


@pytest.mark.slow
def test_the_start_imports_no_more_modules_than_it_may(start: WatchedStart) -> None:
    count = len(start.modules)
    assert count > 300, "the watch has seen them"
    assert count <= MOST_MODULES, f"{count} modules; the dearest:\n{import_table(start)}"


@pytest.mark.slow
@for_each_case("name", NOT_AT_THE_START)
def test_a_library_that_the_start_does_not_need_is_not_imported(start: WatchedStart, name: str) -> None:
    found = [one for one in start.modules if one.name == name or one.name.startswith(f"{name}.")]
    told = "\n".join(f"{one.name}, {one.seconds * 1000:.1f} ms, by {one.by}" for one in found)
    assert not found, f"{name} is for: {NOT_AT_THE_START[name]}; imported at the start:\n{told}"


@pytest.mark.slow
def test_the_watch_sees_what_is_imported_and_by_whom(start: WatchedStart) -> None:
    by = {one.name: one.by for one in start.modules}
    assert by["sdcpp_rest.routes.native.server.system"] == "the interpreter", "by the first request, on its thread"
    assert by["flask"].startswith("sdcpp_rest.")
    assert start.cpu_seconds > 0
    assert start.rss_bytes > 10 * 2**20
