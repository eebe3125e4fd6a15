"""docs/errors.md has a paragraph for every code that the server answers with, and for none that is gone."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tools.error_codes import PACKAGE, codes_told, error_codes, fill_statuses

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def test_every_code_has_one_paragraph_and_no_paragraph_is_left_over() -> None:
    codes, told = error_codes(), codes_told(PAGE.read_text(encoding="utf-8"))
    assert len(codes) >= 60
    assert sorted(set(codes) - set(told)) == [], "codes without a paragraph in docs/errors.md"
    assert sorted(set(told) - set(codes)) == [], "paragraphs of codes that are gone"
    assert [code for code, times in Counter(told).items() if times > 1] == []


def test_every_paragraph_says_something_and_has_its_status_of_today() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == fill_statuses(page), "run `make docs`"
    sections = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    for section in sections:
        code, _, rest = section.partition("\n\n")
        said = re.split(r"^## ", rest.partition("\n\n")[2], flags=re.MULTILINE)[0].strip()
        assert len(said) >= 30, code


def test_codes_are_found_wherever_the_server_makes_one() -> None:
    codes = error_codes()
    assert codes["queue_full"] == {429}  # a class of the tree
    assert codes["llm_busy"] == {503}  # a class elsewhere
    assert codes["model_not_found"] == {404, 500}  # two classes
    assert codes["interrupted"] == codes["output_failed"] == set()  # of jobs
    # Whatever looks like one in the code and was not found would have no paragraph either.
    written = re.compile(r"(?:^\s+code(?:: ClassVar\[str\])? = |\b(?:error_)?code=)\"(\w+)\"", re.MULTILINE)
    seen = {code for path in PACKAGE.rglob("*.py") for code in written.findall(path.read_text(encoding="utf-8"))}
    assert seen - set(codes) == set()


def test_a_code_that_is_gone_is_noticed() -> None:
    page = "### `queue_full`\n\n*x*\n\nFull.\n\n### `gone_now`\n\n*x*\n\nGone.\n"
    assert codes_told(page) == ["queue_full", "gone_now"]
    filled = fill_statuses(page)
    assert "*429 Too Many Requests*" in filled
    assert "*no such code any more*" in filled
