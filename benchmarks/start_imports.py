"""What the start of a server imports, and what the first request of each dialect costs because it imports the dialect.

The dearest libraries and modules are printed above the table.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figures import Figure, Options, main
from benchmarks.import_watch import WatchedStart, watch_start
from benchmarks.served import Client, Server, complaints

_MIB = 2**20
_SHOWN = 40
FIRST_REQUESTS = {
    "native: a job that is refused": ("POST", "/txt2img"),
    "native: queue": ("GET", "/queue/nothing"),
    "native: models": ("GET", "/models"),
    "AUTOMATIC1111": ("GET", "/sdapi/v1/samplers"),
    "ComfyUI": ("GET", "/object_info"),
    "SwarmUI": ("POST", "/API/GetNewSession"),
    "OpenAI": ("GET", "/v1/models"),
    "sd-server": ("GET", "/sdcpp/v1/capabilities"),
    "Ollama": ("GET", "/api/tags"),
    "SDCN": ("GET", "/api/user/public-api-key"),
    "the page": ("GET", "/ui/"),
}


def measure(options: Options) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-bench-") as name:
        folder = Path(name)
        watch_start(folder / "first")
        start = watch_start(folder / "second")
        print(import_table(start), flush=True)
        own = [one for one in start.modules if one.name.split(".")[0] == "sdcpp_rest"]
        figures = [
            Figure("modules imported at the start", len(start.modules), "modules", at_most=810),
            Figure("of these the project's own", len(own), "modules"),
            Figure("CPU time of imports", sum(one.seconds for one in start.modules), "s", note="watched: some more"),
            Figure("CPU time to the first answer of /health", start.cpu_seconds, "s"),
            Figure("server RSS then, without an engine", start.rss_bytes / _MIB, "MiB", at_most=80),
            complaints(tuple(folder.glob("second/data/**/*.log"))),
        ]
    return [*figures, *_first_requests(options)]


def import_table(start: WatchedStart, shown: int = _SHOWN) -> str:
    """The dearest modules, and what each library costs as a whole."""
    libraries: dict[str, float] = {}
    for one in start.modules:
        library = one.name.split(".")[0]
        libraries[library] = libraries.get(library, 0) + one.seconds
    dearest = sorted(libraries.items(), key=lambda one: -one[1])[:shown]
    lines = [f"{seconds * 1000:8.1f} ms  {name}" for name, seconds in dearest]
    lines += ["  of single modules, by themselves:"]
    lines += [f"{one.seconds * 1000:8.1f} ms  {one.name} (by {one.by})" for one in start.modules[:shown]]
    return "\n".join(lines)


def _first_requests(options: Options) -> list[Figure]:
    """Each in a server that had no other request before: two dialects may share what they import."""
    figures = []
    for name, (method, path) in list(FIRST_REQUESTS.items())[: options.samples(len(FIRST_REQUESTS), 2)]:
        with Server(options.engine) as server, server.connect() as client:
            server.wait_loaded()
            cold, warm = (_seconds(client, method, path) for _ in range(2))
        figures.append(Figure(f"first request, {name}", cold * 1000, "ms", note=f"the second one {warm * 1000:.1f}"))
    return figures


def _seconds(client: Client, method: str, path: str) -> float:
    client.call(method, path)
    return client.seconds


if __name__ == "__main__":
    main("Imports of the start, and first requests", measure, default_engine="fake")
