"""Pages that are made from the code say what the code says, and links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import click

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
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                looked += 1
                assert (page.parent / target).exists(), f"{page.name}: {target}"
    assert looked >= 5


def test_every_source_file_that_the_docs_name_exists() -> None:
    looked = 0
    for page in (ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md"):
        for name in re.findall(
            r"`((?:core|store|services|engine|native|routes|tests)/[\w/]+\.(?:py|cpp))", page.read_text()
        ):
            looked += 1
            path = ROOT / name if name.startswith("tests/") else ROOT / "sdcpp_rest" / name
            assert path.exists(), f"{page.name}: {name}"
    assert looked >= 20
