"""What AUTOMATIC1111's dialect adds to a picture: its one call against the native route's three, and the memory that a
large picture takes on its way out as base64.

With the fake engine, because what is looked for is a few milliseconds beside the seconds of a real picture.
"""

from __future__ import annotations

import base64
import json
import os
import tracemalloc

from flask import Flask

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import PROMPT, Server
from sdcpp_rest.routes.a1111.painting import pictures_answer

_MIB = 2**20
_PICTURE_BYTES = 8 * _MIB
_WANTED = {"width": 64, "height": 64, "steps": 12, "cfg_scale": 2.5}
_NATIVE = {**_WANTED, "sampler": "euler"}
_DIALECT = {**_WANTED, "prompt": PROMPT, "sampler_name": "Euler"}


def measure(options: Options) -> list[Figure]:
    return [*_calls(options), *_memory()]


def _calls(options: Options) -> list[Figure]:
    """Both ways in turn, so that whatever else the machine does meets both."""
    count = options.samples(60, 3)
    native, dialect, added = [], [], []
    with Server(options.engine) as server, server.listen() as listener, server.connect() as client:
        server.wait_loaded()
        for seed in range(count + 3):
            job_id = client.submit(seed=seed, **_NATIVE)
            sent_at = client.sent_at
            listener.wait_end(job_id)
            client.picture(job_id)
            one = client.answered_at - sent_at
            status, body = client.call("POST", "/sdapi/v1/txt2img", {**_DIALECT, "seed": seed})
            assert status == 200, body[:300]
            assert base64.b64decode(json.loads(body)["images"][0]).startswith(b"\x89PNG")
            if seed >= 3:  # the first ones also pay for imports, connections and the model's checksum
                native.append(one)
                dialect.append(client.seconds)
                added.append(client.seconds - one)
        return [
            *spread("native: POST -> completed event -> picture fetched", native, (50, 90)),
            *spread("/sdapi/v1/txt2img: POST -> picture", dialect, (50, 90)),
            *spread("the second, less the first, same seed", added, (50,), at_most={50: 5}),
            server.complaints(),
        ]


def _memory() -> list[Figure]:
    """Bytes beyond the picture's own while its answer is made and read away."""
    picture = os.urandom(_PICTURE_BYTES)
    with Flask(__name__).test_request_context():
        tracemalloc.start()
        answer = pictures_answer([picture], "images", {"parameters": {}, "info": "{}"})
        sent = sum(len(piece) for piece in answer.response)  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert sent == answer.content_length
    return [
        Figure("memory beyond an 8 MiB picture while it is sent", peak / _MIB, "MiB", at_most=16),
        Figure("  its answer's length", sent / _MIB, "MiB"),
    ]


if __name__ == "__main__":
    main("AUTOMATIC1111's dialect beside the native route", measure, default_engine="fake")
