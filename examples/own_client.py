"""Draw a picture with the project's own client: progress and previews as they come, and the file in the end.

usage: python own_client.py "a red circle on a blue background" circle.png
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sdcpp_rest.client import Client, ClientError
from sdcpp_rest.core.events import JobPreview, JobProgress


def main() -> int:
    prompt, target = sys.argv[1], Path(sys.argv[2])
    url = os.environ.get("SDCPP_REST_URL", "http://127.0.0.1:8080")
    try:
        with Client(url, os.environ.get("SDCPP_REST_API_KEY")) as client:
            job = client.txt2img(prompt=prompt, steps=int(os.environ.get("STEPS", "20")))
            for event in job.events():
                if isinstance(event, JobProgress):
                    print(f"{event.phase}: {event.percentage:.0f} %", file=sys.stderr)
                elif isinstance(event, JobPreview):
                    target.with_suffix(".preview.jpg").write_bytes(event.jpeg)
            done = job.result()
            for number, path in enumerate(done.outputs):
                place = target if number == 0 else target.with_stem(f"{target.stem}_{number}")
                print(f"saved {client.save_output(path, place)} (seed {done.shown['seed']})")
    except (ClientError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
