"""Runs every benchmark, or those named, one after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = (
    "job_overhead", "server_memory", "start_imports", "blocked_callers", "cancel", "thumbnails", "wall", "pipeline",
    "model_scan", "downloads", "a1111", "swarmui", "dialects", "mcp", "gallery", "kept_models", "engines", "previews",
    "queue_pages", "threads",
)  # fmt: skip
# The first time they compile programs to compare with.
COMPARED = ("peers", "converting")
# Only by name: it needs the extra `cluster`.
EXTRA = ("cluster",)


def main() -> int:
    """The number of benchmarks that did not run through; what they measured never counts."""
    parser = argparse.ArgumentParser(description="Print what the server costs.")
    known = ", ".join(NAMES + COMPARED + EXTRA)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {known} (default: all but {EXTRA[0]})")
    parser.add_argument("--quick", action="store_true", help="few samples, only to see that they run")
    parser.add_argument("--engine", choices=("native", "fake"), help="default: each benchmark's own")
    parser.add_argument("--save", action="store_true", help="keep the figures in results.json, for docs/performance.md")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - {*NAMES, *COMPARED, *EXTRA})
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {known}")
    if arguments.save and (arguments.quick or arguments.engine):
        parser.error("--save keeps whole runs with each benchmark's own engine: leave --quick and --engine out")
    options = [*(["--quick"] if arguments.quick else []), *(["--engine", arguments.engine] if arguments.engine else [])]
    options += ["--save"] if arguments.save else []
    broken = 0
    for name in arguments.names or NAMES + COMPARED:
        print(f"== {name}", flush=True)
        broken += subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], cwd=ROOT).returncode != 0
    return broken


if __name__ == "__main__":
    sys.exit(main())
