"""The fuzzer finds what there is to find, does the same for a seed, and its readers hold for what it kept."""

from __future__ import annotations

import pytest

from sdcpp_rest.core import infotext
from tests.faults.fuzz.engine import Fuzzer, read_corpus
from tests.faults.fuzz.targets import TARGETS, Target
from tests.faults.hostile.inputs import Input
from tests.faults.hostile.known_files import known_files
from tests.faults.hostile.known_values import known_values
from tests.faults.hostile.mutants import mutants
from tests.faults.hostile.sending import judge, wrong_with


def planted(content: bytes) -> None:
    """A reader with a fault behind ground that has to be found first."""
    found = infotext.parse(content.decode("latin-1"))
    if found.get("Steps", "1") != "1":
        raise KeyError("planted")


def test_fuzzer_finds_a_planted_fault_and_does_the_same_again() -> None:
    target = Target("planted", planted, (), lambda: [b"a cat\nSteps: 1, Seed: 2"])
    first, again = (Fuzzer(target, 3).run(20, 800) for _ in range(2))
    assert [fault.what for fault in first.faults] == ["KeyError: 'planted'"]
    assert first.steps > 0
    assert (first.runs, first.steps, first.corpus, first.faults) == (
        again.runs,
        again.steps,
        again.corpus,
        again.faults,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_reader_holds_for_some_hundred_inputs_and_those_that_were_kept(name: str) -> None:
    with TARGETS[name]() as target:
        report = Fuzzer(target, 1).run(20, 150 + len(read_corpus(name)))
    assert report.faults == []
    assert report.steps > 0


def test_hostile_inputs_are_the_same_for_a_seed_and_have_names_of_their_own() -> None:
    def texts(inputs: list[Input]) -> list[str]:
        return [repr(one) for one in inputs]

    assert texts(mutants(1)) == texts(mutants(1)) != texts(mutants(2))
    assert len([*known_values(), *known_files()]) >= 300
    assert len(mutants(1)) >= 200
    for inputs in (known_values(), known_files(), mutants(1)):
        names = [(type(one), one.name) for one in inputs]
        assert len(set(names)) == len(names)


def test_judge_tells_sentences_from_faults() -> None:
    assert judge("native", "x", 400, b'{"error": "steps must be at least 1, got 0"}').fault == ""
    assert judge("native", "x", 400, b'{"error": "steps must be at least 1, got 0"}').sentence
    assert judge("native", "x", 200, b'{"images": []}').sentence == ""
    assert judge("SwarmUI", "x", 200, b'{"error": "Invalid value for parameter Steps"}').sentence
    assert (
        judge("native", "x", 500, b'{"error": "Internal error", "code": "internal_error"}').fault == "an internal error"
    )
    assert judge("native", "x", 500, b'{"error": "Internal error: Model not found: x"}').fault == ""
    assert judge("native", "x", 500, b"<h1>Oops</h1>").fault == "no JSON"
    assert judge("native", "x", 400, b'{"error": "bad"}').fault == "no sentence"
    assert wrong_with("cannot identify image file <_io.BytesIO object at 0x7f811649fbf0>") == "an internal error"
    assert wrong_with("a" * 3000) == "the input again"
