"""Our count of tokens against the library's own tokenizers, called in a small program that is built on the spot."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.prompts import check_prompt
from sdcpp_rest.core.tokenizing.attention import split_by_weight
from sdcpp_rest.core.tokenizing.encoders import Vocabulary, count_tokens, encoders_of
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.native.build import fetch_source
from sdcpp_rest.native.context import Context
from sdcpp_rest.native.library import Library, open_library
from sdcpp_rest.services.models.library_vocabulary import PLACES, LibraryVocabularies
from tests.native.drawing import picture

pytestmark = [pytest.mark.native, pytest.mark.slow]

_TEXT = r"""
a photo of the cat, masterpiece BREAK (best quality:1.3) [blurry] don't I'M they'LL we'd 1girl 8k 2024 \(anime\)
hatsune_miku <|endoftext|> <|im_end|> </s> <s> [INST] BREAKfast B:ig : ::: ((x)) (a BREAK b:0.9) Bokeh naïve café
Ünïcode Москва 東京タワー 猫 안녕 مرحبا שלום हिन्दी ไทย 😀 👩‍👩‍👧 「」 … “q” ½ ² № é ﬁ Ⅷ ℃
supercalifragilistic xqzvj !!! ... ,,, -- __ ## $100 50% a/b x=y
"""
WORDS = (*_TEXT.split(), "\u3000", "\u200b", "\uff0c")
LETTERS = "ab :()[]\\B1.,' \n\té日😀-+REAK<|>"


def prompts() -> list[str]:
    chance = random.Random(1)
    made = ["", " ", "a", "(", ")", ":", "\\", "a " * 300, "x" * 3_000, "aaab" * 700, "😀" * 300, "\r\n \n\t x"]
    for _ in range(600):
        made.append(
            "".join(
                chance.choice(WORDS) + chance.choice(" \n") * chance.randint(0, 2) for _ in range(chance.randint(1, 40))
            )
        )
        made.append("".join(chance.choice(LETTERS) for _ in range(chance.randint(1, 60))))
        ends = [(0x20, 0x7F), (0x20, 0xFF), (0x20, 0x2FFF), (0x3000, 0xD7FF), (0xE000, 0x1FFFF)]
        made.append("".join(chr(chance.randint(*chance.choice(ends))) for _ in range(chance.randint(1, 30))))
    return [*filter(_is_taken, made)]


def _is_taken(prompt: str) -> bool:
    try:
        check_prompt("prompt", prompt)
    except InvalidRequest:
        return False
    return True


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    assert compiler is not None, "the library was built without a compiler?"
    source, library = fetch_source() / "vendor" / "stable-diffusion.cpp", open_library().path.resolve()
    program = tmp_path_factory.mktemp("tokens") / "token_counts"
    folders = [source / "src", source / "ggml" / "include", source / "include", source / "thirdparty"]
    subprocess.run(
        [
            compiler,
            "-std=c++17",
            *(f"-I{folder}" for folder in folders),
            str(Path(__file__).with_name("token_counts.cpp")),
            "-o",
            str(program),
            str(library),
            f"-Wl,-rpath,{library.parent}",
        ],
        check=True,
        timeout=300,
    )
    return program


def library_counts(program: Path, vocabulary: str, texts: list[str]) -> Iterator[list[tuple[str, int]]]:
    ran = subprocess.run(
        [program, vocabulary], input=b"".join(text.encode() + b"\0" for text in texts), capture_output=True, check=True
    )
    for answer in ran.stdout.split(b"\0")[:-1]:
        parts = [part.rpartition(b"\x1f") for part in answer.split(b"\x1e")[:-1]]
        yield [(text.decode(), int(count)) for text, _, count in parts]


@pytest.mark.parametrize("vocabulary", PLACES)
def test_tokens_are_those_of_the_library(counter: Path, vocabulary: Vocabulary) -> None:
    tokenizer = LibraryVocabularies(lambda: str(open_library().path)).tokenizer(vocabulary, {})
    texts = prompts()
    exact = 0
    for text, wanted in zip(texts, library_counts(counter, vocabulary, texts), strict=True):
        cut = [(part.text, tokenizer.tokenize(part.text)) for part in split_by_weight(text)]
        if all(tokens.is_exact for _, tokens in cut):
            exact += 1
            assert [(part, len(tokens.starts)) for part, tokens in cut] == wanted, text
    assert exact > len(texts) // 10
    assert exact == len(texts) or vocabulary in ("qwen2", "mistral")


def test_the_demo_model_reads_the_tokens_that_are_counted(library: Library, context: Context) -> None:
    """What the library's log says while it draws: parts of the prompt, between those of the template."""
    (encoder,) = encoders_of(ARCHITECTURES["ovis_image"], ("llm",))
    tokenizer = LibraryVocabularies(lambda: str(library.path)).tokenizer(encoder.vocabulary, {})
    lines: list[str] = []
    library.set_log(lambda level, line: lines.append(line))
    context.generate_image(picture("a (red:1.2) circle, don't", steps=1), run=1)
    counted = 0
    for part in (" a ", "red", " circle, don't"):
        (line,) = [one for one in lines if f'split prompt "{part}" to tokens' in one]
        counted += line.count('", ')
    assert count_tokens("a (red:1.2) circle, don't", encoder, tokenizer).count == counted == 7
