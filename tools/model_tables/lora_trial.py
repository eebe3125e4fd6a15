"""Draws with every form of LoRA on the real library, and judges each picture by two others: the plain model's, and that
of a model into which numpy merged the LoRA.

``python -m tools.model_tables.lora_trial`` tries everything and writes ``lora_outcomes.json``, which the page is made
from and a test compares. A form may end the process: each run has one of its own.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sdcpp_rest.native.context import Context, ContextOptions, Guidance, ImageRequest, LoraFile, NativeError
from sdcpp_rest.native.library import open_library
from tools.model_tables.lora_changes import Array
from tools.model_tables.lora_models import (
    FORMS,
    WEIGHT_TYPES,
    ModelFiles,
    WeightType,
    file_name,
    merge_change,
    write_base,
    write_lora,
)
from tools.model_tables.lora_page import OUTCOMES
from tools.synthetic_models.families import FAMILIES

Mode = Literal["immediately", "at_runtime"]
LibraryOutcome = Literal["applied", "no effect", "wrong picture", "fails", "ends the process"]
Outcomes = dict[str, LibraryOutcome]
ROOT = Path(__file__).parents[2]


_CLEARER_DB = 5.0
_UNTOUCHED_DB = 55.0
"""What is left in weights of 16 bits after LoRAs were merged into them and taken out again is fainter than this."""


class Trial(NamedTuple):
    """One loaded model that all forms are tried on."""

    model: str
    weight_type: WeightType
    mode: Mode


TRIALS = tuple(
    Trial(model, weight_type, mode)
    for model in FORMS
    for weight_type in WEIGHT_TYPES[model]
    for mode in (("immediately", "at_runtime") if weight_type == "f16" else ("at_runtime",))
)
"""Merging into quantized weights is refused by any load; `merging_into_quantized_weights` tries that."""


def is_unet(trial: Trial) -> bool:
    """Whether the trial's model is a UNet, and no transformer."""
    return trial.model == "sdxs"


def try_all(trials: Iterable[Trial], folder: Path) -> dict[Trial, Outcomes]:
    """Run ``trials``; model files are written below ``folder``."""
    return {trial: _until_the_end(trial, folder) for trial in trials}


def merging_into_quantized_weights(folder: Path) -> LibraryOutcome:
    """What becomes of the plainest form where the weights are quantized and the mode is "immediately"."""
    trial = Trial("flux_schnell", "q8_0", "immediately")
    return _until_the_end(trial, folder, ("kohya",))["kohya"]


