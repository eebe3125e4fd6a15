"""How soon a running job stops when it is cancelled, in that run's own sampling steps, and what fifty cancels leave."""

from __future__ import annotations

import random
import time
from typing import Any

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import ENDLESS_STEPS, PROMPT, Client, Listener, Server

_MIB = 2**20


def measure(options: Options) -> list[Figure]:
    count = options.samples(50, 3)
    fake = options.engine == "fake"
    endless: dict[str, Any] = {"prompt": f"{PROMPT} fake:step=0.02" if fake else PROMPT, "steps": ENDLESS_STEPS}
    in_steps, in_seconds, step_seconds, rss = [], [], [], []
    with Server(options.engine) as server, server.listen() as listener, server.connect() as client:
        server.wait_loaded()
        engine = server.engine()
        before = _picture(client, listener)
        for _ in range(count):
            job_id = client.submit(width=64, height=64, **endless)
            told = listener.wait_step(job_id, 8)
            # At any moment of a step, not just after one.
            time.sleep(random.uniform(0, 0.1))
            status, answer = client.call("DELETE", f"/queue/{job_id}")
            assert status == 200, answer
            asked_at = client.sent_at
            ended_at, ended = listener.wait_end(job_id)
            assert ended == "cancelled", ended
            (first_at, first), (last_at, last) = told[0], told[-1]
            step_seconds.append((last_at - first_at) / (last - first))
            in_seconds.append(ended_at - asked_at)
            in_steps.append(in_seconds[-1] / step_seconds[-1])
            rss.append(engine.memory_info().rss / _MIB)
        unstepped = [_before_sampling(client, listener, endless) for _ in range(options.samples(10, 1))]
        after = _picture(client, listener)
        health = client.get("/health")
        restarts: int = health["engine"]["restarts"] + (health["engine"]["pid"] != engine.pid)
        warm = min(5, count - 1)
        left = list((server.folder / "output" / ".spool").iterdir())
        return [
            *spread("DELETE -> cancelled event, in steps", in_steps, (50, 90, 100), unit="steps", at_most={100: 1.5}),
            *spread("DELETE -> cancelled event", in_seconds, (50, 90, 100)),
            *spread("one step of those runs", step_seconds, (50, 100)),
            *spread("the same, while the prompt is encoded", unstepped, (50, 100), note="no step to stop at yet"),
            Figure(f"engine RSS after {warm} cancels", rss[warm - 1], "MiB"),
            Figure(f"engine RSS after {count} cancels", rss[-1], "MiB", note=f"{rss[-1] - rss[warm - 1]:+.2f} MiB"),
            Figure("next picture differs from the first", float(before != after), "pictures", note="0: same bytes"),
            Figure("engine restarts", restarts, "restarts"),
            Figure("folders left in the spool", len(left), "folders"),
            server.complaints(),
        ]  # fmt: skip


def _before_sampling(client: Client, listener: Listener, endless: dict[str, Any]) -> float:
    """Seconds from DELETE to the event for a job that does not sample yet. The library encodes prompts in one go."""
    job_id = client.submit(width=64, height=64, **endless)
    listener.wait_started(job_id)
    time.sleep(random.uniform(0, 0.1))
    client.call("DELETE", f"/queue/{job_id}")
    asked_at = client.sent_at
    return listener.wait_end(job_id)[0] - asked_at


def _picture(client: Client, listener: Listener) -> bytes:
    job_id = client.submit(width=64, height=64, seed=9, steps=4)
    listener.wait_end(job_id)
    return client.picture(job_id)


if __name__ == "__main__":
    main("Cancelling a running job", measure)
