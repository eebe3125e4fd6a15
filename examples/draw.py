"""Draw a picture through the native API: submit a job, ask how far it is, save what it made.

Needs `requests` only. usage: python draw.py [--help] "a red circle on a blue background"
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import requests

FINISHED = ("completed", "failed", "cancelled")


class Server:
    """One sdcpp-rest server; every refusal becomes a RuntimeError with the server's own sentence."""

    def __init__(self, url: str, api_key: str = "") -> None:
        self.url = url.rstrip("/")
        self.session = requests.Session()
        if api_key:
            self.session.headers["Authorization"] = f"Bearer {api_key}"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = self.session.request(method, self.url + path, timeout=60, **options)
        if not answer.ok:
            raise RuntimeError(answer.json()["error"])
        return answer

    def submit(self, prompt: str, **fields: Any) -> str:
        """Put a job into the queue; returns its id at once."""
        job = self.call("POST", "/txt2img", json={"prompt": prompt, **fields}).json()
        for warning in job.get("warnings", []):
            print(f"warning: {warning}", file=sys.stderr)
        return str(job["job_id"])

    def wait(self, job_id: str, interval_seconds: float = 0.5) -> dict[str, Any]:
        """Ask until the job is finished. A program that wants every step listens on the WebSocket instead."""
        while True:
            job: dict[str, Any] = self.call("GET", f"/queue/{job_id}").json()
            progress = job["progress"]
            print(f"{job['status']}: {progress['percentage']:.0f} % {progress['phase']}", file=sys.stderr)
            if job["status"] in FINISHED:
                return job
            time.sleep(interval_seconds)

    def save(self, job: dict[str, Any], target: Path) -> list[Path]:
        """Save the job's pictures as ``target``, further ones of a batch beside it; returns where."""
        saved = []
        for number, output in enumerate(job["outputs"]):
            path = target if number == 0 else target.with_stem(f"{target.stem}_{number}")
            path.write_bytes(self.call("GET", f"/output/{output}").content)
            saved.append(path)
        return saved


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw a picture through the native API.")
    parser.add_argument("prompt")
    parser.add_argument("--url", default=os.environ.get("SDCPP_REST_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--output", type=Path, default=Path("picture.png"))
    parser.add_argument("--steps", type=int, help="sampling steps; left out: the model's own")
    parser.add_argument("--seed", type=int, default=-1, help="the same seed draws the same picture; -1: a new one")
    options = parser.parse_args()

    server = Server(options.url, os.environ.get("SDCPP_REST_API_KEY", ""))
    fields = {"seed": options.seed, **({"steps": options.steps} if options.steps else {})}
    try:
        job = server.wait(server.submit(options.prompt, **fields))
        if job["status"] != "completed":
            raise RuntimeError(f"the job was not completed: {job.get('error', job['status'])}")
        for path in server.save(job, options.output):
            print(f"saved {path} (seed {job['seed']})")
    except (RuntimeError, requests.RequestException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
