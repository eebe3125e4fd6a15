"""The library's own programs as processes to measure: `sd-server` with its log stamped, `sd-cli` for one picture."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

import sdcpp_rest
from benchmarks.served import PATIENCE_SECONDS, PROMPT, Client, free_port, until

_DEMO = Path(sdcpp_rest.__file__).parent / "demo"
SIDE = 64
STEPS = 12
CFG_SCALE = 2.5
# What both programs get, word for word; the seed and the number of steps of a request come with the request.
_CONTEXT = (
    "--diffusion-model", str(_DEMO / "diffusion_models" / "demo_dit_q8_0.gguf"),
    "--llm", str(_DEMO / "llm" / "demo_llm_q4_0.gguf"),
    "--taesd", str(_DEMO / "taesd" / "demo_tae.safetensors"),
    # It walks through these folders for every POST; without a name that is the folder it was started in.
    "--lora-model-dir", str(_DEMO / "loras"), "--hires-upscalers-dir", str(_DEMO / "esrgan"),
    "--threads", "1", "--eta", "0", "--sampling-method", "euler", "--scheduler", "discrete",
)  # fmt: skip

_BEGUN = re.compile(r"- generate_image \d+x\d+")
_DONE = re.compile(r"- generate_image completed in ([\d.]+)s")
_STEP = re.compile(r"\| (\d+)/\d+ - ")


@dataclass(frozen=True)
class LibraryCall:
    """One picture as the log shows it: ``seconds`` between the arrivals of its first and last line; ``reported`` is the
    library's own figure, in hundredths of a second."""

    seconds: float
    reported: float


class LogReader:
    """Finds library calls and steps in a log whose lines come with the time of their arrival."""

    def __init__(self) -> None:
        self.calls: list[LibraryCall] = []
        self.step = 0
        self._begun_at: float | None = None

    def read(self, at: float, line: str) -> None:
        if _BEGUN.search(line):
            self._begun_at, self.step = at, 0
        elif (done := _DONE.search(line)) and self._begun_at is not None:
            self.calls.append(LibraryCall(at - self._begun_at, float(done[1])))
            self._begun_at = None
        elif found := _STEP.search(line):
            self.step = int(found[1])


class PeerServer:
    """`sd-server` on a free port with the demo model and one thread."""

    def __init__(self, program: Path) -> None:
        self.port = free_port()
        self._command = [str(program), "--listen-port", str(self.port), *_CONTEXT]
        self._reader = LogReader()
        self._arrived = threading.Condition()
        self._tail: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> PeerServer:
        """Returns when it answers, which it does when its model is loaded."""
        # Universal newlines: its progress bar ends its lines with a carriage return.
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        self._thread = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._thread.start()
        try:
            until(self._answers, "sd-server did not start")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def connect(self) -> Client:
        return Client(self.port)

    def draw(self, client: Client, seed: int) -> bytes:
        """A picture as PNG, by the one call of its API that answers with it. ``client`` has timed the call."""
        status, answer = client.call(
            "POST", "/sdapi/v1/txt2img",
            {"prompt": PROMPT, "width": SIDE, "height": SIDE, "steps": STEPS, "cfg_scale": CFG_SCALE, "seed": seed,
             "sampler_name": "euler", "scheduler": "discrete"},
        )  # fmt: skip
        if status != 200:
            raise RuntimeError(f"sd-server: {status} {answer[:300]!r}")
        return first_picture(answer)

    def submit(self, client: Client, seed: int, steps: int = STEPS) -> str:
        """Queue a picture; its job's id. ``client`` has timed the call."""
        status, answer = client.call(
            "POST", "/sdcpp/v1/img_gen",
            {"prompt": PROMPT, "width": SIDE, "height": SIDE, "seed": seed,
             "sample_params": {"sample_steps": steps, "sample_method": "euler", "scheduler": "discrete",
                               "guidance": {"txt_cfg": CFG_SCALE}}},
        )  # fmt: skip
        if status != 202:
            raise RuntimeError(f"sd-server: {status} {answer[:300]!r}")
        return str(json.loads(answer)["id"])

    def wait_call(self, number: int) -> LibraryCall:
        """The library's part in picture ``number``, counted from 0, when its last line has arrived."""
        self._wait(lambda: len(self._reader.calls) > number, f"no end of picture {number} in the log of sd-server")
        return self._reader.calls[number]

    def wait_step(self, step: int) -> None:
        self._wait(lambda: self._reader.step >= step, f"sd-server did not reach step {step}")

    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def _wait(self, look: Callable[[], bool], otherwise: str) -> None:
        with self._arrived:
            if not self._arrived.wait_for(look, PATIENCE_SECONDS):
                raise RuntimeError(otherwise)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError("sd-server ended:\n" + "".join(self._tail[-20:]))
        try:
            with self.connect() as client:
                return client.call("GET", "/")[0] == 200
        except OSError:
            return False

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            at = time.perf_counter()
            with self._arrived:
                self._tail = [*self._tail[-40:], line]
                self._reader.read(at, line)
                self._arrived.notify_all()

    def _stop(self) -> None:
        # At once: it cannot stop a picture that it draws.
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._process is not None:
            self._process.wait()
            if self._thread is not None:
                self._thread.join(10)
            with contextlib.suppress(OSError):
                if self._process.stdout is not None:
                    self._process.stdout.close()


def draw_once(program: Path, seed: int) -> tuple[float, bytes]:
    """One picture by `sd-cli`: seconds from its start to the file, and that PNG."""
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-bench-") as folder:
        path = Path(folder) / "picture.png"
        command = [
            str(program), *_CONTEXT, "--prompt", PROMPT, "--width", str(SIDE), "--height", str(SIDE),
            "--steps", str(STEPS), "--cfg-scale", str(CFG_SCALE), "--seed", str(seed), "--output", str(path),
        ]  # fmt: skip
        started = time.perf_counter()
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        seconds = time.perf_counter() - started
        if ran.returncode != 0 or not path.is_file():
            raise RuntimeError(f"sd-cli ended with {ran.returncode}:\n{ran.stdout[-2000:]}")
        return seconds, path.read_bytes()


def first_picture(answer: bytes) -> bytes:
    """The PNG in an answer of `/sdapi/v1/txt2img`."""
    body: Any = json.loads(answer)
    return base64.b64decode(body["images"][0], validate=True)
