"""Files are made beside the next job's compute: jobs queued at once, against the sum of their library calls.

Three lots. The bundled model computes for real, but encoding is a small share of what it takes. An engine that only
waits shows the same with a larger share, for pictures and for videos; it leaves the encoder a core that real compute
would want, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.figures import EngineName, Figure, Options, main
from benchmarks.served import PROMPT, Client, Server, cores
from tools.synthetic_models.families import path_below, write_file


def measure(options: Options) -> list[Figure]:
    drawn = {"width": 256, "height": 256, "steps": 1, "cfg_scale": 1.0, "sampler": "euler"}
    pause = 0.05 if options.quick else 0.5
    waited = {"prompt": f"{PROMPT} fake:step={pause}", "width": 1024, "height": 1024, "steps": 2}
    figures, bundled = _lot("bundled model, 256x256", options.engine, options.samples(12, 3), drawn)
    more, waiting = _lot("waiting engine, 1024x1024", "fake", options.samples(20, 3), waited)
    pause = 0.05 if options.quick else 2.0
    filmed = {"prompt": f"{PROMPT} fake:step={pause}", "width": 640, "height": 368, "video_frames": 33, "steps": 2}
    films, filming = _lot("waiting engine, video of 33 frames", "fake", options.samples(8, 3), filmed, route="/txt2vid")
    note = "one computes, one is left for the encoder" if cores() > 1 else "nothing is left for the encoder"
    return [
        *figures,
        *more,
        *films,
        Figure("cores", cores(), "cores", note=note),
        replace(
            bundled,
            value=bundled.value + waiting.value + filming.value,
            note=bundled.note or waiting.note or filming.note,
        ),
    ]


def _lot(
    name: str, engine: EngineName, count: int, fields: dict[str, Any], route: str = "/txt2img"
) -> tuple[list[Figure], Figure]:
    """``count`` jobs queued at once, from the first POST to the last completed event; and what the logs complain of."""
    with Server(engine) as server, server.listen() as listener, server.connect() as client:
        server.wait_loaded()
        # A watched preview decodes every step: it would hide how little the rest is.
        client.call("PUT", "/preview/settings", {"enabled": False})
        if route == "/txt2vid":
            _load_video_model(server, client)
        listener.wait_end(_submit(client, route, seed=count, **fields))  # pays for imports
        with server.connect() as caller:  # the first connection may have been idle for too long
            job_ids, sent_at = [], 0.0
            for seed in range(count):
                job_ids.append(_submit(caller, route, seed=seed, **fields))
                sent_at = sent_at or caller.sent_at
        ends = [listener.wait_end(job_id) for job_id in job_ids]
        assert {status for _, status in ends} == {"completed"}, ends
        with server.connect() as reader:
            timings = [reader.get(f"/queue/{job_id}")["timings"] for job_id in job_ids]
        complaints = server.complaints()
    wall = max(at for at, _ in ends) - sent_at
    native = [job["native_seconds"] for job in timings]
    encode = [job["encode_seconds"] for job in timings]
    return [
        Figure(f"{name}: wall / library calls", wall / sum(native), "x", count, at_most=1.02),
        Figure(f"{name}: the same with encoding in between", (wall + sum(encode[:-1])) / sum(native), "x",
               count, note="calculated: that of every picture but the last is added"),
        Figure(f"{name}: encoding / library calls", sum(encode) / sum(native) * 100, "%", count),
        Figure(f"{name}: library call, median", float(np.median(native)) * 1000, "ms", count),
        Figure(f"{name}: encoding, median", float(np.median(encode)) * 1000, "ms", count),
    ], complaints  # fmt: skip


def _submit(client: Client, route: str, **fields: Any) -> str:
    return str(client.post(route, {"prompt": PROMPT, **fields})["job_id"])


def _load_video_model(server: Server, client: Client) -> None:
    """A file that says it is one: an engine that only waits does not look into it."""
    models = server.folder / "models"
    for name in ("wan21", "taew2_1"):
        write_file(models, name, fill="zero")
    chosen = {"model_name": path_below(models, "wan21").name, "taesd": path_below(models, "taew2_1").name}
    client.post("/models/load", {**chosen, "model_type": "diffusion"})


if __name__ == "__main__":
    main("Encoding beside the next job's compute", measure)