def _until_the_end(trial: Trial, folder: Path, only: Iterable[str] = ()) -> Outcomes:
    """Run a trial in processes of its own, a new one behind each form that ended the last."""
    titles = [form.title for form in FORMS[trial.model] if not only or form.title in only]
    found: Outcomes = {}
    while len(found) < len(titles):
        left = titles[len(found) :]
        arguments = [sys.executable, "-m", "tools.model_tables.lora_trial", *trial, str(folder), *left]
        ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
        lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('["')]
        found |= dict(lines)
        if len(lines) < len(left):
            if not ended.returncode:
                raise RuntimeError(f"{trial}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
            if not lines and ended.returncode > 0:
                raise RuntimeError(f"{trial}: {ended.stderr[-2000:]}")
            found[left[len(lines)]] = "ends the process"
    return found


# --- in the process of a trial ----------------------------------------------------------------------------------------

Pixels = NDArray[np.float64]


def run_trial(trial: Trial, folder: Path, titles: Iterable[str], tell: Callable[[str, LibraryOutcome], None]) -> None:
    """Try the forms called ``titles`` one after the other, and ``tell`` what came of each."""
    forms = {form.title: form for form in FORMS[trial.model]}
    files = write_base(folder / trial.model, trial.model, trial.weight_type)
    lines: list[str] = []
    open_library().set_log(lambda level, line: lines.append(line))
    with _load(trial.model, files, trial.mode) as context:
        plain = _draw(context)
        for title in titles:
            form = forms[title]
            lora = write_lora(folder / "loras" / file_name(f"{trial.model} {title}"), form.tensors)
            reference = None
            if form.change:
                reference = _merged_picture(trial, files, form.change, folder)
            lines.clear()
            try:
                picture = _draw(context, lora)
            except NativeError:
                tell(title, "fails")
            else:
                tell(title, judge(picture, plain, reference, _takes_part(lines)))


def judge(picture: Pixels, plain: Pixels, reference: Pixels | None, takes_part: bool) -> LibraryOutcome:
    """Which of the two a picture is like; without a ``reference``, whether it is the plain one. Where these two cannot
    be told apart, the library's own word counts: ``takes_part``."""
    to_plain = psnr(picture, plain)
    if reference is None:
        return "no effect" if to_plain > _UNTOUCHED_DB else "wrong picture"
    to_reference = psnr(picture, reference)
    if to_reference > to_plain + _CLEARER_DB:
        return "applied"
    if to_plain > to_reference + _CLEARER_DB:
        return "no effect"
    if min(to_plain, to_reference) < _UNTOUCHED_DB:
        return "wrong picture"
    return "applied" if takes_part else "no effect"


def _takes_part(log: Iterable[str]) -> bool:
    counts = [found[1] for line in log if (found := re.search(r"\((\d+) / \d+\) LoRA tensors", line))]
    return any(int(count) for count in counts)


def psnr(first: Pixels, second: Pixels) -> float:
    """Peak signal-to-noise ratio of two pictures of 8 bits, in dB; 99 for equal ones."""
    error = float(np.mean((first - second) ** 2))
    return 99.0 if error == 0 else 10 * math.log10(255**2 / error)


def _merged_picture(trial: Trial, files: ModelFiles, change: Mapping[str, Array], folder: Path) -> Pixels:
    """What the model draws with ``change`` merged into it. Kept in ``folder``: forms that mean the same, and both modes
    of the library, share it."""
    seed = json.dumps(sorted((name, float(np.abs(matrix).sum())) for name, matrix in change.items()))
    kept = folder / f"{trial.model}_{trial.weight_type}_{zlib.crc32(seed.encode()):08x}.npy"
    if not kept.exists():
        np.save(kept, _draw_merged(trial, files, change, folder))
    picture: Pixels = np.load(kept)
    return picture


def _draw_merged(trial: Trial, files: ModelFiles, change: Mapping[str, Array], folder: Path) -> Pixels:
    with (
        merge_change(files, change, folder / trial.model) as changed,
        _load(trial.model, changed, "at_runtime") as context,
    ):
        return _draw(context)


def _load(model: str, files: ModelFiles, mode: Mode) -> Context:
    own = "model_path" if FAMILIES[model].kind == "checkpoint" else "diffusion_model_path"
    paths = {own if role == "model" else f"{role}_path": str(path) for role, path in files.paths.items()}
    return Context.load(ContextOptions(**paths, n_threads=1, lora_apply_mode=mode))  # type: ignore[arg-type]


def _draw(context: Context, lora: Path | None = None) -> Pixels:
    request = ImageRequest(
        "a lighthouse",
        width=32,
        height=32,
        steps=1,
        guidance=Guidance(txt_cfg=1.0),
        clip_skip=11,  # of the text encoder's twelve layers one is enough, and quicker
        sampler="euler",
        scheduler="discrete",
        seed=3,
        loras=(LoraFile(str(lora)),) if lora else (),
    )
    return np.frombuffer(context.generate_image(request, 1)[0].pixels, np.uint8).astype(np.float64)


def main() -> int:
    if len(sys.argv) > 1:
        model, weight_type, mode, folder, *titles = sys.argv[1:]

        def tell(title: str, outcome: LibraryOutcome) -> None:
            print("\n" + json.dumps([title, outcome]), flush=True)

        run_trial(Trial(model, weight_type, mode), Path(folder), titles, tell)  # type: ignore[arg-type]
        return 0
    table: dict[str, dict[str, dict[str, Outcomes]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for trial, outcomes in try_all(TRIALS, Path(folder)).items():
            table.setdefault(trial.model, {}).setdefault(trial.weight_type, {})[trial.mode] = outcomes
    OUTCOMES.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {OUTCOMES.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
