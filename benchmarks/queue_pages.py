"""How soon `GET /queue` answers when a thousand jobs wait."""

from __future__ import annotations

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.job_overhead import pause
from benchmarks.served import ENDLESS_STEPS, PROMPT, Server


def measure(options: Options) -> list[Figure]:
    waiting, count = options.samples(1000, 20), options.samples(60, 3)
    endless = f"{PROMPT} fake:hold" if options.engine == "fake" else PROMPT
    figures: list[Figure] = []
    with Server(options.engine) as server, server.listen() as listener, server.connect() as client:
        server.wait_loaded()
        held = client.submit(prompt=endless, width=64, height=64, steps=ENDLESS_STEPS)
        listener.wait_started(held)
        jobs = [client.submit(seed=seed, width=64, height=64) for seed in range(waiting)]
        for name, path, target in (
            ("GET /queue", "/queue", 15.0),
            ("GET /queue?limit=1000", "/queue?limit=1000", None),
            ("GET of a waiting job", f"/queue/{jobs[-1]}", 15.0),
            ("GET /health", "/health", None),
        ):
            seconds = []
            for _ in range(count):
                pause()
                status, answer = client.call("GET", path)
                if status != 200:
                    raise RuntimeError(f"GET {path}: {status} {answer[:300]!r}")
                seconds.append(client.seconds)
            figures += spread(
                f"{name}, {waiting} wait", seconds, (50, 99), at_most={50: target} if target else None,
                note=f"{len(answer) / 1024:.0f} KiB",
            )  # fmt: skip
        client.call("DELETE", f"/queue/{held}")
        figures.append(server.complaints())
    return figures


if __name__ == "__main__":
    main("A queue of many jobs", measure, default_engine="fake")
