"""The committed table of LoRA forms is what the library does: each form is drawn with on each kind of weights, and its
picture compared with that of a model into which numpy merged the LoRA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools.model_tables.lora_page import read_outcomes
from tools.model_tables.lora_trial import (
    TRIALS,
    Trial,
    is_unet,
    judge,
    merging_into_quantized_weights,
    try_all,
)

pytestmark = pytest.mark.native


# UNets have a file of their own, so that two workers share the work.
@pytest.mark.parametrize("trial", [trial for trial in TRIALS if not is_unet(trial)], ids="-".join)
def test_the_library_does_what_the_table_says(trial: Trial, tmp_path: Path) -> None:
    assert try_all([trial], tmp_path)[trial] == read_outcomes()[trial.model][trial.weight_type][trial.mode]


def test_merging_into_quantized_weights_does_harm(tmp_path: Path) -> None:
    assert merging_into_quantized_weights(tmp_path) in ("fails", "ends the process")


def test_pictures_are_told_apart() -> None:
    plain, change = np.zeros(3000), np.ones(3000)
    faint, half = np.zeros(3000), np.zeros(3000)
    faint[:100] = 1
    half[:1500] = 40
    assert judge(change * 40, plain, change * 40, takes_part=True) == "applied"
    assert judge(plain, plain, change * 40, takes_part=True) == "no effect"
    assert judge(np.roll(half, 1500), plain, half, takes_part=True) == "wrong picture"
    assert judge(change * 40, plain, None, takes_part=False) == "wrong picture"
    assert judge(faint, plain, None, takes_part=False) == "no effect"
    # Where the two pictures to compare with are the same, the library's log decides.
    assert judge(faint, faint, faint, takes_part=True) == "applied"
    assert judge(faint, faint, faint, takes_part=False) == "no effect"
