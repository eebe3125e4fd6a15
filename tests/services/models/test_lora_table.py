"""Every form of LoRA: our checks promise what the library was seen to do with it, cell by cell."""

from __future__ import annotations

import pytest

from tools.model_tables.lora_models import FORMS, WEIGHT_TYPES
from tools.model_tables.lora_page import Cell, lora_table, read_outcomes

SERVER_MODES = ("auto", "immediately", "at_runtime")


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return lora_table()


@pytest.mark.slow
def test_the_table_is_whole(cells: list[Cell]) -> None:
    expected = sum(len(FORMS[model]) * len(WEIGHT_TYPES[model]) * len(SERVER_MODES) for model in FORMS)
    assert len(cells) == expected >= 450
    for model, types in read_outcomes().items():
        for modes in types.values():
            for found in modes.values():
                assert list(found) == [form.title for form in FORMS[model]]


def test_nothing_is_accepted_that_has_no_effect_or_does_harm(cells: list[Cell]) -> None:
    accepted = [cell for cell in cells if cell.library_mode]
    assert len(accepted) > 180
    assert [cell for cell in accepted if cell.library != "applied"] == []


def test_nothing_is_refused_that_the_library_would_apply(cells: list[Cell]) -> None:
    refused = [cell for cell in cells if not cell.library_mode and cell.weight_type == "f16"]
    assert len(refused) > 50
    assert [cell for cell in refused if cell.library == "applied"] == []
    # Merging, which could apply more of them, is not done to quantized weights.
    quantized = [cell for cell in cells if not cell.library_mode and cell.mode != "immediately"]
    assert [cell for cell in quantized if cell.library == "applied"] == []


def test_each_refusal_names_the_lora_and_says_why(cells: list[Cell]) -> None:
    for cell in cells:
        if not cell.library_mode and "not loaded" not in cell.server:
            assert ".safetensors" in cell.server
            assert cell.reason, cell


def test_quantized_weights_are_never_merged_into(cells: list[Cell]) -> None:
    for cell in cells:
        if cell.weight_type != "f16":
            assert cell.library_mode != "immediately"
            assert (cell.mode == "immediately") == cell.server.startswith("not loaded")
