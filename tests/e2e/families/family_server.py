"""A server on synthetic models: a family is written, loaded, drawn with over HTTP, and removed again.

Model files lie inside the checkout and are gone when the module's tests are over. Large ones go with their test, and
only one process at a time has the largest, so that all of them together stay below 2 GB.
"""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tests.e2e.conftest import ServerProcess
from tools.synthetic_models.families import FAMILIES, files_of, path_below, weight_bytes, write_file

SCRATCH = Path(__file__).parents[3] / "build" / "synthetic_models"
ALL_FAMILIES = "SDCPP_REST_ALL_FAMILIES"
"""Set this variable to run the families that need gigabytes or minutes, too."""
TABLE = "SDCPP_REST_FAMILY_TABLE"
"""Set this variable to a file, and every family that was tried adds its row to the Markdown table there."""

every_family = pytest.mark.skipif(not os.environ.get(ALL_FAMILIES), reason=f"only with {ALL_FAMILIES}=1")

_KEPT_BYTES = 50_000_000
_ALONE_BYTES = 200_000_000
_SAMPLED = re.compile(r"sampling(?:\(high noise\))? completed, taking ([\d.]+)s")
_HEADING = "| family | files MB | load s | step s | result |\n|---|---|---|---|---|\n"

Pixels = NDArray[np.uint8]


class FamilyServer(ServerProcess):
    """A server whose models folder holds what a test asks for."""

    patience_seconds = 120.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "models.include_demo=false")
        self.models = folder / "models"
        self.load_seconds = 0.0
        self.step_seconds = 0.0
        self._alone = FileLock(SCRATCH / "alone.lock")

    def start(self) -> FamilyServer:
        super().start()
        self.until(lambda: self.get("/health"), lambda health: health["engine"]["library_version"])
        return self

    @contextmanager
    def stocked(self, *names: str) -> Iterator[None]:
        """With the files of these families, and these single files, in the models folder."""
        files = files_of(names)
        large = [name for name in files if weight_bytes(name) > _KEPT_BYTES]
        with ExitStack() as stack:
            if sum(weight_bytes(name) for name in large) > _ALONE_BYTES:
                stack.enter_context(self._alone)
            stack.callback(self._remove, large)
            for name in files:
                if not path_below(self.models, name).exists():
                    write_file(self.models, name)
            assert self.post("/models/refresh").status_code in (200, 404)
            yield

    def _remove(self, names: Sequence[str]) -> None:
        if not names:
            return
        # Mapped into the engine, a removed file would keep its disk.
        assert self.post("/models/unload", {"force": True}).status_code == 200
        for name in names:
            path_below(self.models, name).unlink(missing_ok=True)

    def name_of(self, file: str) -> str:
        """What the server calls a file: its name in the folder of its type; PhotoMaker has no such folder."""
        path = path_below(self.models, file)
        return path.relative_to(self.models).as_posix() if path.parent.name == "photo_maker" else path.name

    def load(self, name: str, *, options: dict[str, Any] | None = None, **components: str) -> requests.Response:
        """Ask for a family, by the roles that it names and those given here."""
        family = FAMILIES[name]
        named = {role: self.name_of(file) for role, file in {**family.components, **components}.items()}
        body = {
            "model_name": self.name_of(family.model),
            "model_type": family.kind,
            "options": {"vae_decode_only": not family.encodes, **(options or {})},
            **named,
        }
        return self.post("/models/load", body)

    def load_family(self, name: str, *, options: dict[str, Any] | None = None, **components: str) -> dict[str, Any]:
        """Load, and look at what the server says of it: our verdict and the library's are the same."""
        began = self._engine_log_bytes()
        answer = self.load(name, options=options, **components)
        assert answer.status_code == 200, answer.text
        loaded: dict[str, Any] = answer.json()
        self.load_seconds = loaded["load_seconds"]
        health = self.get("/health")
        assert health["model_loaded"], health
        assert health["model_name"] == self.name_of(FAMILIES[name].model)
        assert loaded["model_architecture"] == health["model_architecture"] == FAMILIES[name].version
        assert "unknown tensor" not in self._engine_log(began), "a synthetic file holds what the library does not know"
        return loaded

    def run(self, route: str, **fields: Any) -> dict[str, Any]:
        """Submit a job and wait until it is completed; answers its record."""
        began = self._engine_log_bytes()
        body = {"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 1, "cfg_scale": 1.0, "seed": 1, **fields}
        body.setdefault("sampler", "euler")
        answer = self.post(route, body)
        assert answer.status_code == 202, answer.text
        job = self.wait(answer.json()["job_id"])
        assert job["status"] == "completed", (job, self._engine_log(began)[-4000:])
        sampled = [float(found) for found in _SAMPLED.findall(self._engine_log(began))]
        self.step_seconds = sum(sampled) / max(1, body["steps"] * len(sampled))
        return job

    def draw(self, route: str = "/txt2img", **fields: Any) -> Pixels:
        """The first picture of such a job."""
        return self.pixels(self.run(route, **fields))

    def refusal(self, route: str, **fields: Any) -> str:
        """What is said where this cannot be done, be it at once or when the library stops. The engine must live on."""
        pid = self.engine().pid
        answer = self.post(route, {"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 2, **fields})
        if answer.status_code == 202:
            job = self.wait(answer.json()["job_id"])
            assert job["status"] == "failed", job
            sentence = job["error"]
        else:
            assert answer.status_code == 400, answer.text
            sentence = answer.json()["error"]
        assert self.engine().pid == pid
        return str(sentence)

    def pixels(self, job: dict[str, Any], index: int = 0) -> Pixels:
        """[height, width, 3] of a picture, which must show something."""
        with Image.open(io.BytesIO(self.picture(job["job_id"], index))) as picture:
            assert picture.format == "PNG"
            found = np.asarray(picture.convert("RGB"))
        assert found.std() > 1, "the picture is a flat colour"
        return found

    def record(self, name: str, result: str, *extra: str) -> None:
        """One row of the table of families."""
        table = os.environ.get(TABLE)
        if not table:
            return
        megabytes = sum(weight_bytes(file) for file in files_of([name, *extra])) / 1e6
        title = " + ".join([name, *extra])
        row = f"| {title} | {megabytes:.0f} | {self.load_seconds:.2f} | {self.step_seconds:.2f} | {result} |\n"
        with FileLock(f"{table}.lock"), open(table, "a", encoding="utf-8") as file:
            file.write(row if file.tell() else _HEADING + row)

    def _engine_log_path(self) -> Path:
        return self.folder / "data" / "logs" / "engine.log"

    def _engine_log_bytes(self) -> int:
        return self._engine_log_path().stat().st_size

    def _engine_log(self, began: int) -> str:
        with self._engine_log_path().open("rb") as log:
            log.seek(began)
            return log.read().decode(errors="replace")


def draw_family(server: FamilyServer, name: str, steps: int = 2, **fields: Any) -> Pixels:
    """The journey of one family: files, load, picture, row."""
    with server.stocked(name):
        server.load_family(name)
        picture = server.draw(steps=steps, **fields)
        assert picture.shape == (64, 64, 3)
        server.record(name, "64x64 picture")
        return picture


def scene(size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A yellow disc on blue."""
    picture = Image.new("RGB", size, (20, 60, 220))
    ImageDraw.Draw(picture).ellipse((size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4), (230, 220, 30))
    return picture


def encoded(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
