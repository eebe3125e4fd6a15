"""``python -m tools.synthetic_models NAME... --out DIR``: a models folder made of synthetic models."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.synthetic_models.families import FAMILIES, FILES, family_bytes, files_of, weight_bytes, write_file
from tools.synthetic_models.files import Fill
from tools.synthetic_models.storage import FORMATS, STORAGES


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.synthetic_models",
        description="Writes the smallest models that the native library loads, of random weights: one sub-folder of "
        "DIR per model type, so that a server can use DIR as its models folder.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="families or single files; none: list them all")
    parser.add_argument("--out", type=Path, default=Path("models"), metavar="DIR", help="default: models")
    parser.add_argument("--type", choices=STORAGES, metavar="TYPE", help=f"of matrices: {', '.join(STORAGES)}")
    parser.add_argument("--format", choices=FORMATS, help="of all files (default: each one's own, mostly gguf)")
    parser.add_argument("--zero", action="store_true", help="sparse files of zeros, which take no disk")
    parser.add_argument("--seed", type=int, default=1, help="of the weights (default: 1)")
    options = parser.parse_args(arguments)
    if not options.names:
        _list()
        return 0
    try:
        files = files_of(options.names)
    except KeyError as unknown:
        parser.error(f"{unknown} is neither a family nor a file; called without names, the program lists both")
    for name in files:
        started = time.perf_counter()
        fill: Fill = "zero" if options.zero else "random"
        path = write_file(
            options.out, name, storage=options.type, file_format=options.format, fill=fill, seed=options.seed
        )
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB  {time.perf_counter() - started:.2f} s", flush=True)
    return 0


def _list() -> None:
    print("families:")
    for name, family in FAMILIES.items():
        print(f"  {name:14} {family.version:22} {family_bytes(name) / 1e6:7.0f} MB  {', '.join(family.files)}")
    print("single files:")
    for name, file in FILES.items():
        print(f"  {name:16} {file.folder:18} {weight_bytes(name) / 1e6:7.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
