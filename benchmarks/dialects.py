"""What the smaller dialects add to a picture: sd-server's jobs, Ollama's calls and chat completions against the native
route's three.

With the fake engine, because what is looked for is a few milliseconds beside the seconds of a real picture.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import PROMPT, Client, Listener, Server

_WANTED: dict[str, Any] = {"width": 64, "height": 64, "steps": 12}
_NATIVE = {**_WANTED, "cfg_scale": 2.5, "sampler": "euler"}
_SAMPLE_PARAMS = {"sample_steps": 12, "sample_method": "euler", "guidance": {"txt_cfg": 2.5}}


def measure(options: Options) -> list[Figure]:
    seconds: dict[str, list[float]] = {name: [] for name in ("native", *_WAYS)}
    with Server(options.engine) as server, server.listen() as listener, server.connect() as client:
        server.wait_loaded()
        for seed in range(options.samples(60, 3) + 3):
            # In turn, so that whatever else the machine does meets all.
            took = {"native": _draw_natively(client, listener, seed)}
            took |= {name: way(client, listener, seed) for name, way in _WAYS.items()}
            if seed >= 3:  # the first ones also pay for imports and connections
                for name, one in took.items():
                    seconds[name].append(one)
        figures = spread("native: POST -> completed event -> picture fetched", seconds["native"], (50, 90))
        for name in _WAYS:
            added = [one - native for one, native in zip(seconds[name], seconds["native"], strict=True)]
            figures += spread(f"{name}: less the native way, same seed", added, (50,), at_most={50: 5})
        return [*figures, server.complaints()]


def _draw_natively(client: Client, listener: Listener, seed: int) -> float:
    job_id = client.submit(seed=seed, **_NATIVE)
    sent_at = client.sent_at
    listener.wait_end(job_id)
    client.picture(job_id)
    return client.answered_at - sent_at


def _draw_as_sd_server(client: Client, listener: Listener, seed: int) -> float:
    """Its clients poll; here they wait for the end, so that it is not the pauses between polls that are measured."""
    body = {"prompt": PROMPT, "width": 64, "height": 64, "seed": seed, "sample_params": _SAMPLE_PARAMS}
    status, answer = client.call("POST", "/sdcpp/v1/img_gen", body)
    assert status == 202, answer[:300]
    sent_at, job = client.sent_at, json.loads(answer)
    listener.wait_end(job["id"])
    shown = json.loads(client.call("GET", job["poll_url"])[1])
    _check(shown["result"]["images"][0]["b64_json"])
    return client.answered_at - sent_at


def _draw_as_ollama(client: Client, listener: Listener, seed: int) -> float:
    body = {**_WANTED, "prompt": PROMPT, "seed": seed, "cfg_scale": 2.5, "stream": False}
    status, answer = client.call("POST", "/api/generate", body)
    assert status == 200, answer[:300]
    _check(json.loads(answer)["image"])
    return client.seconds


def _draw_by_chat(client: Client, listener: Listener, seed: int) -> float:
    body = {
        "size": "64x64",
        "steps": 12,
        "cfg_scale": 2.5,
        "seed": seed,
        "modalities": ["image"],
        "messages": [{"role": "user", "content": PROMPT}],
    }
    status, answer = client.call("POST", "/v1/chat/completions", body)
    assert status == 200, answer[:300]
    url = json.loads(answer)["choices"][0]["message"]["images"][0]["image_url"]["url"]
    _check(url.partition(",")[2])
    return client.seconds


_WAYS: Mapping[str, Callable[[Client, Listener, int], float]] = {
    "/sdcpp/v1/img_gen": _draw_as_sd_server,
    "/api/generate": _draw_as_ollama,
    "/v1/chat/completions": _draw_by_chat,
}


def _check(picture: str) -> None:
    assert base64.b64decode(picture).startswith(b"\x89PNG")


if __name__ == "__main__":
    main("The smaller dialects beside the native route", measure, default_engine="fake")
