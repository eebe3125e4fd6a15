"""A house in which things die: its server under the layer, what was asked of it, and what it must look like after each
death."""

from __future__ import annotations

import base64
import contextlib
import io
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import requests
from PIL import Image

from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.faults import houses
from tests.faults.fault_layer import ENGINE, FaultLayer, wait_until
from tests.servers.hub_server import HubServer, Repository
from tests.services.downloads.conftest import MODEL

_BY_LOSS = ("engine_crashed", "engine_lost")


@dataclass(frozen=True)
class Aim:
    """A kind of death. ``work``: what is asked for; ``role``: who dies, before or after its n-th of the ``calls`` below
    ``pattern``, n up to ``most``; no calls: at any time. ``kills_both``: the server with its engine."""

    phase: str
    work: str
    role: int
    calls: int
    pattern: str
    most: int
    kills_both: bool = False


class Stock:
    """Models to download, on a server of their own. A context manager."""

    def __enter__(self) -> Stock:
        self.hub = HubServer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hub.close()

    def add(self) -> str:
        """Offer a new model; the name of its repository."""
        name = f"org/{uuid.uuid4().hex}"
        self.hub.add(name, Repository({f"{name[4:]}.safetensors": MODEL}))
        return name


@dataclass
class _Request:
    """Something that makes one job. ``job_id`` of ``None``: nobody knows whether the server has heard it."""

    path: str
    body: dict[str, Any]
    key: str
    job_id: str | None = None


