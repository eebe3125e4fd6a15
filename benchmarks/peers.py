"""Ours beside the library's own programs, `sd-server` and `sd-cli`: the same source, flags, model, seeds and one thread.

They take turns, so that a busy machine slows all of them. The figure is ours / theirs; the note has both, median (least-most).
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import psutil
from PIL import Image

from benchmarks.figures import Figure, Options, main
from benchmarks.job_overhead import pause
from benchmarks.peer_build import Peers, PeerUnavailable, peers
from benchmarks.peer_served import CFG_SCALE, SIDE, STEPS, PeerServer, draw_once
from benchmarks.served import ENDLESS_STEPS, Client, Server
from sdcpp_rest.native.build import reason_to_build

# The first of a row also pays for imports, connections and what is made on first use.
_WARM_UP = 2
_MIB = 2**20


def measure(options: Options) -> list[Figure]:
    """Raises PeerUnavailable where there is nothing to compare with."""
    if options.engine == "fake":
        raise PeerUnavailable("the fake engine computes nothing that could be compared: leave --engine fake out")
    programs = peers(lambda line: print(line, flush=True))
    print(f"sd-server and sd-cli: {programs.server.parent} ({' '.join(programs.flags)})", flush=True)
    if (reason := reason_to_build()) is not None:
        print(f"not the same build: {reason}", flush=True)
    return [*_start(programs, options), *_jobs(programs, options), *_busy(programs, options)]


def compare(
    name: str, ours: Sequence[float], theirs: Sequence[float], *, peer: str = "sd-server", unit: str = "ms"
) -> Figure:
    """Ratio of the two medians. With ``unit`` "ms" the samples are seconds; those of another unit stay as they are."""
    factor = 1000.0 if unit == "ms" else 1.0
    sides = {"ours": np.asarray(ours) * factor, peer: np.asarray(theirs) * factor}
    note = ", ".join(
        f"{who} {_short(float(np.median(seen)))} {unit}"
        + (f" ({_short(float(seen.min()))}-{_short(float(seen.max()))})" if len(seen) > 1 else "")
        for who, seen in sides.items()
    )
    # Both are differences of clocks somewhere: a median of nothing at all must not end the run.
    under = max(float(np.median(sides[peer])), 1e-6)
    return Figure(
        f"{name}: ours / {peer}", float(np.median(sides["ours"])) / under, "x", min(len(ours), len(theirs)), note=note
    )


def differing(pictures: Sequence[Sequence[bytes]]) -> int:
    """How many rows of PNGs do not hold the same pixels all along."""
    return sum(len({pixels(png) for png in row}) > 1 for row in pictures)


def pixels(png: bytes) -> tuple[tuple[int, int], bytes]:
    """(width, height) and the RGB bytes: the programs write different metadata and compress differently."""
    with Image.open(io.BytesIO(png)) as image:
        return image.size, bytes(image.convert("RGB").tobytes())


def _start(programs: Peers, options: Options) -> list[Figure]:
    """From the start of a process, its model on the disk, to the bytes of its first picture."""
    ours, theirs, one_shot, pictures = [], [], [], []
    for seed in range(options.samples(6, 1) + 1):
        started = time.perf_counter()
        with Server() as server, server.listen() as listener, server.connect() as client:
            job_id = _submit(client, seed)
            listener.wait_end(job_id)
            row = [client.picture(job_id)]
            ours.append(client.answered_at - started)
        started = time.perf_counter()
        with PeerServer(programs.server) as peer, peer.connect() as client:
            row.append(peer.draw(client, seed))
            theirs.append(client.answered_at - started)
        seconds, png = draw_once(programs.cli, seed)
        one_shot.append(seconds)
        pictures.append([*row, png])
    return [
        compare("start to first picture", ours[1:], theirs[1:]),
        compare("start to first picture", ours[1:], one_shot[1:], peer="sd-cli"),
        Figure("first pictures that differ, all three", differing(pictures), "pictures", len(pictures)),
    ]


def _jobs(programs: Peers, options: Options) -> list[Figure]:
    """One job at a time, both servers otherwise idle; then what their processes weigh."""
    count = options.samples(60, 2)
    added_event, added_picture, added_peer = [], [], []
    native, native_peer, wall, wall_peer, pictures = [], [], [], [], []

    def draw_ours(seed: int) -> bytes:
        with server.connect() as client:
            job_id = _submit(client, seed)
            sent_at = client.sent_at
            ended_at = listener.wait_end(job_id)[0]
            png = client.picture(job_id)
            in_hand_at = client.answered_at
            inside = float(client.get(f"/queue/{job_id}")["timings"]["native_seconds"])
        added_event.append(ended_at - sent_at - inside)
        added_picture.append(in_hand_at - sent_at - inside)
        native.append(inside)
        wall.append(in_hand_at - sent_at)
        return png

    def draw_theirs(seed: int) -> bytes:
        with peer.connect() as client:
            png = peer.draw(client, seed)
            seconds = client.seconds
        inside = peer.wait_call(seed).seconds
        added_peer.append(seconds - inside)
        native_peer.append(inside)
        wall_peer.append(seconds)
        return png

    with ExitStack() as stack:
        server = stack.enter_context(Server())
        listener = stack.enter_context(server.listen())
        peer = stack.enter_context(PeerServer(programs.server))
        server.wait_loaded()
        for seed in range(count + _WARM_UP):
            # A B B A: whoever comes second must not always be the same.
            turns = (draw_ours, draw_theirs) if seed % 2 == 0 else (draw_theirs, draw_ours)
            pictures.append([turn(seed) for turn in turns])
        weight = compare(
            f"memory after {len(pictures)} pictures, all processes",
            [_resident(server.process(), server.engine())], [_resident(peer.process())], unit="MiB",
        )  # fmt: skip
        kept = slice(_WARM_UP, None)
        return [
            compare("POST -> finished (event / answer), less library", added_event[kept], added_peer[kept]),
            compare("POST -> picture in hand, less library", added_picture[kept], added_peer[kept]),
            compare("POST -> picture in hand", wall[kept], wall_peer[kept]),
            compare("  of that: the library's call", native[kept], native_peer[kept]),
            Figure(f"pictures that differ, {SIDE}x{SIDE}", differing(pictures), "pictures", len(pictures)),
            weight,
            Figure("  of ours: the server's process", server.process().memory_info().rss / _MIB, "MiB"),
            Figure("  of ours: the engine's process", server.engine().memory_info().rss / _MIB, "MiB"),
            server.complaints(),
        ]


def _busy(programs: Peers, options: Options) -> list[Figure]:
    """Calls to a server whose engine computes, with one thread, a picture that does not end. One server at a time."""
    count = options.samples(40, 3)
    gets: tuple[list[float], list[float]] = ([], [])
    looks: tuple[list[float], list[float]] = ([], [])
    posts: tuple[list[float], list[float]] = ([], [])
    for _ in range(options.samples(4, 1)):
        with Server() as server, server.listen() as listener, server.connect() as client:
            endless = _submit(client, 0, ENDLESS_STEPS)
            listener.wait_step(endless, 3)
            for seed in range(count):
                gets[0].append(_seconds(client, "GET", "/health"))
                looks[0].append(_seconds(client, "GET", f"/queue/{endless}"))
                pause()
                job_id = _submit(client, seed)
                posts[0].append(client.seconds)
                client.call("POST", f"/queue/{job_id}/cancel")
        with PeerServer(programs.server) as peer, peer.connect() as client:
            endless = peer.submit(client, 0, ENDLESS_STEPS)
            peer.wait_step(3)
            for seed in range(count):
                gets[1].append(_seconds(client, "GET", "/"))
                looks[1].append(_seconds(client, "GET", f"/sdcpp/v1/jobs/{endless}"))
                pause()
                job_id = peer.submit(client, seed, STEPS)
                posts[1].append(client.seconds)
                client.call("POST", f"/sdcpp/v1/jobs/{job_id}/cancel")
    return [
        compare("busy: GET /health (theirs: GET /)", *gets),
        compare("busy: GET of the running job", *looks),
        compare("busy: POST of a job", *posts),
    ]


def _submit(client: Client, seed: int, steps: int = STEPS) -> str:
    return client.submit(
        seed=seed, width=SIDE, height=SIDE, steps=steps, cfg_scale=CFG_SCALE, sampler="euler", scheduler="discrete",
        eta=0.0,
    )  # fmt: skip


def _seconds(client: Client, method: str, path: str) -> float:
    pause()
    status, answer = client.call(method, path)
    if status != 200:
        raise RuntimeError(f"{method} {path}: {status} {answer[:300]!r}")
    return client.seconds


def _resident(*processes: psutil.Process) -> float:
    """MiB of these and all their children; a page that two of them share counts twice."""
    family = {each.pid: each for process in processes for each in (process, *process.children(recursive=True))}
    return sum(each.memory_info().rss for each in family.values()) / _MIB


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


if __name__ == "__main__":
    try:
        main("Ours beside the library's own programs", measure)
    except PeerUnavailable as unavailable:
        sys.exit(f"peers: not measured: {unavailable}.")
