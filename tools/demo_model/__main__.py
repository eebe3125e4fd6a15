"""``python -m tools.demo_model STEP``: the command line of the workshop."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

STEPS = {
    "text": "train the text encoder",
    "encoder": "compute the autoencoder's encoder",
    "decoder": "train the autoencoder's decoder",
    "transformer": "train the diffusion transformer (with --resume: its second course)",
    "lora": "train the LoRA that draws a black frame",
    "upscaler": "write the two upscalers",
    "export": "write the finished files into DIR/models",
    "check": "draw with the finished files through the native library and judge the pictures",
    "all": "everything above, in that order",
    "adopt": "take the bundled model into DIR instead of training one",
}
TRAINED = ("text", "decoder", "transformer", "lora")
RESUMABLE = ("decoder", "transformer")
NEEDED = ("torch", "gguf", "safetensors")
WORK = Path("build/demo_model")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo_model",
        description="Trains the bundled demo model and writes its files. See tools/demo_model/README.md.",
        epilog="steps:\n" + "\n".join(f"  {name:12} {what}" for name, what in STEPS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", metavar="STEP", choices=STEPS, help="one of the steps below")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, metavar="M", help="train that long (all: all of them together)")
    length.add_argument("--iterations", type=int, metavar="N", help="train that many iterations")
    parser.add_argument("--resume", action="store_true", help="go on from the last result (decoder, transformer)")
    parser.add_argument("--threads", type=int, default=2, metavar="T", help="threads for PyTorch (default: 2)")
    parser.add_argument("--seed", type=int, default=1, help="of weights, pictures and noise (default: 1)")
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR", help=f"all that is written (default: {WORK})")
    options = parser.parse_args(arguments)
    if options.resume and options.step not in RESUMABLE:
        parser.error(f"--resume is for {' and '.join(RESUMABLE)}")
    if options.minutes is not None and options.step not in (*TRAINED, "all"):
        parser.error(f"--minutes is for {', '.join(TRAINED)} and all")
    if options.iterations is not None and options.step not in TRAINED:
        parser.error(f"--iterations is for {', '.join(TRAINED)}")
    for name, value in (("minutes", options.minutes), ("iterations", options.iterations), ("threads", options.threads)):
        if value is not None and value <= 0:
            parser.error(f"--{name} must be more than 0, got {value}")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        needed = Path(__file__).with_name("requirements.txt")
        print(f"error: {', '.join(missing)} not installed: run pip install -r {needed}", file=sys.stderr)
        return 1
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    import torch

    from tools.demo_model.workshop import StepFailed, Workshop

    torch.set_num_threads(options.threads)
    workshop = Workshop(options.work, options.minutes, options.iterations, options.resume, options.seed)
    try:
        importlib.import_module(f"tools.demo_model.steps.{options.step}").run(workshop)
    except StepFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
