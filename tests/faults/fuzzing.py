"""Feeds the readers of files, prompts and bodies with what a fuzzer that looks at coverage makes of good ones."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Figure
from tests.faults.fuzz.engine import SLOW_SECONDS
from tests.faults.fuzz.targets import TARGETS
from tests.faults.study import Options, main

# A target that has not ended so long after its time is in a reader that hangs where no signal is heard.
_PATIENCE_SECONDS = 120
_QUICK_RUNS = 200


def examine(options: Options) -> list[Figure]:
    return [figure for name in TARGETS for figure in fuzz(name, options)]


def fuzz(name: str, options: Options) -> list[Figure]:
    """One target in a process of its own: a reader may take it along."""
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder) / "current"
        command = [sys.executable, "-m", "tests.faults.fuzz.engine", name, "--seed", str(options.seed)]
        command += ["--minutes", str(options.minutes), "--current", str(current)]
        command += ["--runs", str(_QUICK_RUNS)] if options.quick else []
        limit = 60 * options.minutes + _PATIENCE_SECONDS
        how = f"{options.minutes:g} min, one process; a refusal is a sentence, anything else a fault."
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=limit)
            report = json.loads(ran.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            return [Figure(f"{name}: faults", 1, "faults", 1, 0, f"{how} It hangs: {_tried(current)}")]
        except (IndexError, ValueError):
            died = f"It ended with {ran.returncode}: {ran.stderr[-200:]} {_tried(current)}"
            return [Figure(f"{name}: faults", 1, "faults", 1, 0, f"{how} {died}")]
    for fault in report["faults"]:
        print(f"  FAULT {name}: {fault['what']} at {fault['where']}, {fault['count']} times: {fault['input'][:2000]}")
    told = "; ".join(f"{fault['what'][:80]} at {fault['where']}" for fault in report["faults"])
    ground = f"steps from line to line of the package that inputs took, {report['seed_steps']} by the good ones alone"
    return [
        Figure(f"{name}: faults", len(report["faults"]), "faults", report["runs"], 0, f"{how} {told}"),
        Figure(f"{name}: ground", report["steps"], "steps", report["runs"], note=ground),
        Figure(
            f"{name}: slowest", report["slowest_seconds"], "s", report["runs"], SLOW_SECONDS, "CPU time, if above it"
        ),
    ]


def _tried(current: Path) -> str:
    content = current.read_bytes() if current.is_file() else b""
    return repr(content[8 : 8 + int.from_bytes(content[:8], "little")])[:300]


if __name__ == "__main__":
    main("Coverage-guided fuzzing of readers.", examine, told="minutes per reader stand beside each")
