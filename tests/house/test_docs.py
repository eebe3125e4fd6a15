"""Pages that are made from the code say what the code says, and links lead somewhere."""

from __future__ import annotations

import ast
import functools
import importlib.util
import itertools
import re
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from sdcpp_rest import cli

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    """tools/generate_docs.py, which is a script and not part of the package."""
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_generated_pages_are_up_to_date() -> None:
    made = generator()
    assert len(made.PAGES) >= 4
    assert made.stale_pages() == [], "run `make docs`"


def test_every_command_is_in_the_changelog_or_the_readme() -> None:
    told = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8") + (ROOT / "README.md").read_text(encoding="utf-8")
    assert isinstance(cli.main, click.Group)
    assert len(cli.main.commands) >= 10
    assert [name for name in cli.main.commands if f"`{name}`" not in told and f"sdcpp-rest {name}" not in told] == []


def test_links_between_pages_lead_somewhere() -> None:
    looked = 0
    for page in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        *(ROOT / "tests").rglob("*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                looked += 1
                assert (page.parent / target).exists(), f"{page.name}: {target}"
    assert looked >= 5


PAGES_ABOUT_THE_CODE = (ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md")
_FILE = (
    r"(?:cli|config|core|engine|native|routes|services|store|web|tests|tools)/[\w/]+\.(?:py|cpp)|runtime\.py|errors\.py"
)
# What stands in backticks and is no name of the code: files, settings, commands, headers, words of the wire.
_WORD = re.compile(r"^_?[A-Za-z]\w*(?:\.\w+)*$")


def source(name: str) -> Path:
    return ROOT / name if name.startswith(("tests/", "tools/")) else ROOT / "sdcpp_rest" / name


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Every name that a file defines: functions, classes, ``Class.method``, attributes, constants, arguments."""
    if path.suffix != ".py":
        return frozenset(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    found: set[str] = set()

    def walk(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.update((child.name, prefix + child.name))
                walk(child, f"{child.name}." if isinstance(child, ast.ClassDef) else prefix)
                continue
            if isinstance(child, ast.Name | ast.Attribute) and isinstance(child.ctx, ast.Store):
                name = child.id if isinstance(child, ast.Name) else child.attr
                found.update((name, prefix + name))
            if isinstance(child, ast.arg):
                found.add(child.arg)
            walk(child, prefix)

    walk(ast.parse(path.read_text(encoding="utf-8")), "")
    return frozenset(found)


@functools.cache
def texts_of_the_code() -> dict[Path, str]:
    """Every file of the package and the tests but this one."""
    files = [*(ROOT / "sdcpp_rest").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    files.remove(Path(__file__))
    return {path: path.read_text(encoding="utf-8") for path in files}


@functools.cache
def words_of_the_code() -> frozenset[str]:
    return frozenset(itertools.chain(*(re.findall(r"[A-Za-z_]\w*", text) for text in texts_of_the_code().values())))


def is_in_the_code(name: str) -> bool:
    """Whether any file has that word; of ``Class.method``, whether any file defines it."""
    last = name.rpartition(".")[2]
    if last == name:
        return name in words_of_the_code()
    return any(name in names_in(path) for path, text in texts_of_the_code().items() if last in text)


def stale_names(page: str) -> list[str]:
    """Names that a page gives after a file and that the file does not have.

    ``a.py: Name`` must be defined there. A name later in the sentence, as in ``a.py ... (`name`)``, may be another
    file's that the first one calls, but it must be somewhere.
    """
    stale = []
    for sentence in re.split(r"(?<=[.;])\s+(?=[A-Z0-9`])|\n\s*\n|\n\d+\. |\n- |\|", page):
        file: Path | None = None
        for token in re.findall(r"`([^`\n]+)`", sentence):
            matched = re.fullmatch(rf"({_FILE})(?:: (.+))?", token)
            if matched:
                file = source(matched[1])
                token = matched[2] or ""
            names = [token] if matched else [token] if "_" in token or re.match(r"^[A-Z][a-z]+[A-Z]", token) else []
            for name in names:
                is_name = _WORD.match(name) is not None and not name.endswith((".py", ".md", ".h"))
                if file is None or not file.exists() or not is_name:
                    continue
                # Right behind the file's name: defined there. Later in the sentence: anywhere, but somewhere.
                if not (name in names_in(file) if matched else is_in_the_code(name)):
                    stale.append(f"{file.relative_to(ROOT)}: {name}")
    return stale


def test_every_source_file_that_the_docs_name_exists() -> None:
    looked = 0
    for page in PAGES_ABOUT_THE_CODE:
        for name in re.findall(rf"`({_FILE})[`:]", page.read_text(encoding="utf-8")):
            looked += 1
            assert source(name).exists(), f"{page.name}: {name}"
    assert looked >= 25


@pytest.mark.slow
def test_every_name_that_the_docs_give_after_a_file_is_in_it() -> None:
    text = "\n\n".join(page.read_text(encoding="utf-8") for page in PAGES_ABOUT_THE_CODE)
    assert len(re.findall(rf"`(?:{_FILE}): \w", text)) >= 10
    assert stale_names(text) == []


def test_a_name_that_is_gone_is_noticed() -> None:
    assert stale_names("`web/app.py: create_app` makes it.") == []
    assert stale_names("`web/app.py: make_app` makes it.") == ["sdcpp_rest/web/app.py: make_app"]
    assert stale_names("`services/submission/submission_checks.py`: its bounds in `_check_the_numbers`") == [
        "sdcpp_rest/services/submission/submission_checks.py: _check_the_numbers"
    ]
    assert stale_names("`core/job.py: Job.nothing`") == ["sdcpp_rest/core/job.py: Job.nothing"]
