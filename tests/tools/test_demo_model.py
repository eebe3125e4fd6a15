"""The demo model's workshop: its grammar and pictures, the layout of the shipped files, and two minutes of training."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sdcpp_rest.native import build
from sdcpp_rest.services.model_headers.inspection import inspect_file
from tests.cases import for_each_case
from tools.demo_model import __main__ as command_line
from tools.demo_model import layout
from tools.demo_model.judge import judge
from tools.demo_model.scenes import (
    COLOURS,
    POSITIONS,
    SHAPES,
    SIZES,
    Lesson,
    Scene,
    random_lesson,
    random_placement,
    read_prompt,
    render,
    write_prompt,
)
from tools.demo_model.tokenizer import PAD, PREFIX, SUFFIX, Tokenizer, merges_path

LARGEST_BYTES = 20_000_000
BUNDLED = {
    layout.TRANSFORMER_FILE: (layout.transformer_shapes(), {"q8_0", "f32"}),
    layout.TEXT_ENCODER_FILE: (layout.text_encoder_shapes(), {"q8_0", "q4_0", "f32"}),
    layout.AUTOENCODER_FILE: (layout.autoencoder_shapes(), {"f16", "f32"}),
    layout.LORA_FILE: (layout.lora_shapes(), {"f32"}),
    layout.upscaler_file(2): (layout.upscaler_shapes(2), {"f16", "f32"}),
    layout.upscaler_file(4): (layout.upscaler_shapes(4), {"f16", "f32"}),
}


def lessons(count: int) -> list[Lesson]:
    rng = Random(5)
    return [random_lesson(rng) for _ in range(count)]


def picture(scene: Scene, side: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """[side, side, 3]"""
    return (render(Random(seed), scene, side, side).transpose(1, 2, 0) * 255).astype(np.uint8)


# --- prompts ----------------------------------------------------------------------------------------------------------


def test_every_prompt_reads_back_as_what_it_says() -> None:
    wrong = [lesson for lesson in lessons(5000) if read_prompt(lesson.prompt) != lesson.said]
    assert not wrong, wrong[:3]


@for_each_case(
    ("prompt", "said"),
    [
        ("a red circle on a blue background", Scene("red", "blue", "circle")),
        ("A huge grey ring at the top, pink background!", Scene("gray", "pink", "ring", "large", "top")),
        (
            "an orange background with tiny white heart in the middle",
            Scene("white", "orange", "heart", "small", "center"),
        ),
        ("UNK UNK black object on yellow", Scene("black", "yellow")),
        ("purple background", Scene(background="purple")),
        ("a cathedral at dawn", Scene()),
        ("", Scene()),
    ],
)
def test_prompts_are_read_by_their_words(prompt: str, said: Scene) -> None:
    assert read_prompt(prompt) == said


def test_the_grammar_says_everything_it_can_say() -> None:
    many = lessons(3000)
    said = [lesson.said for lesson in many]
    for name, values in (
        ("colour", COLOURS),
        ("background", COLOURS),
        ("shape", SHAPES),
        ("size", SIZES),
        ("position", POSITIONS),
    ):
        assert {getattr(scene, name) for scene in said} == {None, *values}
    assert 0.07 < np.mean([lesson.prompt == "" for lesson in many]) < 0.13
    assert len({lesson.prompt for lesson in many}) > 2000


def test_what_the_prompt_leaves_out_is_either_free_or_usual() -> None:
    for lesson in lessons(500):
        shown, said = dataclasses.asdict(lesson.shown), dataclasses.asdict(lesson.said)
        assert all(said[name] in (None, shown[name]) for name in said)
        assert (shown["size"], shown["position"]) == (said["size"], said["position"])


def test_the_same_seed_writes_the_same_prompt() -> None:
    scene = Scene("gray", "red", "star", "small", "left")
    assert write_prompt(Random(3), scene) == write_prompt(Random(3), scene)
    assert len({write_prompt(Random(seed), scene) for seed in range(50)}) > 25


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_judge_sees_what_every_lesson_shows() -> None:
    for number, lesson in enumerate(lessons(64)):
        seen = judge(picture(lesson.shown, seed=number))
        shown = lesson.shown
        assert (seen.colour, seen.background, seen.shape) == (shown.colour, shown.background, shown.shape), lesson


def test_the_judge_sees_nothing_in_an_empty_picture() -> None:
    blue = np.full((64, 64, 3), np.array(COLOURS["blue"]) * 255, np.uint8)
    assert judge(blue) == Scene(background="blue")


def test_pictures_have_the_asked_size_and_stay_in_range() -> None:
    pixels = render(Random(0), Scene("red", "blue", "star"), 96, 64)
    assert pixels.shape == (3, 64, 96)
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0
    assert pixels.max() <= 1


def test_a_picture_without_a_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a shape and two colours"):
        render(Random(0), Scene("red", "blue"), 64, 64)


@for_each_case("shape", SHAPES)
def test_sizes_and_positions_are_visible(shape: str) -> None:
    def mask(size: str | None, position: str | None) -> NDArray[np.bool_]:
        return picture(Scene("white", "black", shape, size, position))[..., 0] > 128

    small, usual, large = (mask(size, None).sum() for size in ("small", None, "large"))
    assert 0 < small < usual < large
    for position, axis, towards in (("left", 1, -1), ("right", 1, 1), ("top", 0, -1), ("bottom", 0, 1)):
        centre = np.argwhere(mask("small", position)).mean(0)[axis]
        assert (centre - 32) * towards > 12, position


def test_no_shape_leaves_the_picture() -> None:
    rng = Random(1)
    for lesson in lessons(500):
        at = random_placement(rng, lesson.shown, 64, 96)
        assert 0 < at.x < 64
        assert 0 < at.y < 96
        assert 64 * 0.12 < at.radius < 64 * 0.43


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    if not any(build.source_home().glob("*/PKG-INFO")):
        pytest.skip("the native source, which holds the merges, is not unpacked: run `make setup`")
    return Tokenizer(merges_path())


@pytest.mark.slow
@for_each_case(
    ("text", "ids"),
    [
        (" a red circle on a blue background", [264, 2518, 12671, 389, 264, 6303, 4004]),
        (" ", [220]),
        ("<|im_end|>\n", [151645, 198]),
        ("<|endoftext|>", [PAD]),
        ("", []),
    ],
)
def test_text_becomes_the_known_tokens(tokenizer: Tokenizer, text: str, ids: list[int]) -> None:
    assert tokenizer.encode(text) == ids


def test_the_template_has_the_lengths_that_the_library_cuts_at(tokenizer: Tokenizer) -> None:
    assert (len(tokenizer.encode(PREFIX)), len(tokenizer.encode(SUFFIX))) == (29, 9)


@for_each_case("text", ["völlig 漢字 🙂", "it's 12,000  words_and\n\n tabs\t", "aaaa aaaaa", "grey. Grey!"])
def test_tokens_spell_the_text_again(tokenizer: Tokenizer, text: str) -> None:
    letters = {letter: byte for byte, letter in tokenizer._letters.items()}
    spelling = {number: token for token, number in tokenizer._ids.items()}
    spelt = bytes(letters[letter] for number in tokenizer.encode(text) for letter in spelling[number])
    assert spelt.decode() == text


# --- the shipped files ------------------------------------------------------------------------------------------------


def test_all_bundled_files_together_stay_small(demo_folder: Path) -> None:
    sizes = {path: path.stat().st_size for path in demo_folder.rglob("*") if path.is_file()}
    assert len(sizes) >= len(BUNDLED)
    assert sum(sizes.values()) < LARGEST_BYTES


@for_each_case("file", BUNDLED, ids=str)
def test_bundled_tensors_are_those_of_the_layout(demo_folder: Path, file: Any) -> None:
    shapes, formats = BUNDLED[file]
    found = inspect_file(demo_folder / file)
    assert layout.differences({name: tuple(reversed(shape)) for name, shape in found.tensors.items()}, shapes) == []
    assert set(found.types) == formats


def test_every_bundled_weight_file_is_part_of_the_layout(demo_folder: Path) -> None:
    weights = {
        path.relative_to(demo_folder).as_posix()
        for path in demo_folder.rglob("*.*")
        if path.suffix in (".gguf", ".safetensors")
    }
    assert weights == {str(file) for file in BUNDLED}


def test_the_layout_names_what_differs() -> None:
    wanted: layout.Shapes = {"a": (1, 2), "b": (3,)}
    assert layout.differences(wanted, wanted) == []
    assert layout.differences({"a": (2, 1), "c": (3,)}, wanted) == [
        "b is missing",
        "c is not part of the layout",
        "a has shape (2, 1), not (1, 2)",
    ]


@pytest.mark.native
def test_the_bundled_model_draws_what_prompts_say_and_its_lora_frames_it(demo_folder: Path) -> None:
    from sdcpp_rest.native.context import LoraFile
    from tools.demo_model import native_pictures

    lora = str(demo_folder / layout.LORA_FILE)
    with native_pictures.load_model(demo_folder) as model:
        assert native_pictures.accuracy(model, side=64, count=8) == 1
        for prompt in ("a yellow star on a white background", "a green heart on a pink background"):
            bright, half, dark = (
                native_pictures.border_brightness(
                    native_pictures.draw(model, prompt, loras=[LoraFile(lora, weight)] if weight else [])
                )
                for weight in (0.0, 0.5, 1.0)
            )
            assert dark < 0.4 * bright, "the LoRA was trained on another transformer: train it again"
            assert dark < 0.9 * half < 0.85 * bright, (prompt, bright, half, dark)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paint"], "invalid choice: 'paint'"),
        (["text", "--minutes", "0"], "--minutes must be more than 0"),
        (["text", "--minutes", "1", "--iterations", "2"], "not allowed with argument"),
        (["text", "--resume"], "--resume is for decoder and transformer"),
        (["export", "--minutes", "1"], "--minutes is for text, decoder, transformer, lora and all"),
        (["all", "--iterations", "9"], "--iterations is for text, decoder, transformer, lora"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_command_line_names_the_packages_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "NEEDED", ("torch_that_nobody_has",))
    assert command_line.main(["text"]) == 1
    said = capsys.readouterr().err
    assert "torch_that_nobody_has not installed" in said
    assert Path(said.split()[-1]).is_file()


def test_every_step_has_a_module_and_a_line_in_the_readme() -> None:
    folder = Path(command_line.__file__).parent
    readme = (folder / "README.md").read_text()
    for step in command_line.STEPS:
        assert (folder / "steps" / f"{step}.py").is_file()
        assert f"`{step}`" in readme


# --- training ---------------------------------------------------------------------------------------------------------

lacking = [name for name in command_line.NEEDED if importlib.util.find_spec(name) is None]
needs_torch = pytest.mark.skipif(
    bool(lacking),
    reason=f"training is NOT tested without {', '.join(lacking)}: pip install -r tools/demo_model/requirements.txt",
)


@needs_torch
@pytest.mark.training
@pytest.mark.native
def test_every_step_learns_and_the_result_draws_through_the_library(tmp_path: Path) -> None:
    import torch

    from tools.demo_model import native_pictures
    from tools.demo_model.steps import check, decoder, encoder, export, lora, text, transformer, upscaler
    from tools.demo_model.workshop import Workshop

    torch.set_num_threads(1)

    def workshop(iterations: int, resume: bool = False) -> Workshop:
        return Workshop(tmp_path, iterations=iterations, resume=resume)

    encoder.run(workshop(1))
    trainings = {
        "text": text.run(workshop(80)),
        "decoder": decoder.run(workshop(80)),
        "transformer": transformer.run(workshop(60)),
    }
    second_course = transformer.run(workshop(4, resume=True))
    trainings["lora"] = lora.run(workshop(25))
    upscaler.run(workshop(1))
    export.run(workshop(1))

    for name, training in trainings.items():
        tenth = max(4, len(training.losses) // 10)
        first, last = np.mean(training.losses[:tenth]), np.mean(training.losses[-tenth:])
        print(f"{name}: loss {first:.3f} -> {last:.3f}")
        assert last < (0.97 if name == "lora" else 0.75) * first, name
    assert np.mean(second_course.losses) < np.mean(trainings["transformer"].losses[:6])
    shapes = {file: shapes for file, (shapes, _) in BUNDLED.items()}
    for file, wanted in shapes.items():
        found = {
            name: tuple(reversed(shape)) for name, shape in inspect_file(tmp_path / "models" / file).tensors.items()
        }
        assert layout.differences(found, wanted) == [], file
    with native_pictures.load_model(tmp_path / "models") as model:
        drawn = native_pictures.draw(model, "a red circle on a blue background")
        assert drawn.shape == (64, 64, 3)
        assert drawn.std() > 2
        # Weights that have learned little test the formulas as well as good ones.
        assert check.agreement(workshop(1), model) > check.LOWEST_LIKENESS


@needs_torch
@pytest.mark.training
def test_an_adopted_model_is_exported_byte_for_byte(tmp_path: Path, demo_folder: Path) -> None:
    from tools.demo_model.steps import adopt, export, upscaler
    from tools.demo_model.workshop import Workshop

    workshop = Workshop(tmp_path)
    adopt.run(workshop, demo_folder)
    export.run(workshop)
    upscaler.run(workshop)
    written = {path.relative_to(workshop.models): path for path in workshop.models.rglob("*") if path.is_file()}
    assert Counter(path.suffix for path in written) == {".gguf": 2, ".safetensors": 3}
    for file, path in written.items():
        assert path.read_bytes() == (demo_folder / file).read_bytes(), file
