"""The log of an engine, which is its file descriptors 1 and 2, stays within its size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_full_log_is_put_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    """In a process of its own: the log is what its file descriptors 1 and 2 write to."""
    path = tmp_path / "engine.log"
    script = (
        "import os, sys; from sdcpp_rest.engine.worker import _write_to, rotate_log;"
        "path = sys.argv[1]; _write_to(path);"
        "os.write(1, b'a' * 100); rotate_log(path, 200); os.write(2, b'b' * 100); rotate_log(path, 200);"
        "os.write(1, b'c'); os.write(2, b'd')"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert (tmp_path / "engine.log.1").read_bytes() == b"a" * 100 + b"b" * 100
    assert path.read_bytes() == b"cd"
