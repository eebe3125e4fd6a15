"""The committed table of LoRA forms for UNets is what the library does; see `test_lora_table`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.model_tables.lora_page import read_outcomes
from tools.model_tables.lora_trial import TRIALS, Trial, is_unet, try_all

pytestmark = pytest.mark.native


@pytest.mark.parametrize("trial", [trial for trial in TRIALS if is_unet(trial)], ids="-".join)
def test_the_library_does_what_the_table_says_of_unets(trial: Trial, tmp_path: Path) -> None:
    assert try_all([trial], tmp_path)[trial] == read_outcomes()[trial.model][trial.weight_type][trial.mode]
