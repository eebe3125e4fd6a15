"""Runs every benchmark, or those named, one after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = (
    "job_overhead", "server_memory", "blocked_callers", "cancel", "thumbnails", "wall", "pipeline", "model_scan",
    "downloads", "a1111", "swarmui", "dialects", "mcp", "gallery", "kept_models", "engines",
)  # fmt: skip
# Only when asked for: the first time they compile programs to compare with.
OPT_IN = ("peers", "converting")


def main() -> int:
    """The number of benchmarks that did not run through; what they measured never counts."""
    parser = argparse.ArgumentParser(description="Print what the server costs.")
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"which: {', '.join(NAMES)} (default: these), {', '.join(OPT_IN)}"
    )
    parser.add_argument("--quick", action="store_true", help="few samples, only to see that they run")
    parser.add_argument("--engine", choices=("native", "fake"), help="default: each benchmark's own")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - {*NAMES, *OPT_IN})
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES + OPT_IN)}")
    options = [*(["--quick"] if arguments.quick else []), *(["--engine", arguments.engine] if arguments.engine else [])]
    broken = 0
    for name in arguments.names or NAMES:
        print(f"== {name}", flush=True)
        broken += subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], cwd=ROOT).returncode != 0
    return broken


if __name__ == "__main__":
    sys.exit(main())
