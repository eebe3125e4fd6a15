"""Fixtures for tests against the real library: the demo model, loaded once per module, and processes that may die."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdcpp_rest.native.context import Context, ContextOptions
from sdcpp_rest.native.library import Library, open_library
from tests.native.drawing import Ended


@pytest.fixture(scope="session")
def library() -> Library:
    return open_library()


@pytest.fixture(autouse=True)
def quiet_callbacks() -> Iterator[None]:
    """Callbacks, and the number of the run that was cancelled last, belong to the process: none may stay behind for the
    next test, which may well be in another folder."""
    yield
    loaded = open_library()
    loaded.set_log(None)
    loaded.set_progress(None)
    loaded.set_preview(None)
    loaded.set_last_words(None)
    loaded.cancel(0)


@pytest.fixture(scope="session")
def demo_options(demo_folder: Path) -> ContextOptions:
    return ContextOptions(
        diffusion_model_path=str(demo_folder / "diffusion_models/demo_dit_q8_0.gguf"),
        llm_path=str(demo_folder / "llm/demo_llm_q4_0.gguf"),
        taesd_path=str(demo_folder / "taesd/demo_tae.safetensors"),
        vae_decode_only=False,
        n_threads=1,
    )


@pytest.fixture(scope="module")
def context(demo_options: ContextOptions) -> Iterator[Context]:
    with Context.load(demo_options) as loaded:
        yield loaded


@pytest.fixture
def own_process(tmp_path: Path, demo_options: ContextOptions) -> Callable[..., Ended]:
    """Run Python code in a process of its own, because it may not survive.

    The code finds ``options`` (the demo model's ContextOptions), ``picture``, ``digest``, ``scratch`` (a Path) and
    ``report(value)``: each JSON value reported is on disk at once, so it is there even when the process dies later.
    """

    def run(code: str, timeout_seconds: float = 120) -> Ended:
        reports = tmp_path / "reports.jsonl"
        prelude = f"""
            import json, sys
            from pathlib import Path
            sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
            from tests.native.drawing import digest, picture
            from sdcpp_rest.native.context import *
            from sdcpp_rest.native.library import open_library
            scratch = Path({str(tmp_path)!r})
            options = {demo_options!r}
            def report(value):
                with open({str(reports)!r}, "a") as file:
                    file.write(json.dumps(value) + "\\n")
        """
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(prelude) + textwrap.dedent(code))
        ended = subprocess.run(
            [sys.executable, str(script)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
        lines = reports.read_text().splitlines() if reports.exists() else []
        return Ended(ended.returncode, ended.stderr, [json.loads(line) for line in lines])

    return run