class House:
    """One server with its folders, for some deaths. A context manager: the server runs inside."""

    def __init__(
        self, folder: Path, library: Path, findings: houses.Findings, stock: Stock, *, is_native: bool = False
    ) -> None:
        root = folder / "house"
        root.mkdir(parents=True)
        self.is_native = is_native
        self.layer = FaultLayer(folder / "layer", root, library)
        self._stock = stock
        self._findings = findings
        self._asked: list[_Request] = []
        self._deleted: set[str] = set()
        self._may_fail: set[str] = set()
        self._done: dict[str, str] = {}
        hub = stock.hub
        self.server = ServerProcess(
            root,
            f'engine.runner="{"native" if is_native else "fake"}"',
            "queue.max_requeues=100", "engine.backoff_max_seconds=1",
            'downloads.allow_private_hosts=["127.0.0.1"]', f"downloads.huggingface_endpoint={hub.url}",
            'downloads.huggingface_token="hf_right"',
            prefix=self.layer.prefix,
        )  # fmt: skip

    def __enter__(self) -> House:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        houses.end(self.server)

    @property
    def server_pid(self) -> int:
        assert self.server.process is not None
        return self.server.process.pid

    def suits(self, aim: Aim) -> bool:
        """Whether this house can do what the death is to interrupt."""
        return not self.is_native or aim.work in ("picture", "given", "slow", "many")

    # --- work --------------------------------------------------------------------------------------------------------

    def prepare(self, aim: Aim) -> None:
        """What must have happened before the death is aimed at."""
        if aim.work == "held back":
            self.server.post("/queue/pause")
            self._ask_picture()
        elif aim.work in ("looked at", "deleted"):
            self.server.wait(self._ask_picture())
        self._engine, self._was_struck = self.server.engine(), False

    def begin(self, aim: Aim) -> None:
        """Ask for what the death is to interrupt. Raises OSError where the server dies meanwhile."""
        work = aim.work
        if work == "held back":
            self.server.post("/queue/resume")
        elif work == "given":
            picture = _picture()
            self._ask("/img2img", {"prompt": "a dog", "init_image_base64": picture, **self._size(2)})
        elif work == "slow":
            prompt = "a slow cat" if self.is_native else "fake:step=0.05"
            job_id = self._ask("/txt2img", {"prompt": prompt, **self._size(60 if self.is_native else 8)})
            self.server.wait(job_id, lambda job: job["status"] != "pending")
        elif work == "many":
            for _ in range(3):
                self._ask_picture(batch_count=2)
        elif work == "download":
            self._ask("/models/download", {"model_type": "lora", "repo_id": self._stock.add()})
        elif work == "conversion":
            name = f"diffusion_models/{uuid.uuid4().hex}.gguf"
            self._ask("/convert", {"input_path": "demo_dit_q8_0.gguf", "output_type": "f32", "output_path": name})
        elif work == "deleted":
            done = [job_id for job_id, job in houses.all_jobs(self.server).items() if job["status"] == "completed"]
            self._deleted.add(done[0])
            requests.delete(f"{self.server.url}/queue/jobs", json={"job_ids": done[:1]}, timeout=TIMEOUT)
            requests.delete(f"{self.server.url}/queue/{done[0]}/purge", timeout=TIMEOUT)
        else:
            self._ask_picture()

    def _size(self, steps: int) -> dict[str, int]:
        return {"width": 64, "height": 64, "steps": steps}

    def _ask_picture(self, **more: Any) -> str:
        return self._ask("/txt2img", {"prompt": f"a cat {len(self._asked)}", **self._size(2), **more})

    def _ask(self, path: str, body: dict[str, Any]) -> str:
        asked = _Request(path, body, uuid.uuid4().hex)
        self._asked.append(asked)
        return self._send(asked)

    def _send(self, asked: _Request) -> str:
        answer = requests.post(
            self.server.url + asked.path, json=asked.body, headers={"Idempotency-Key": asked.key}, timeout=TIMEOUT
        )
        assert answer.status_code in (200, 202), answer.text
        told = answer.json()
        asked.job_id = str(told.get("job_id") or told["download_job_id"])
        return asked.job_id

    # --- death -------------------------------------------------------------------------------------------------------

    def strike(self, role: int, *, kills_both: bool) -> None:
        """Kill now who is to die."""
        self._was_struck = True
        with contextlib.suppress(psutil.Error):
            if role == ENGINE:
                self._engine.kill()
            if role != ENGINE or kills_both:
                psutil.Process(self.server_pid).kill()

    def wait_death(self, aim: Aim) -> bool:
        """Until who is aimed at is dead, or all is done without that; says whether it is dead."""
        assert self.server.process is not None

        def is_dead() -> bool:
            assert self.server.process is not None
            if self.server.process.poll() is not None:
                return True
            return aim.role == ENGINE and (self.layer.hits() > 0 or houses.is_gone(self._engine))

        def is_over() -> bool:
            if is_dead():
                return True
            try:
                counts = self.server.get("/queue?limit=1")
                return counts["pending_count"] + counts["processing_count"] == 0
            except (OSError, requests.RequestException):
                return False

        wait_until(is_over, f"the death in {aim.phase}")
        if aim.work == "looked at" and not is_dead():
            # The index follows by itself.
            with contextlib.suppress(OSError):
                self.server.post("/gallery/scan", {})
        return is_dead()

    # --- afterwards --------------------------------------------------------------------------------------------------

    def recover(self, aim: Aim) -> None:
        """Bring back who has died, ask again for what was not answered, and look at everything when all is done."""
        assert self.server.process is not None
        is_server = aim.role != ENGINE or aim.kills_both
        if is_server:
            wait_until(lambda: self.server.process.poll() is not None, "the server's end")  # type: ignore[union-attr]
        # A conversion has an engine of its own.
        is_replaced = is_server or self._was_struck or aim.work != "conversion"
        if is_replaced:
            try:
                wait_until(lambda: houses.is_gone(self._engine), "the engine's end")
            except TimeoutError:
                self._findings.add("engines left alone", str(self._engine))
        if is_server and (said := houses.start(self.server)):
            self._findings.add("servers that did not start", said)
            raise RuntimeError(said)
        for asked in self._asked:
            if asked.job_id is None:
                self._send(asked)
        self.server.post("/queue/resume")
        try:
            houses.wait_all(self.server)
        except TimeoutError as error:
            self._findings.add("jobs that never ended", f"{aim}: {error}")
            raise
        # Where the engine died with everything done, the next death needs a living one.
        if is_replaced:
            wait_until(self._has_engine, "an engine")
        self._look(aim)

    def _has_engine(self) -> bool:
        health = self.server.get("/health")["engine"]
        return health["pid"] not in (None, self._engine.pid) and health["state"] not in ("dead", "starting")

    def _look(self, aim: Aim) -> None:
        before = sum(self._findings.counts.values())
        jobs = houses.all_jobs(self.server)
        for job_id, job in jobs.items():
            if job["status"] == "failed" and job_id not in self._may_fail:
                is_told = aim.role == ENGINE and job["error_code"] in _BY_LOSS
                if is_told:
                    self._findings.counts["jobs failed as their engine died"] += 1
                else:
                    sentence = f"{job['error_code']}: {job['error']}"
                    self._findings.add("jobs that failed without their engine's death", sentence)
                self._may_fail.add(job_id)
            ended = job["completed_at"]
            if ended is not None and self._done.setdefault(job_id, ended) != ended:
                self._findings.add("jobs done again", job_id)
        accepted = [asked.job_id for asked in self._asked if asked.job_id is not None]
        self._check_strangers(jobs, accepted)
        houses.inspect(self.server, self._findings, accepted, gone=self._deleted, may_fail=self._may_fail)
        if sum(self._findings.counts.values()) > before:
            print(f"^ {aim}", flush=True)

    def _check_strangers(self, jobs: dict[str, dict[str, Any]], accepted: Collection[str]) -> None:
        """A request makes one job, and a download's sum is one more."""
        strangers = [job_id for job_id, job in jobs.items() if job_id not in accepted and job["type"] != "model_hash"]
        if strangers:
            self._findings.add("jobs twice", f"{len(strangers)} that nobody has asked for: {strangers[0]}")


def _picture() -> str:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
