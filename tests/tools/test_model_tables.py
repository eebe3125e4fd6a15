"""The pages about model files are made of what the server really says, and the forms of LoRA mean what they store."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from sdcpp_rest.services.model_headers.inspection import inspect_file
from tests.cases import for_each_case
from tools.model_tables import lora_changes as changes
from tools.model_tables.lora_models import FORMS, file_name, merge_change, write_base, write_lora
from tools.model_tables.mistakes import MISTAKES, Answer, make_mistakes
from tools.model_tables.pages import fill_tables


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    return make_mistakes()


def test_every_mistake_gets_a_sentence(answers: dict[str, Answer]) -> None:
    assert len(answers) == len(MISTAKES) >= 15
    for title, answer in answers.items():
        assert [len(sentence) > 20 for sentence in answer.sentences] == [True], title
    statuses = {title: answer.status for title, answer in answers.items() if answer.status != 400}
    assert statuses == {
        "A name is misspelt": 500,
        "The model is too large for the graphics card": 507,
        "The size is no multiple": 202,
    }


def test_no_answer_has_a_path_of_the_server(answers: dict[str, Answer]) -> None:
    for answer in answers.values():
        assert "/tmp" not in "".join(answer.sentences)
        assert "/models" not in "".join(answer.sentences)


def test_a_table_that_nobody_makes_is_an_error() -> None:
    assert fill_tables("plain text") == "plain text"
    with pytest.raises(KeyError):
        fill_tables("<!-- table: nothing -->\n<!-- end -->")


def test_titles_are_told_apart_as_file_names_too() -> None:
    for forms in FORMS.values():
        assert len({file_name(form.title) for form in forms}) == len(forms) >= 20


@pytest.mark.parametrize("model", FORMS)
def test_every_form_is_a_lora_to_our_eyes(model: str, tmp_path: Path) -> None:
    for form in FORMS[model]:
        path = write_lora(tmp_path / file_name(form.title), form.tensors)
        assert inspect_file(path).contents == "LoRA", form.title
        assert inspect_file(path).tensors.keys() == form.tensors.keys()


@for_each_case(
    "stored",
    [
        changes.low_rank("a", 32, 16),
        changes.without_alpha(changes.low_rank("a", 32, 16)),
        changes.loha("a", 32, 16),
        changes.lokr("a", 32, 16, factored=False),
        changes.lokr("a", 32, 16, factored=True),
        changes.difference("a", 32, 16),
    ],
)
def test_changes_are_as_large_as_weights_that_a_picture_shows(stored: changes.Stored) -> None:
    assert stored.change.shape == (32, 16)
    assert 0.05 < stored.change.std() < 5


@pytest.mark.parametrize("weight_type", ["f16", "q4_0"])
def test_a_change_is_merged_and_taken_out_again(tmp_path: Path, weight_type: str) -> None:
    files = write_base(tmp_path, "flux_schnell", weight_type)  # type: ignore[arg-type]
    own = files.paths["model"]
    before, name = own.read_bytes(), "double_blocks.0.img_attn.qkv.weight"
    change = np.full((384, 128), 0.5, np.float32)
    with merge_change(files, {name: change}, tmp_path) as changed:
        path = changed.paths["model"]
        assert (path == own) == (weight_type == "f16")
        difference = weights(path, name) - weights_in(before, name, tmp_path)
        assert np.abs(difference - 0.5).max() < 0.01
        assert changed.paths["clip_l"] == files.paths["clip_l"]
    assert own.read_bytes() == before
    assert list(tmp_path.glob("merged_*")) == []


def weights(path: Path, name: str) -> np.ndarray:
    tensor = next(tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == name)
    return np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32)


def weights_in(content: bytes, name: str, folder: Path) -> np.ndarray:
    copy = folder / "copy.gguf"
    copy.write_bytes(content)
    return weights(copy, name)
