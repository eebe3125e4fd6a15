"""What an engine has imported when it is ready: each module costs memory for as long as it lives, and its start."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MODULES = 300
"""A budget: two thirds of them are pydantic's. One more needs a reason."""
UNWANTED = (
    "PIL", "numpy", "av", "psutil", "multiprocessing", "subprocess", "concurrent", "asyncio", "ssl", "click", "flask",
    "httpx", "sqlalchemy", "sdcpp_rest.services", "sdcpp_rest.web", "sdcpp_rest.cli", "sdcpp_rest.runtime",
)  # fmt: skip
SCRIPT = """
import json, os, sys
from sdcpp_rest.engine import process_entry
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
from sdcpp_rest.engine.worker import make_runner
from sdcpp_rest.engine.protocol import encode
from sdcpp_rest.engine.worker_options import WorkerOptions
runner = make_runner(WorkerOptions(n_threads=1))
encode(runner.ready())
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.slow
@pytest.mark.native
def test_an_engine_imports_what_it_needs_and_no_more() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    modules = json.loads(ran.stdout.splitlines()[-1])
    assert [name for name in modules if name.startswith(UNWANTED)] == []
    assert len(modules) <= MODULES, f"{len(modules)} modules"
