"""Runs every study of faults, or those named, one after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, it finds its own folder alone

from tests.faults.study import add_options  # noqa: E402

NAMES = ("hostile_inputs", "fuzzing", "deaths", "power_cuts", "disk_and_clock", "load")


def main() -> int:
    """The number of studies in which a promise was broken, or that did not run through."""
    parser = argparse.ArgumentParser(description="Do harm to the server and count what comes of it.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(NAMES)} (default: all)")
    add_options(parser)
    arguments = parser.parse_args()
    written = [name for name in NAMES if Path(__file__).with_name(f"{name}.py").is_file()]
    unknown = sorted(set(arguments.names) - set(written))
    if unknown:
        parser.error(f"no such study: {', '.join(unknown)}; there are {', '.join(written)}")
    if arguments.save and arguments.quick:
        parser.error("--save keeps whole runs: leave --quick out")
    options = ["--seed", str(arguments.seed), "--minutes", str(arguments.minutes)]
    options += [f"--{name}" for name in ("quick", "save") if getattr(arguments, name)]
    broken = []
    for name in arguments.names or written:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"tests.faults.{name}", *options], cwd=ROOT).returncode:
            broken.append(name)
    if broken:
        print(f"broken: {', '.join(broken)}", file=sys.stderr)
    return len(broken)


if __name__ == "__main__":
    sys.exit(main())
