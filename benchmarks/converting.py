"""Conversion by the server beside the library's own `sd-cli`: same source, flags, file and type, in turns.

The file is made here: random weights of the largest model that needs no download. The figure is ours / theirs, of
medians: once for the library's call, once for everything a user waits for.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figures import Figure, Options, main
from benchmarks.peer_build import PeerUnavailable, peers
from benchmarks.peers import compare
from benchmarks.served import Client, Server, until

_MODEL = "wan21"
_FROM_TYPE, _TO_TYPE = "q4_0", "q8_0"


def measure(options: Options) -> list[Figure]:
    """Raises PeerUnavailable where there is nothing to compare with."""
    if options.engine == "fake":
        raise PeerUnavailable("the fake engine converts nothing that could be compared: leave --engine fake out")
    program = peers(lambda line: print(line, flush=True)).cli
    whole: list[float] = []
    native: list[float] = []
    theirs: list[float] = []
    with Server() as server, server.connect() as client:
        server.wait_loaded()
        model = _make_model(server.folder / "models")
        target = server.folder / "theirs.gguf"
        client.post("/models/refresh", {})
        print(f"{model.name}: {model.stat().st_size / 1e6:.0f} MB, {_FROM_TYPE} to {_TO_TYPE}", flush=True)
        for _ in range(options.samples(3, 1)):
            theirs.append(_by_cli(program, model, target))
            seconds, called = _by_server(client, model)
            whole.append(seconds)
            native.append(called)
        size = (model.parent / f"{model.stem}.{_TO_TYPE}.gguf").stat().st_size
        same = size == target.stat().st_size
    return [
        _judged(compare("conversion, the library's call", native, theirs, peer="sd-cli")),
        compare("conversion, from POST to the end of the job", whole, theirs, peer="sd-cli"),
        Figure("result", size / 1e6, "MB", note="as large as sd-cli's" if same else "NOT as large as sd-cli's"),
    ]


def _judged(figure: Figure) -> Figure:
    return Figure(figure.name, figure.value, figure.unit, figure.samples, at_most=1.05, note=figure.note)


def _make_model(models: Path) -> Path:
    command = [sys.executable, "-m", "tools.synthetic_models", _MODEL, "--out", str(models), "--type", _FROM_TYPE]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return max((models / "diffusion_models").glob("*.gguf"), key=lambda path: path.stat().st_size)


def _by_cli(program: Path, model: Path, target: Path) -> float:
    target.unlink(missing_ok=True)
    command = [str(program), "--mode", "convert", "--model", str(model), "--output", str(target), "--type", _TO_TYPE]
    started = time.perf_counter()
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    seconds = time.perf_counter() - started
    if ran.returncode != 0 or not target.is_file():
        raise RuntimeError(f"sd-cli ended with {ran.returncode}:\n{ran.stdout[-2000:]}")
    return seconds


def _by_server(client: Client, model: Path) -> tuple[float, float]:
    """Seconds from the POST to the end of the job, and those in the library's call."""
    started = time.perf_counter()
    job_id = client.post("/convert", {"input_path": model.name, "output_type": _TO_TYPE, "overwrite": True})["job_id"]

    def ended() -> bool:
        return client.get(f"/queue/{job_id}")["status"] in ("completed", "failed", "cancelled")

    until(ended, "the conversion did not end")
    seconds = time.perf_counter() - started
    job = client.get(f"/queue/{job_id}")
    if job["status"] != "completed":
        raise RuntimeError(f"the conversion {job['status']}: {job.get('error')}")
    return seconds, float(job["timings"]["native_seconds"])


if __name__ == "__main__":
    try:
        main("Conversion beside sd-cli", measure)
    except PeerUnavailable as unavailable:
        sys.exit(f"converting: not measured: {unavailable}.")
