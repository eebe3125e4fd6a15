"""Where pictures live: the spool of running jobs, the output folder of finished ones, the folder of input images.

A job's folder appears in the output folder in one rename, with ``config.json`` (written last) already in it: a folder
with that file is whole, and nothing else is ever listed. Knows nothing of the queue.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sdcpp_rest.engine.spool import ENCODED_NAME
from sdcpp_rest.errors import InvalidRequest, OutputNotFound

SPOOL_NAME = ".spool"
RECORD_NAME = "config.json"


class Outputs:
    """The output folder and its neighbours.

    Args:
        output_dir: finished jobs, one folder each, named by job id. The spool lies inside, hidden, on the same
        filesystem.
        inputs_dir: decoded input images, one folder per job.
    """

    def __init__(self, output_dir: Path, inputs_dir: Path) -> None:
        self.output_dir = output_dir
        self.inputs_dir = inputs_dir
        self._spool_root = output_dir / SPOOL_NAME
        self._spool_root.mkdir(parents=True, exist_ok=True)
        inputs_dir.mkdir(parents=True, exist_ok=True)

    def spool_of(self, job_id: str) -> Path:
        """The folder a running job's files are written to."""
        return self._spool_root / job_id

    def inputs_of(self, job_id: str) -> Path:
        return self.inputs_dir / job_id

    def input_sizes(self, job_id: str, inputs: Mapping[str, str]) -> dict[str, int]:
        """Role -> bytes of the job's input pictures; those that are gone are left out."""
        sizes = {}
        for role, name in inputs.items():
            try:
                sizes[role] = (self.inputs_of(job_id) / name).stat().st_size
            except OSError:
                continue
        return sizes

    def publish(self, job_id: str, files: Iterable[str], record: Mapping[str, Any]) -> tuple[str, ...]:
        """Write the record, move the job's spool folder into the output folder; returns paths relative to it.

        Raises OSError; then nothing of the job is visible.
        """
        spool, target = self.spool_of(job_id), self.output_dir / job_id
        outputs = tuple(f"{job_id}/{name}" for name in files)
        temporary = spool / (RECORD_NAME + ".part")
        whole = {**record, "outputs": list(outputs)}
        temporary.write_text(json.dumps(whole, ensure_ascii=False, indent=2), encoding="utf-8")
        os.replace(temporary, spool / RECORD_NAME)
        if target.exists():
            # An earlier attempt got this far before the server was killed; this one replaces it.
            shutil.rmtree(target)
        os.replace(spool, target)
        (target / ENCODED_NAME).unlink(missing_ok=True)
        return outputs

    def published(self, job_id: str) -> tuple[str, ...] | None:
        """The outputs of a job whose folder is whole, or ``None``."""
        try:
            record = json.loads((self.output_dir / job_id / RECORD_NAME).read_text(encoding="utf-8"))
            return tuple(str(path) for path in record["outputs"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def discard(self, job_id: str) -> None:
        """Remove a job's spool and output folders; inputs stay. Never raises."""
        shutil.rmtree(self.spool_of(job_id), ignore_errors=True)
        shutil.rmtree(self.output_dir / job_id, ignore_errors=True)

    def discard_spool(self, job_id: str) -> None:
        shutil.rmtree(self.spool_of(job_id), ignore_errors=True)

    def discard_inputs(self, job_id: str) -> None:
        shutil.rmtree(self.inputs_of(job_id), ignore_errors=True)

    def sweep(self, keep: Iterable[str] = ()) -> None:
        """At start: remove the spool folders of everything but the jobs in ``keep``."""
        kept = set(keep)
        for folder in self._spool_root.iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def path_of(self, relative: str) -> Path:
        """An existing file or folder below the output folder, hidden ones excluded.

        Raises InvalidRequest for a path that tries to leave it, OutputNotFound for one that is not there.
        """
        parts = relative.replace("\\", "/").split("/")
        if ".." in parts or "\0" in relative or relative.startswith(("/", "\\")) or ":" in parts[0]:
            raise InvalidRequest("Invalid path")
        if any(part.startswith(".") and part != "." for part in parts):
            raise OutputNotFound(f"Not found: {relative}")
        root = self.output_dir.resolve()
        try:
            path = root.joinpath(*parts).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            raise OutputNotFound(f"Not found: {relative}") from None
        if path != root and root not in path.parents:
            raise InvalidRequest("Invalid path")
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            # A link inside the folder that leads to the spool.
            raise OutputNotFound(f"Not found: {relative}")
        if not (path.is_file() or path.is_dir()):
            # Opening a pipe waits for a writer, for ever.
            raise OutputNotFound(f"Not found: {relative}")
        return path
