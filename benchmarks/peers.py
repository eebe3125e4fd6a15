"""Ours beside the library's own programs, `sd-server` and `sd-cli`: same source, flags, model and seeds, one thread.

They take turns, so that a busy machine slows all of them. The figure is ours / theirs, of medians; the note has both,
as median (least-most).
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

import numpy as np
import psutil
from PIL import Image

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.job_overhead import pause
from benchmarks.peer_build import Peers, PeerUnavailable, peers
from benchmarks.peer_served import CFG_SCALE, SIDE, STEPS, PeerServer, draw_once
from benchmarks.served import ENDLESS_STEPS, Client, Listener, Server
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
        print(f"our library may be another build: {reason}", flush=True)
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
    answering, ready, theirs_ready = [], [], []
    for seed in range(options.samples(5, 1) + 1):
        started = time.perf_counter()
        with Server() as server, server.listen() as listener, server.connect() as client:
            answering.append(server.start_seconds)
            # As theirs, which does not answer before.
            server.wait_loaded()
            ready.append(time.perf_counter() - started)
            job_id = _submit(client, seed)
            listener.wait_end(job_id)
            row = [client.picture(job_id)]
            ours.append(client.answered_at - started)
        started = time.perf_counter()
        with PeerServer(programs.server) as peer, peer.connect() as client:
            theirs_ready.append(time.perf_counter() - started)
            row.append(peer.draw(client, seed))
            theirs.append(client.answered_at - started)
        seconds, png = draw_once(programs.cli, seed)
        one_shot.append(seconds)
        pictures.append([*row, png])
    return [
        *spread("start to the first answer of /health, ours", answering[1:], (50,), unit="s", at_most={50: 0.6}),
        compare("start to model ready", ready[1:], theirs_ready[1:]),
        compare("start to first picture", ours[1:], theirs[1:]),
        compare("start to first picture", ours[1:], one_shot[1:], peer="sd-cli"),
        Figure("first pictures that differ, all three", differing(pictures), "pictures", len(pictures)),
    ]


@dataclass(frozen=True)
class _Drawn:
    """One picture: seconds from the POST until it was said to be finished, until it was here; and in the library."""

    png: bytes
    told: float
    here: float
    inside: float


def _jobs(programs: Peers, options: Options) -> list[Figure]:
    """One job at a time, both servers otherwise idle; then what their processes weigh."""
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        listener = stack.enter_context(server.listen())
        peer = stack.enter_context(PeerServer(programs.server))
        server.wait_loaded()
        ours, theirs = [], []
        for seed in range(options.samples(30, 2) + _WARM_UP):
            # A B B A: whoever comes second must not always be the same.
            if seed % 2 == 0:
                ours.append(_draw_ours(server, listener, seed))
                theirs.append(_draw_theirs(peer, seed))
            else:
                theirs.append(_draw_theirs(peer, seed))
                ours.append(_draw_ours(server, listener, seed))
        count = len(ours)
        weight = _resident(server.process(), server.engine())
        queued_weight = _weight_by_queue(programs, count)
        different = differing([[one.png, other.png] for one, other in zip(ours, theirs, strict=True)])
        ours, theirs = ours[_WARM_UP:], theirs[_WARM_UP:]
        return [
            compare("added per job, POST -> finished", [d.told - d.inside for d in ours],
                    [d.told - d.inside for d in theirs]),
            compare("added per job, POST -> picture here", [d.here - d.inside for d in ours],
                    [d.here - d.inside for d in theirs]),
            compare("whole job, POST -> picture here", [d.here for d in ours], [d.here for d in theirs]),
            compare("  of that: the library's call", [d.inside for d in ours], [d.inside for d in theirs]),
            Figure(f"pictures that differ, {SIDE}x{SIDE}", different, "pictures", count),
            compare(f"memory after {count} pictures, theirs one call each", [weight], [_resident(peer.process())],
                    unit="MiB"),
            compare(f"memory after {count} pictures, theirs by its queue", [weight], [queued_weight], unit="MiB"),
            Figure("  of ours: the server's process", server.process().memory_info().rss / _MIB, "MiB"),
            Figure("  of ours: the engine's process", server.engine().memory_info().rss / _MIB, "MiB"),
            server.complaints(),
        ]  # fmt: skip


def _draw_ours(server: Server, listener: Listener, seed: int) -> _Drawn:
    with server.connect() as client:
        job_id = _submit(client, seed)
        sent_at = client.sent_at
        told_at, status = listener.wait_end(job_id)
        png = client.picture(job_id)
        here_at = client.answered_at
        if status != "completed":
            raise RuntimeError(f"job {job_id} {status}")
        inside = float(client.get(f"/queue/{job_id}")["timings"]["native_seconds"])
    return _Drawn(png, told_at - sent_at, here_at - sent_at, inside)


def _draw_theirs(peer: PeerServer, seed: int) -> _Drawn:
    """Its answer says that it is finished and holds the picture."""
    with peer.connect() as client:
        png = peer.draw(client, seed)
        return _Drawn(png, client.seconds, client.seconds, peer.wait_call(seed).seconds)


def _weight_by_queue(programs: Peers, count: int) -> float:
    """MiB of their server when one thread of it has drawn all pictures; a waiting call draws on any of many."""
    with PeerServer(programs.server) as peer:
        for seed in range(count):
            with peer.connect() as client:
                peer.submit(client, seed)
            peer.wait_call(seed)
        return _resident(peer.process())


def _busy(programs: Peers, options: Options) -> list[Figure]:
    """Calls to a server whose engine computes, with one thread, a picture that does not end. One server at a time."""
    count = options.samples(30, 2)
    ours, theirs = _Calls(), _Calls()
    for _ in range(options.samples(4, 1)):
        with Server() as server, server.listen() as listener:
            server.wait_loaded()
            with server.connect() as client:
                endless = _submit(client, 0, ENDLESS_STEPS)
            listener.wait_step(endless, 3)
            ours.make(server.connect, "/health", f"/queue/{endless}", _submit, "/queue/{}/cancel", count)
        with PeerServer(programs.server) as peer:
            with peer.connect() as client:
                endless = peer.submit(client, 0, ENDLESS_STEPS)
            peer.wait_step(3)
            looked = f"/sdcpp/v1/jobs/{endless}"
            theirs.make(peer.connect, "/", looked, peer.submit, "/sdcpp/v1/jobs/{}/cancel", count)
    return [compare(name, ours.seconds[name], theirs.seconds[name]) for name in ours.seconds]


class _Calls:
    """Seconds of calls to one busy server, by what is called and by whether the connection is there already."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def make(
        self,
        connect: Callable[[], Client],
        cheapest: str,
        running_job: str,
        submit: Callable[[Client, int], str],
        cancel: str,
        count: int,
    ) -> None:
        """``count`` rounds. ``cancel``: the path that takes a submitted job back, so that no queue fills; not timed."""
        with connect() as kept:
            for seed in range(count):
                for manner in ("new connection", "kept connection"):
                    for name, path in (
                        ("GET /health (theirs: GET /)", cheapest),
                        ("GET of the running job", running_job),
                    ):
                        with connect() if manner == "new connection" else nullcontext(kept) as client:
                            self._note(f"busy, {manner}: {name}", _get(client, path))
                    pause()
                    with connect() if manner == "new connection" else nullcontext(kept) as client:
                        job_id = submit(client, seed)
                        self._note(f"busy, {manner}: POST of a job", client.seconds)
                        client.call("POST", cancel.format(job_id))

    def _note(self, name: str, seconds: float) -> None:
        self.seconds.setdefault(name, []).append(seconds)


def _submit(client: Client, seed: int, steps: int = STEPS) -> str:
    return client.submit(
        seed=seed, width=SIDE, height=SIDE, steps=steps, cfg_scale=CFG_SCALE, sampler="euler", scheduler="discrete",
        eta=0.0,
    )  # fmt: skip


def _get(client: Client, path: str) -> float:
    pause()
    status, answer = client.call("GET", path)
    if status != 200:
        raise RuntimeError(f"GET {path}: {status} {answer[:300]!r}")
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
