"""What a language model server says of itself is repeated with care. (The faults themselves: test_llm_client.)"""

from __future__ import annotations

import pytest

from sdcpp_rest.services.language.llm_connection import Line
from sdcpp_rest.services.language.llm_errors import CallEnded, LlmFailed, LlmTimeout, explain_failures, refusal
from tests.cases import for_each_case


@for_each_case(
    ("said", "told"),
    [
        ("my-key is wrong", "*** is wrong"),
        ("Bearer abc.def-123 is wrong", "Bearer *** is wrong"),
        ("Incorrect key sk-proj-12345: no", "Incorrect key sk-***: no"),
        ("two\nlines\tand a \x1b[31m colour", "two lines and a ?[31m colour"),
        ("x" * 1000, "x" * 300 + "..."),
        ("", ""),
    ],
)
def test_its_words_come_on_one_line_without_keys(said: str, told: str) -> None:
    message = refusal(500, said, "http://there", "my-key").message
    assert message == "The language model server at http://there answered with status 500" + (told and f": {told}")


def test_its_status_is_a_detail_and_never_ours() -> None:
    for status in (400, 401, 403, 404, 418, 429, 500, 503):
        error = refusal(status, "", "http://there")
        assert error.status in (502, 503)
        assert error.detail["upstream_status"] == status
    assert refusal(-1, "odd", "http://there").detail == {}


def test_whatever_a_call_dies_of_after_it_was_ended_it_dies_of_that() -> None:
    line = Line()
    line.hang_up()
    with pytest.raises(CallEnded), explain_failures("http://there", 1, line):
        raise RuntimeError("anything")
    with pytest.raises(CallEnded), explain_failures("http://there", 1, line):
        pass
    line.has_expired = True
    with pytest.raises(LlmTimeout), explain_failures("http://there", 1, line):
        raise OSError("anything")


def test_our_own_errors_pass() -> None:
    error = LlmFailed("mine")
    with pytest.raises(LlmFailed) as passed, explain_failures("http://there", 1, Line()):
        raise error
    assert passed.value is error
