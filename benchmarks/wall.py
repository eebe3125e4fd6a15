"""What the wall between server and library costs: the same jobs in this process, and through the server.

Both draw the same pictures with one thread and end with a PNG on the disk. They take turns, so that a busy machine
slows both. "direct" is what a script without a server would do: no previews, no queue, no record.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

import sdcpp_rest
from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import PROMPT, Client, Listener, Server

_DEMO = Path(sdcpp_rest.__file__).parent / "demo"
_STEPS = 12
_LOT = 5

Draw = Callable[[int, int], bytes]
"""(seed, side in pixels) -> RGB bytes."""


def measure(options: Options) -> list[Figure]:
    figures: list[Figure] = []
    with ExitStack() as stack:
        draw = draw_with_fake() if options.engine == "fake" else draw_with_library(stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sdcpp-rest-bench-")))
        server = stack.enter_context(Server(options.engine))
        listener = stack.enter_context(server.listen())
        server.wait_loaded()
        for side, full in ((64, 20), (256, 8)):
            figures += _compare(server, listener, draw, folder, side, options.samples(full, 2))
        figures.append(server.complaints())
    return figures


def _compare(server: Server, listener: Listener, draw: Draw, folder: Path, side: int, count: int) -> list[Figure]:
    direct, served, native, different = [], [], [], 0
    for seed in range(count + 1):
        started = time.perf_counter()
        pixels = draw(seed, side)
        Image.frombytes("RGB", (side, side), pixels).save(folder / f"{seed}.png", compress_level=4)
        direct.append(time.perf_counter() - started)
        with server.connect() as client:
            started = time.perf_counter()
            job_id = submit_seed(client, seed, side)
            served.append(listener.wait_end(job_id)[0] - started)
            native.append(client.get(f"/queue/{job_id}")["timings"]["native_seconds"])
            different += pixels_of(client.picture(job_id)) != pixels
    # The first of each also pays for what is made on first use.
    ratios = [through / alone for through, alone in zip(served[1:], direct[1:], strict=True)]
    inside = [through / alone for through, alone in zip(native[1:], direct[1:], strict=True)]
    figures = [
        *spread(f"{side}x{side}: direct, library call and PNG", direct[1:], (50,)),
        *spread(f"{side}x{side}: served, POST -> completed event", served[1:], (50,)),
        *spread(f"{side}x{side}: served / direct", ratios, (50, 90), unit="x"),
        *spread(f"{side}x{side}: the server's own library call / direct", inside, (50,), unit="x",
                note="watched: previews within their budget"),
        Figure(f"{side}x{side}: pictures that differ", different, "pictures", count + 1),
    ]  # fmt: skip
    return [*figures, _lots(server, listener, draw, folder, side, max(1, count // 4))]


def _lots(server: Server, listener: Listener, draw: Draw, folder: Path, side: int, count: int) -> Figure:
    """Jobs queued at once, where the server encodes one picture beside the next one's compute."""
    ratios = []
    for lot in range(count):
        started = time.perf_counter()
        for seed in range(_LOT):
            pixels = draw(100 + lot * _LOT + seed, side)
            Image.frombytes("RGB", (side, side), pixels).save(folder / f"{seed}.png", compress_level=4)
        alone = time.perf_counter() - started
        with server.connect() as client:
            started = time.perf_counter()
            job_ids = [submit_seed(client, 100 + lot * _LOT + seed, side) for seed in range(_LOT)]
        ratios.append((max(listener.wait_end(job_id)[0] for job_id in job_ids) - started) / alone)
    return Figure(
        f"{side}x{side}: served / direct, {_LOT} queued at once, median", float(np.median(ratios)), "x", count
    )


def submit_seed(client: Client, seed: int, side: int) -> str:
    return client.submit(seed=seed, width=side, height=side, steps=_STEPS, cfg_scale=2.5, sampler="euler", eta=0.0)


def pixels_of(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as image:
        return bytes(image.convert("RGB").tobytes())


def draw_with_library(stack: ExitStack) -> Draw:
    from sdcpp_rest.native.context import Context, ContextOptions, Guidance, ImageRequest
    from sdcpp_rest.native.library import open_library

    library = open_library()
    # The library would print its log between the figures.
    library.set_log(lambda level, line: None)
    context = stack.enter_context(
        Context.load(
            ContextOptions(
                diffusion_model_path=str(_DEMO / "diffusion_models" / "demo_dit_q8_0.gguf"),
                llm_path=str(_DEMO / "llm" / "demo_llm_q4_0.gguf"),
                taesd_path=str(_DEMO / "taesd" / "demo_tae.safetensors"),
                vae_decode_only=False,
                n_threads=1,
            ),
            library,
        )
    )

    def draw(seed: int, side: int) -> bytes:
        request = ImageRequest(
            prompt=PROMPT, width=side, height=side, steps=_STEPS, guidance=Guidance(txt_cfg=2.5), sampler="euler",
            scheduler="discrete", eta=0.0, seed=seed,
        )  # fmt: skip
        return bytes(context.generate_image(request, run=seed + 1)[0].pixels)

    return draw


def draw_with_fake() -> Draw:
    import hashlib

    def draw(seed: int, side: int) -> bytes:
        # What the fake engine draws.
        return hashlib.sha256(f"{PROMPT}|{seed}|[]".encode()).digest()[:3] * (side * side)

    return draw


if __name__ == "__main__":
    main("The same jobs with and without the server", measure)
