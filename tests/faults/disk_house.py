"""A house on a disk that fails: its server under the layer, what is asked of it, and what it must say."""

from __future__ import annotations

import base64
import io
import shutil
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
from PIL import Image

from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.faults import houses
from tests.faults.fault_layer import SYNC, WRITE, FaultLayer

_HELD_SECONDS = 1.0
"""How long a disk stays broken for a job that waits for it."""


class DiskHouse:
    """One server, for many faults. A context manager: the server runs inside."""

    def __init__(self, folder: Path, library: Path, findings: houses.Findings) -> None:
        root = folder / "house"
        root.mkdir(parents=True)
        self.layer = FaultLayer(folder / "layer", root, library)
        self.server = ServerProcess(root, 'engine.runner="fake"', prefix=self.layer.prefix)
        self._findings = findings
        self._accepted: list[str] = []
        self._gone: set[str] = set()
        self._may_fail: set[str] = set()
        self._answers: Counter[str] = Counter()

    def __enter__(self) -> DiskHouse:
        self.server.start()
        self._accepted.append(self._good())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        houses.end(self.server)

    def describe(self) -> str:
        """How often what came of a fault."""
        return ", ".join(f"{count} {what}" for what, count in self._answers.most_common())

    def prepare(self, work: str) -> None:
        """Have what the work needs."""
        if work == "delete":
            self._accepted.append(self._good())

    def do(self, work: str) -> None:
        """Ask for something while the disk is broken; whatever comes must be a sentence."""
        last, fields = self._accepted[-1], {"prompt": "a cat", "steps": 2, "width": 64, "height": 64}
        if work == "picture":
            self._ask("POST", "/txt2img", fields)
        elif work == "given":
            self._ask("POST", "/img2img", {**fields, "init_image_base64": _picture()})
        elif work == "retitle":
            self._ask("PATCH", f"/queue/{last}", {"title": "another"})
        elif work == "settings":
            self._ask("PUT", "/settings/recycle-bin", {"enabled": True, "retention_minutes": 60 + len(self._accepted)})
        else:
            self._gone.add(last)
            self._ask("DELETE", "/queue/jobs", {"job_ids": [last]})

    def _ask(self, method: str, path: str, body: dict[str, Any]) -> None:
        try:
            answer = requests.request(method, self.server.url + path, json=body, timeout=TIMEOUT)
            told = answer.json()
        except (OSError, ValueError, requests.RequestException) as error:
            self._findings.add("refusals and failures without a sentence", f"{method} {path}: {error}")
            return
        if answer.status_code >= 400:
            self._answers["refused"] += 1
            self._check_sentence(f"{method} {path} {answer.status_code}", told.get("error"))
        elif answer.status_code == 202:
            job_id = str(told["job_id"])
            self._accepted.append(job_id)
            self._wait_held(job_id)
        else:
            self._answers["done"] += 1

    def _wait_held(self, job_id: str) -> None:
        """Until the job has ended, or the disk was broken long enough for one that waits for it."""
        deadline = time.monotonic() + _HELD_SECONDS
        while time.monotonic() < deadline:
            try:
                status = self.server.job(job_id)["status"]
            except (OSError, requests.RequestException):
                # Nothing can be read either.
                status = "unknown"
            if status in houses.ENDS:
                return
            time.sleep(0.02)
        self._answers["waited for the disk"] += 1

    def recover(self, what: str) -> None:
        """Mend the disk; everything must end, and a good job must be done."""
        self.layer.clear()
        assert self.server.process is not None
        before = sum(self._findings.counts.values())
        if self.server.process.poll() is not None:
            self._findings.add("server deaths", what)
            raise RuntimeError(self.server.log.read_text()[-3000:])
        try:
            houses.wait_all(self.server)
        except TimeoutError as error:
            self._findings.add("jobs that never ended", f"{what}: {error}")
            raise
        for job_id, job in houses.all_jobs(self.server).items():
            if job["status"] == "failed" and job_id not in self._may_fail:
                self._may_fail.add(job_id)
                self._answers["job failed"] += 1
                self._check_sentence(what, job["error"])
            elif job_id == self._accepted[-1] and job["status"] == "completed":
                self._answers["job done"] += 1
        good = self._good()
        self._accepted.append(good)
        houses.inspect(self.server, self._findings, self._accepted, gone=self._gone, may_fail=self._may_fail)
        if sum(self._findings.counts.values()) > before:
            print(f"^ {what}", flush=True)

    def lose_folders(self) -> int:
        """Remove folders under the server; how many."""
        removed = ("data/inputs", "data/logs", "output/.spool")
        for name in removed:
            shutil.rmtree(self.server.folder / name)
            self.do("given")
            self.recover(f"{name} removed")
        shutil.rmtree(self.server.folder / "output")
        # Their files were there before somebody took them.
        self._gone |= set(self._accepted)
        taken = [job_id for job_id in self._accepted if job_id in houses.all_jobs(self.server)]
        for start in range(0, len(taken), 100):
            body = {"job_ids": taken[start : start + 100]}
            requests.delete(f"{self.server.url}/queue/jobs", json=body, timeout=TIMEOUT)
        self.do("picture")
        self.recover("output removed")
        return len(removed) + 1

    def be_slow(self) -> float:
        """Seconds for a picture where each write takes 50 ms longer."""
        self.layer.delay(WRITE | SYNC, "/*", 0.05)
        started = time.monotonic()
        self._accepted.append(self._good())
        took = time.monotonic() - started
        self.recover("a slow disk")
        return took

    def _good(self) -> str:
        job_id = self.server.submit("a good cat", steps=2, width=64, height=64)
        job = self.server.wait(job_id)
        if job["status"] != "completed":
            self._findings.add("good jobs that fail afterwards", str(job["error"]))
            self._may_fail.add(job_id)
        return job_id

    def _check_sentence(self, what: str, sentence: object) -> None:
        text = str(sentence or "")
        if len(text) < 10 or "Traceback" in text or "internal" in text.lower() or "sqlalche" in text:
            self._findings.add("refusals and failures without a sentence", f"{what}: {text!r}")


def _picture() -> str:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
